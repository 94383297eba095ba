//! What the rest of the service sees of a partition: how far it is, whether it serves, and its store.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use receipt_codec::row::identity::Identity;
use receipt_store::{Durable, Store, StoreError};
use tokio::sync::watch;

use crate::{
    error::ProjectorError,
    requests::{Done, Requests},
    verdicts::{Verdict, Verdicts},
};

/// The next offsets to be applied of a partition's two input topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offsets {
    /// Of receipts.conversations.
    pub conversations: u64,
    /// Of receipts.reads.
    pub reads: u64,
}

impl Offsets {
    /// Up to where a store is durable.
    #[must_use]
    pub fn of(durable: Durable) -> Self {
        Self { conversations: durable.conversations_offset, reads: durable.reads_offset }
    }

    /// Records up to here; on Kafka, offsets.
    #[must_use]
    pub fn records(self) -> u64 {
        self.conversations + self.reads
    }

    /// Whether a state at these offsets includes all that `other` names.
    #[must_use]
    pub fn include(&self, other: &Self) -> bool {
        self.conversations >= other.conversations && self.reads >= other.reads
    }
}

/// Whether a partition serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It has not reached the log's end as of the start: nobody is to see time run backwards (R2).
    CatchingUp,
    /// It answers.
    Serving,
    /// It cannot be right (R7); why, and what mends it.
    Sealed(String),
    /// The process is shutting down.
    Stopped,
}

/// Why a partition does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unserved {
    /// Not yet: a retry helps.
    CatchingUp,
    /// Sealed; why, and what mends it.
    Sealed(String),
    /// Shutting down.
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) applied: Offsets,
    pub(crate) phase: Phase,
}

/// A request; it answers with the offsets up to where the store in question is folded.
pub(crate) enum Request {
    /// A copy of the store, in a directory that does not exist yet.
    Checkpoint { dir: PathBuf, done: Done<Offsets> },
    /// The store that was folded aside in this directory, which nobody has open, is to be the live one.
    Exchange { aside: PathBuf, done: Done<Offsets> },
}

pub(crate) struct Shared {
    pub(crate) identity: Identity,
    /// Whoever reads it has the lock for so long; who exchanges it has it alone.
    pub(crate) store: RwLock<Option<Store>>,
    pub(crate) requests: Requests<Request>,
    pub(crate) verdicts: Verdicts,
    pub(crate) state: watch::Sender<State>,
}

/// A partition of the receipt projection. Cheap to clone.
#[derive(Clone)]
pub struct Partition(pub(crate) Arc<Shared>);

