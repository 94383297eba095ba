//! The state of a partition as it was: folded aside, asked, and deleted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use receipt_domain::settings::Settings;
use receipt_log::{Log, Topic};
use receipt_snapshot::{Manifest, Place};
use receipt_store::{Resources, Store};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    error::ProjectorError,
    moment::{Moment, Proof, Reached, oldest_ms},
    partition::Offsets,
    projector::identity,
    replay::{Replay, aside},
    seed::{Bootstrap, NotBegun, Prefer, offsets_of, start},
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
    /// Where snapshots are that a state begins with where the log has lost its beginning; `None`: nowhere.
    pub snapshots: Option<Place>,
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
    snapshot: Option<String>,
}

impl Past {
    /// Folds a partition up to a moment. When it is stopped, what is folded stays, and the next one of the same partition
    /// goes on from there, if that is not past its moment. Where the log has lost its beginning, it starts from the newest
    /// snapshot that is not past the moment. Must not be called from async code, nor twice at a time for one partition.
    ///
    /// # Errors
    /// [`ProjectorError::Stopped`] when it was; [`ProjectorError::NoBeginning`] where there are no snapshots,
    /// [`ProjectorError::TooEarly`] where none is early enough; as [`Moment::reach`]; else if log or store fail.
    pub fn fold(
        log: &Log,
        partition: u32,
        moment: Moment,
        options: &PastOptions,
        runtime: &Handle,
        stopped: &watch::Receiver<bool>,
        mut told: impl FnMut(PastStep),
    ) -> Result<Self, ProjectorError> {
        let (reached, proof) = moment.reach(log, partition, runtime, stopped, |read| told(PastStep::Looking(read)))?;
        let dir = options.dir.join(partition.to_string());
        fs::create_dir_all(&dir).map_err(|source| ProjectorError::Directory { dir: dir.clone(), source })?;
        let snapshot = bootstrap(log, partition, (reached.to, proof), options, runtime, stopped);
        let snapshot = snapshot.inspect_err(|_| {
            // Not empty where an interrupted fold is there: it stays.
            let _ = fs::remove_dir(&dir);
            tidy(&dir);
        })?;
        let store = aside(log, &dir, &options.resources, &identity(log, partition, options.settings), reached.to)?;
        let replay = Replay { log, partition, store: &store, to: reached.to };
        replay.run(runtime, stopped, |folded, all| told(PastStep::Folding(folded, all)))?;
        Ok(Self { store, reached, dir, snapshot })
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

    /// The snapshot that it started from; `None`: the log's beginning, or an interrupted fold.
    #[must_use]
    pub fn snapshot(&self) -> Option<&str> {
        self.snapshot.as_deref()
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

/// Where the log has lost its beginning, puts a snapshot there that is one of the moment; answers its name.
fn bootstrap(
    log: &Log,
    partition: u32,
    (to, proof): (Offsets, Proof),
    options: &PastOptions,
    runtime: &Handle,
    stopped: &watch::Receiver<bool>,
) -> Result<Option<String>, ProjectorError> {
    for topic in [Topic::Conversations, Topic::Reads] {
        let start = log.start_offset(topic, partition);
        if start > 0 && options.snapshots.is_none() {
            return Err(ProjectorError::NoBeginning { topic: topic.name(), partition, start, from: 0 });
        }
    }
    let Some(place) = options.snapshots.as_ref().filter(|_| start(log, partition) != Offsets::default()) else {
        return Ok(None);
    };
    let identity = identity(log, partition, options.settings);
    let bootstrap = Bootstrap { log, resources: &options.resources, place, dir: &options.dir };
    let admits = |manifest: &Manifest| proof.admits(to, manifest);
    let begun = bootstrap.begin(&identity, Prefer::Newest, Some(to), &admits, &mut |_| !*stopped.borrow());
    let begun = match begun {
        Err(NotBegun::NoSnapshot { why, last: None }) => {
            return Err(ProjectorError::NoUsableSnapshot { partition, why });
        }
        Err(NotBegun::NoSnapshot { last: Some(oldest), .. }) => {
            let Offsets { conversations, reads } = offsets_of(&oldest);
            let time_ms = oldest_ms(log, partition, &oldest, runtime, stopped)?;
            let time = receipt_proto::timestamp_from_ms(time_ms).to_string();
            return Err(ProjectorError::TooEarly { partition, time, conversations, reads });
        }
        begun => begun?,
    };
    for why in &begun.passed_over {
        tracing::warn!(partition, why, "a snapshot is passed over");
    }
    Ok(begun.from.map(|(snapshot, _)| snapshot.to_string()))
}

/// The directory of all partitions, and the one of all that is folded aside.
fn tidy(dir: &Path) {
    // Not empty, or there is none: both are fine.
    for dir in dir.ancestors().skip(1).take(2) {
        let _ = fs::remove_dir(dir);
    }
}
