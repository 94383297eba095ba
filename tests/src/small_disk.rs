//! A disk of a few MiB: a tmpfs in a mount namespace of its own, which goes with whoever holds it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    process::geteuid,
};

/// The disk, mounted on a directory for those who enter it.
#[derive(Debug)]
pub struct SmallDisk {
    /// Keeps the namespace.
    holder: Child,
    on: PathBuf,
}

impl SmallDisk {
    /// Mounts one on a directory that is there.
    ///
    /// # Panics
    /// If that is not allowed.
    #[must_use]
    pub fn new(on: &Path, mib: u64) -> Self {
        let mount = format!("mount -t tmpfs -o size={mib}m none \"$0\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare");
        // Who is not root is root in a namespace of users.
        let user: &[&str] = if geteuid().is_root() { &[] } else { &["--map-root-user"] };
        let holder = holder.args(user).args(["--mount", "sh", "-c", &mount]).arg(on);
        // It ends when its input does.
        let holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut holder = holder.expect("unshare, of util-linux");
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().expect("standard output")).read_line(&mut line).expect("its word");
        assert_eq!(line, "mounted\n", "a mount namespace is needed");
        Self { holder, on: on.to_owned() }
    }

    /// A program that sees the disk.
    #[must_use]
    pub fn enter(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.holder.id().to_string();
        let user: &[&str] = if geteuid().is_root() { &[] } else { &["--user", "--preserve-credentials"] };
        command.args(["--target", &target]).args(user).arg("--mount").arg(program);
        command
    }

    /// Where the disk is for those who have not entered it.
    #[must_use]
    pub fn seen_from_outside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.on.strip_prefix("/").expect("an absolute path"))
    }

    /// Fills it, but for so many MiB.
    ///
    /// # Panics
    /// If there is less.
    pub fn fill(&self, but_mib: u64) {
        let disk = statvfs(self.seen_from_outside()).expect("its size");
        let free = disk.f_bavail * disk.f_frsize;
        let file = File::create(self.filler()).expect("a file");
        let bytes = free.checked_sub(but_mib << 20).expect("more than that is free");
        if bytes > 0 {
            fallocate(&file, FallocateFlags::empty(), 0, bytes).expect("room");
        }
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// If it is not filled.
    pub fn give_back(&self) {
        fs::remove_file(self.filler()).expect("what fills it");
    }

    fn filler(&self) -> PathBuf {
        self.seen_from_outside().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
