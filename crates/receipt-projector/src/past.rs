//! The state of a partition as it was: folded aside, asked, and deleted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use receipt_domain::settings::Settings;
use receipt_log::Log;
use receipt_store::{Resources, Store};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    error::ProjectorError,
    moment::{Moment, Reached},
    projector::identity,
    replay::{Replay, aside},
};

/// Where and how states of the past are folded.
#[derive(Clone)]
pub struct PastOptions {
    /// The directory, which is theirs alone: one below it for each partition.
    pub dir: PathBuf,
    /// By which they are folded.
    pub settings: Settings,
    /// Memory that their stores share.
    pub resources: Resources,
}

/// How far the folding of a state of the past is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastStep {
    /// It looks up to where the moment is, and has read so many records.
    Looking(u64),
    /// It has folded so many records, of so many.
    Folding(u64, u64),
}

/// A partition's state as it was at a moment. What it takes on the disk stays until it is deleted.
pub struct Past {
    store: Store,
    reached: Reached,
    dir: PathBuf,
}

impl Past {
    /// Folds a partition up to a moment. When it is stopped, what is folded stays, and the next one of the same partition
    /// goes on from there, if that is not past its moment. Must not be called from async code, nor twice at a time for
    /// one partition.
    ///
    /// # Errors
    /// [`ProjectorError::Stopped`] when it was; as [`Moment::reach`]; else if log or store fail.
    pub fn fold(
        log: &Log,
        partition: u32,
        moment: Moment,
        options: &PastOptions,
        runtime: &Handle,
        stopped: &watch::Receiver<bool>,
        mut told: impl FnMut(PastStep),
    ) -> Result<Self, ProjectorError> {
        let reached = moment.reach(log, partition, runtime, stopped, |read| told(PastStep::Looking(read)))?;
        let dir = options.dir.join(partition.to_string());
        fs::create_dir_all(&dir).map_err(|source| ProjectorError::Directory { dir: dir.clone(), source })?;
        let store = aside(log, &dir, &options.resources, &identity(log, partition, options.settings), reached.to)?;
        let replay = Replay { log, partition, store: &store, to: reached.to };
        replay.run(runtime, stopped, |folded, all| told(PastStep::Folding(folded, all)))?;
        Ok(Self { store, reached, dir })
    }

    /// The state.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Up to where it is folded.
    #[must_use]
    pub fn reached(&self) -> Reached {
        self.reached
    }

    /// Takes it away, and the directories that are empty then.
    ///
    /// # Errors
    /// If the disk says so.
    pub fn delete(self) -> Result<(), ProjectorError> {
        let Self { store, dir, .. } = self;
        drop(store);
        fs::remove_dir_all(&dir).map_err(|source| ProjectorError::Directory { dir: dir.clone(), source })?;
        tidy(&dir);
        Ok(())
    }
}

/// The directory of all partitions, and the one of all that is folded aside.
fn tidy(dir: &Path) {
    // Not empty, or there is none: both are fine.
    for dir in dir.ancestors().skip(1).take(2) {
        let _ = fs::remove_dir(dir);
    }
}