impl Partition {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0.identity.partition
    }

    /// What its store is created for.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// How far it is folded.
    #[must_use]
    pub fn applied(&self) -> Offsets {
        self.0.state.borrow().applied
    }

    /// Whether it serves.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.state.borrow().phase.clone()
    }

    /// Reads its store, whether it serves or not; `None` where it could not be opened. While it is exchanged for a new one
    /// this waits, for as long as it takes to open that: not for async code.
    pub fn with_store<T>(&self, read: impl FnOnce(&Store) -> T) -> Option<T> {
        let store = self.0.store.read().unwrap_or_else(PoisonError::into_inner);
        store.as_ref().map(read)
    }

    /// Whether it serves.
    ///
    /// # Errors
    /// Why it does not.
    pub fn serves(&self) -> Result<(), Unserved> {
        match self.phase() {
            Phase::CatchingUp => Err(Unserved::CatchingUp),
            Phase::Sealed(why) => Err(Unserved::Sealed(why)),
            Phase::Stopped => Err(Unserved::Stopped),
            Phase::Serving => Ok(()),
        }
    }

    /// Reads its store, if it serves; else as [`Partition::with_store`].
    ///
    /// # Errors
    /// Why it does not.
    pub fn serve<T>(&self, read: impl FnOnce(&Store) -> T) -> Result<T, Unserved> {
        self.serves()?;
        self.with_store(read).ok_or(Unserved::CatchingUp)
    }

    /// Makes a copy of its store in a directory that must not exist yet, and tells up to where that is folded. On the same
    /// file system it costs little; folding waits meanwhile. Not for async code.
    ///
    /// # Errors
    /// If the copy could not be made, or the partition does not fold.
    pub fn checkpoint(&self, dir: &Path) -> Result<Offsets, ProjectorError> {
        let dir: PathBuf = dir.to_owned();
        self.0.requests.ask(|done| Request::Checkpoint { dir, done })
    }

    /// Puts a store that was folded aside, and that nobody has open, in the place of the live one, once it is folded up to
    /// where that one is; tells up to where. Queries wait for as long as it takes to open it. A partition that was sealed
    /// goes on with it. Not for async code.
    ///
    /// # Errors
    /// If it is not of this partition, or can't be moved or opened.
    pub fn exchange(&self, aside: &Path) -> Result<Offsets, ProjectorError> {
        let aside: PathBuf = aside.to_owned();
        self.0.requests.ask(|done| Request::Exchange { aside, done })
    }

    /// Runs what closes the store and opens another one, while nobody reads it.
    pub(crate) fn reopen(
        &self,
        reopen: impl FnOnce(Option<Store>) -> Result<Store, ProjectorError>,
    ) -> Result<Store, ProjectorError> {
        let mut slot = self.0.store.write().unwrap_or_else(PoisonError::into_inner);
        let store = reopen(slot.take())?;
        *slot = Some(store.clone());
        Ok(store)
    }

    /// Waits until it serves a state that includes these offsets. Bound it by a deadline.
    ///
    /// # Errors
    /// If it is not serving, or stops to.
    pub async fn reached(&self, offsets: Offsets) -> Result<(), Unserved> {
        let mut state = self.0.state.subscribe();
        let reached = state.wait_for(|state| state.phase != Phase::Serving || state.applied.include(&offsets)).await;
        match reached {
            Err(_) => Err(Unserved::Stopped),
            Ok(state) => match &state.phase {
                Phase::Serving => Ok(()),
                Phase::CatchingUp => Err(Unserved::CatchingUp),
                Phase::Sealed(why) => Err(Unserved::Sealed(why.clone())),
                Phase::Stopped => Err(Unserved::Stopped),
            },
        }
    }

    /// Waits until it has left [`Phase::CatchingUp`].
    pub async fn settled(&self) -> Phase {
        self.left(&Phase::CatchingUp).await
    }

    /// Waits until it has left this phase, and tells the one that it is in.
    pub async fn left(&self, phase: &Phase) -> Phase {
        let mut state = self.0.state.subscribe();
        match state.wait_for(|state| state.phase != *phase).await {
            Ok(state) => state.phase.clone(),
            Err(_) => Phase::Stopped,
        }
    }

    /// Says that its store was found damaged: it neither answers nor folds any more, until an operator has seen to it
    /// (R7).
    pub fn seal(&self, error: StoreError) {
        self.ended(Phase::Sealed(ProjectorError::from(error).seals_receipts(self.number())));
        self.0.requests.wake();
    }

    /// It has a store that is right: it is to serve once that has caught up.
    pub(crate) fn mended(&self, applied: Offsets) {
        self.0.verdicts.restart(applied.conversations);
        self.0.state.send_modify(|state| *state = State { applied, phase: Phase::CatchingUp });
    }

    /// What it has folded is not in the log any more, so how far that was means nothing: it is folded again from the
    /// beginning, or from an older snapshot.
    pub(crate) fn forget(&self) {
        self.0.state.send_modify(|state| state.applied = Offsets::default());
    }

    /// It serves no more, unless it is mended.
    pub(crate) fn ended(&self, phase: Phase) {
        let changed = self.0.state.send_if_modified(|state| {
            let changed = state.phase != phase;
            state.phase = phase.clone();
            changed
        });
        if let (true, Phase::Sealed(why)) = (changed, &phase) {
            tracing::error!(partition = self.number(), %why, "sealed");
        }
    }

    /// What became of the event at an offset of receipts.conversations that is applied.
    #[must_use]
    pub fn verdict(&self, offset: u64) -> Verdict {
        self.0.verdicts.of(offset)
    }
}
