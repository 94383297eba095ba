//! Snapshots of a receiptd that is stopped: taken from its data directory, and put back into one.

mod choose;
mod create;
mod live;
mod restore;
mod seed;
mod target;

use receipt_snapshot::SnapshotError;
use tokio::sync::watch;

pub(crate) use self::{
    choose::{Choice, Which},
    create::create,
    live::{create_live, trim_live},
    restore::{PutBack, restore},
    seed::{open, seed, settings_of},
    target::Target,
};
use crate::progress::Progress;

/// Shows bytes as they are dealt with, until Ctrl-C.
pub(crate) struct Meter<'a> {
    progress: Progress,
    done: u64,
    stop: &'a watch::Receiver<bool>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(all: u64, stop: &'a watch::Receiver<bool>, quiet: bool) -> Self {
        Self { progress: Progress::new("bytes", all, quiet), done: 0, stop }
    }

    /// What `receipt_snapshot` tells.
    pub(crate) fn told(&mut self, bytes: u64) -> bool {
        self.done += bytes;
        self.progress.at(self.done);
        !*self.stop.borrow()
    }

    /// There are so many bytes more to do.
    pub(crate) fn grow(&self, bytes: u64) {
        self.progress.grow(bytes);
    }

    pub(crate) fn say(&self, message: &str) {
        self.progress.say(message);
    }

    pub(crate) fn go_on(&self) -> Result<(), SnapshotError> {
        if *self.stop.borrow() { Err(SnapshotError::Stopped) } else { Ok(()) }
    }

    pub(crate) fn finish(&self) {
        self.progress.finish();
    }
}
