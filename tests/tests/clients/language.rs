//! What differs between the languages.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::document::{blocks, repository};

/// A language with a client in tests/clients.
pub(crate) struct Language {
    /// Its folder, and that of what it needs.
    pub(crate) name: &'static str,
    /// Its code blocks' in docs/clients.md.
    pub(crate) fence: &'static str,
    /// How its comments begin.
    pub(crate) comment: &'static str,
    source: &'static str,
    /// Names what it needs; a copy of it is kept beside what was installed.
    list: &'static str,
    /// Its commands' code blocks in docs/clients.md.
    commands: &'static str,
    run: &'static [&'static str],
}

pub(crate) const PYTHON: Language = Language {
    name: "python",
    fence: "python",
    comment: "#",
    source: "client.py",
    list: "requirements.txt",
    commands: "sh python",
    run: &["python3", "session.py"],
};

pub(crate) const TYPESCRIPT: Language = Language {
    name: "typescript",
    fence: "ts",
    comment: "//",
    source: "client.ts",
    list: "package-lock.json",
    commands: "sh typescript",
    run: &["node", "out/session.js"],
};

/// A copy of what a client is built from, laid out as the repository is.
pub(crate) struct Checkout {
    _dir: TempDir,
    /// The client's folder.
    client: PathBuf,
}

impl Language {
    fn folder(&self) -> PathBuf {
        repository().join("tests/clients").join(self.name)
    }

    /// The file that has the examples.
    pub(crate) fn source(&self) -> PathBuf {
        self.folder().join(self.source)
    }

    /// Where what it needs has been installed.
    fn installed(&self) -> PathBuf {
        let cache = env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let cache = cache.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").expect("HOME")).join(".cache"));
        let installed = cache.join("receiptd/tools/clients").join(self.name);
        let (wanted, found) = (fs::read(self.folder().join(self.list)), fs::read(installed.join(self.list)));
        assert!(
            found.is_ok_and(|found| found == wanted.expect("a list of what is needed")),
            "what the client in {} needs is missing, or another version: run `make clients`",
            self.name
        );
        installed
    }

    /// A copy to build in, so that nothing generated gets into the repository.
    pub(crate) fn checkout(&self) -> Checkout {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let client = dir.path().join("tests/clients").join(self.name);
        symlink(repository().join("proto"), dir.path().join("proto")).expect("the contract");
        copy(&self.folder(), &client);
        // Node looks for packages beside the source; Python is told by its environment.
        let packages = self.installed().join("node_modules");
        if packages.is_dir() {
            symlink(packages, client.join("node_modules")).expect("a link to packages");
        }
        Checkout { _dir: dir, client }
    }

    /// The commands that docs/clients.md gives.
    pub(crate) fn build(&self, checkout: &Checkout) -> Command {
        let commands = blocks(self.commands).concat();
        assert!(!commands.is_empty(), "docs/clients.md does not say how to build the client in {}", self.name);
        self.command(checkout, &["sh", "-ec", &commands])
    }

    /// Its session with the server at this address.
    pub(crate) fn run(&self, checkout: &Checkout, addr: &str) -> Command {
        self.command(checkout, &[self.run, &[addr]].concat())
    }

    fn command(&self, checkout: &Checkout, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&checkout.client).env_clear();
        command.envs(env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"));
        let path = [self.installed(), checkout.client.join("gen")];
        command.env("PYTHONPATH", env::join_paths(path).expect("folders"));
        command
    }
}

/// Copies what is in the repository, without what was generated there by hand.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder of the repository") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        if ["gen", "out", "node_modules", "__pycache__"].iter().any(|generated| name == *generated) {
            continue;
        }
        if entry.file_type().expect("its type").is_dir() {
            copy(&entry.path(), &to.join(name));
        } else {
            fs::copy(entry.path(), to.join(name)).expect("a copy");
        }
    }
}
