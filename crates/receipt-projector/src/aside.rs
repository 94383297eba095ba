//! What folding aside is for: to compare a partition's state with what its log says, and to put the one that was folded
//! anew in its place, stopped or beside the live one.

use std::{fs, path::Path};

use receipt_codec::row::identity::Identity;
use receipt_log::Log;
use receipt_snapshot::Place;
use receipt_store::{Resources, Side, Store};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    error::ProjectorError,
    partition::{Offsets, Partition, Phase},
    replay::{self, Replay},
    seed::{Bootstrap, look_at_start},
    verified::Verified,
};

/// Differences that are told of a partition, at most.
const DIFFERENCES_TOLD: usize = 10;
/// A live partition that is so close takes the store that was folded aside, and folds the rest itself.
const NEAR_RECORDS: u64 = 10_000;
/// However fast it folds meanwhile: after so many rounds it takes it.
const ROUNDS_MAX: usize = 20;

/// Where partitions are folded aside, and from what. Must not be used from async code.
pub struct Aside<'a> {
    /// From which log.
    pub log: &'a Log,
    /// The memory of what is folded aside.
    pub resources: &'a Resources,
    /// Where; each partition in a directory of its own below it. What is there may be deleted.
    pub dir: &'a Path,
    /// For what waits for the log.
    pub runtime: &'a Handle,
    /// Turns true when it is to stop.
    pub stopped: &'a watch::Receiver<bool>,
    /// Where snapshots are that a fold begins with, and when.
    pub snapshots: Option<Snapshots<'a>>,
}

/// Snapshots that a fold aside may begin with.
#[derive(Clone, Copy)]
pub struct Snapshots<'a> {
    /// Where they are.
    pub place: &'a Place,
    /// Begin with one in any case; else only where the log has lost its beginning.
    pub always: bool,
}

