//! What differs between the languages that the examples of the documents are written in.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    document::{blocks, examples, repository},
    tool::Tool,
};

/// A language with a program in a folder below tests, parts of which a document shows.
pub struct Language {
    /// Its folder.
    pub folder: &'static str,
    /// The file that has the examples.
    pub source: &'static str,
    /// How its comments begin.
    pub comment: &'static str,
    /// The document that shows them.
    pub document: &'static str,
    /// Their code blocks' in the document.
    pub fence: &'static str,
    /// The code blocks' with the commands that build it.
    pub commands: &'static str,
    /// What runs it.
    pub run: &'static [&'static str],
    /// What it needs.
    pub tool: Tool,
    /// The variable that says where its modules are: of what was installed, and of what was built.
    pub path: (&'static str, &'static str, &'static str),
}

/// A copy of what a program is built from, laid out as the repository is.
pub struct Checkout {
    _dir: TempDir,
    /// The program's folder.
    folder: PathBuf,
}

impl Language {
    /// A copy to build in, so that nothing generated gets into the repository.
    ///
    /// # Panics
    /// If there is no room for it.
    #[must_use]
    pub fn checkout(&self) -> Checkout {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let folder = dir.path().join(self.folder);
        symlink(repository().join("proto"), dir.path().join("proto")).expect("the contract");
        copy(&repository().join(self.folder), &folder);
        // Node looks for packages beside the source; others are told by their environment.
        let packages = self.tool.installed().join("node_modules");
        if packages.is_dir() {
            symlink(packages, folder.join("node_modules")).expect("a link to packages");
        }
        Checkout { _dir: dir, folder }
    }

    /// The commands that the document gives.
    ///
    /// # Panics
    /// If it gives none.
    #[must_use]
    pub fn build(&self, checkout: &Checkout) -> Command {
        let commands = blocks(self.document, self.commands).concat();
        assert!(!commands.is_empty(), "{} does not say how {} is built", self.document, self.folder);
        self.command(checkout, &["sh", "-ec", &commands])
    }

    /// The program, with these arguments.
    #[must_use]
    pub fn run(&self, checkout: &Checkout, arguments: &[&str]) -> Command {
        self.command(checkout, &[self.run, arguments].concat())
    }

    fn command(&self, checkout: &Checkout, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&checkout.folder).env_clear();
        command.envs(env::vars_os().filter(|(name, _)| name == "HOME"));
        // Java reads its arguments by it.
        command.env("LC_ALL", "C.UTF-8");
        let installed = self.tool.installed();
        let (name, of_installed, of_built) = self.path;
        command.env(name, joined([installed.join(of_installed), checkout.folder.join(of_built)]));
        let programs = env::var_os("PATH").unwrap_or_default();
        command.env("PATH", joined([installed.join("bin")].into_iter().chain(env::split_paths(&programs))));
        command
    }

    /// The document shows the examples, and nothing else in this language.
    ///
    /// # Panics
    /// If not.
    pub fn assert_shown_is_what_runs(&self) {
        let shown = blocks(self.document, self.fence);
        let source = repository().join(self.folder).join(self.source);
        let run = examples(&source, self.comment);
        assert!(!run.is_empty(), "{} has no examples", source.display());
        if let Some((shown, run)) = shown.iter().zip(&run).find(|(shown, run)| shown != run) {
            panic!("{} shows:\n{shown}\n{} has:\n{run}", self.document, source.display());
        }
        assert_eq!(shown.len(), run.len(), "{} and {} differ", self.document, source.display());
    }
}

fn joined(folders: impl IntoIterator<Item = PathBuf>) -> OsString {
    env::join_paths(folders).expect("folders")
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