impl Aside<'_> {
    /// Folds a partition aside up to some offsets, or goes on where an interrupted one has stopped. `told` is told how many
    /// records (on Kafka: offsets) up to there are folded, first of all those that were before.
    ///
    /// # Errors
    /// [`ProjectorError::Stopped`] when it was; else if log or store fail, or the log does not have all of it.
    pub fn fold(&self, identity: &Identity, to: Offsets, told: impl FnMut(u64)) -> Result<Store, ProjectorError> {
        let place = self.dir.join(identity.partition.to_string());
        fs::create_dir_all(&place).map_err(|source| ProjectorError::Directory { dir: place.clone(), source })?;
        self.begin(identity, Some(to))?;
        let store = replay::aside(self.log, &place, self.resources, identity, to)?;
        self.go_on(&store, identity.partition, to, told)?;
        Ok(store)
    }

    /// Where a snapshot is to be the beginning, fetches it. Tells up to where it is folded.
    fn begin(&self, identity: &Identity, to: Option<Offsets>) -> Result<Option<Offsets>, ProjectorError> {
        let Some(Snapshots { place, always }) = self.snapshots else { return Ok(None) };
        if !always && look_at_start(self.log, identity.partition)? == Offsets::default() {
            return Ok(None);
        }
        let bootstrap = Bootstrap { log: self.log, resources: self.resources, place, dir: self.dir };
        let begun = bootstrap.newest(identity, to, &mut |_| !*self.stopped.borrow())?;
        for why in begun.passed_over {
            tracing::warn!(partition = identity.partition, why, "a snapshot is passed over");
        }
        Ok(Some(begun.at))
    }

    fn go_on(
        &self,
        store: &Store,
        partition: u32,
        to: Offsets,
        mut told: impl FnMut(u64),
    ) -> Result<(), ProjectorError> {
        let replay = Replay { log: self.log, partition, store, to };
        replay.run(self.runtime, self.stopped, |records, _| told(records))
    }

    /// Compares a partition's state, which nobody writes to, with its log, which is folded aside for it up to the same
    /// offsets.
    ///
    /// # Errors
    /// [`ProjectorError::Stopped`] when it was: the same call goes on. Whatever else keeps the two from being compared is
    /// what was found.
    pub fn verify(
        &self,
        identity: &Identity,
        state: &Store,
        told: impl FnMut(u64),
    ) -> Result<Verified, ProjectorError> {
        let verified = match self.fold_and_compare(identity, state, told) {
            Err(ProjectorError::Stopped) => return Err(ProjectorError::Stopped),
            Err(error) => Verified::Wrong(error.to_string()),
            Ok(verified) => verified,
        };
        delete(&self.dir.join(identity.partition.to_string()))?;
        Ok(verified)
    }

    fn fold_and_compare(
        &self,
        identity: &Identity,
        state: &Store,
        told: impl FnMut(u64),
    ) -> Result<Verified, ProjectorError> {
        if let Err(why) = state.check_files() {
            return Ok(Verified::Wrong(why.to_string()));
        }
        let store = self.fold(identity, Offsets::of(state.durable()), told)?;
        let (one, two) = (state.view()?, store.view()?);
        match one.compare(&two, DIFFERENCES_TOLD, |_| !*self.stopped.borrow()) {
            Ok(Some(comparison)) => Ok(Verified::Compared(comparison)),
            Ok(None) => store.flush().map_err(Into::into).and(Err(ProjectorError::Stopped)),
            Err(error) if error.side == Side::This => Ok(Verified::Wrong(error.to_string())),
            Err(error) => Ok(Verified::Wrong(format!("the state that was folded aside cannot be read: {error}"))),
        }
    }

    /// As [`Aside::verify`], of a partition that goes on folding and answering meanwhile: a copy of its state is compared.
    /// Tells up to where the copy was folded.
    ///
    /// # Errors
    /// As [`Aside::verify`].
    pub fn verify_live(
        &self,
        partition: &Partition,
        told: impl FnMut(u64),
    ) -> Result<(Offsets, Verified), ProjectorError> {
        let identity = partition.identity();
        let copy = self.dir.join(format!("{}.copy", partition.number()));
        delete(&copy)?;
        fs::create_dir_all(self.dir)
            .map_err(|source| ProjectorError::Directory { dir: self.dir.to_owned(), source })?;
        let applied = match partition.checkpoint(&copy) {
            Ok(applied) => applied,
            Err(ProjectorError::Stopped) => return Err(ProjectorError::Stopped),
            Err(error) => return Ok((partition.applied(), Verified::Wrong(error.to_string()))),
        };
        let verified = match Store::open_read_only(&copy, self.resources, identity) {
            Ok(state) => self.verify(identity, &state, told),
            Err(error) => Ok(Verified::Wrong(error.to_string())),
        };
        delete(&copy)?;
        Ok((applied, verified?))
    }

    /// Folds a partition anew, beside the live one that goes on folding and answering, and puts it in its place. Tells up
    /// to where it was folded then. A partition that is sealed goes on with it, where that is what was wrong, and serves before
    /// this returns.
    ///
    /// # Errors
    /// [`ProjectorError::Stopped`] when it was: the same call goes on; else if log or store fail, and the live one stays.
    pub fn rebuild_live(&self, partition: &Partition, mut told: impl FnMut(u64)) -> Result<Offsets, ProjectorError> {
        let number = partition.number();
        let mut to = partition.applied();
        // One that could not be opened, or whose records the log has lost, does not say how far it was: it goes back to its
        // snapshot, where there is one.
        if to == Offsets::default() {
            to = self.begin(partition.identity(), None)?.unwrap_or_default();
        }
        let store = self.fold(partition.identity(), to, &mut told)?;
        for _ in 0..ROUNDS_MAX {
            let now = partition.applied();
            if now.records().saturating_sub(to.records()) <= NEAR_RECORDS {
                break;
            }
            to = now;
            self.go_on(&store, number, to, &mut told)?;
        }
        store.flush()?;
        drop(store);
        let place = self.dir.join(number.to_string());
        let applied = partition.exchange(&place)?;
        told(applied.records());
        // One that was sealed serves again once the log is known to follow on from its new state (R7).
        match self.runtime.block_on(partition.settled()) {
            Phase::Sealed(why) => Err(ProjectorError::Sealed(why)),
            Phase::Stopped => Err(ProjectorError::Stopped),
            Phase::CatchingUp | Phase::Serving => Ok(applied),
        }
    }
}

fn delete(dir: &Path) -> Result<(), ProjectorError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| ProjectorError::Directory { dir: dir.to_owned(), source }),
    }
}
