//! What the rest of the service sees of a partition of inboxes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use receipt_domain::inbox::InboxProgress;
use receipt_log::{Log, Topic};
use receipt_projector::{Done, Phase, ProjectorError, Requests, Unserved};
use receipt_store::{InboxStore, StoreError};
use tokio::sync::watch;

use crate::{subscription::SubscribeError, wakeups::Wakeups};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) applied_offset: u64,
    pub(crate) phase: Phase,
}

/// A copy of the store is to be made in a directory that does not exist yet; it answers with the next offset to be applied.
pub(crate) struct Checkpoint {
    pub(crate) dir: PathBuf,
    pub(crate) done: Done<InboxProgress>,
}

pub(crate) struct Shared {
    pub(crate) number: u32,
    pub(crate) store: Option<InboxStore>,
    pub(crate) log: Log,
    pub(crate) wakeups: Wakeups,
    pub(crate) requests: Requests<Checkpoint>,
    pub(crate) state: watch::Sender<State>,
}

/// A partition of the inbox projection. Cheap to clone.
#[derive(Clone)]
pub struct Inbox(pub(crate) Arc<Shared>);

impl Inbox {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// The next offset of receipts.deltas to be applied.
    #[must_use]
    pub fn applied_offset(&self) -> u64 {
        self.0.state.borrow().applied_offset
    }

    /// Whether it serves.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.state.borrow().phase.clone()
    }

    /// Its store, whether it serves or not; `None` where it could not be opened.
    #[must_use]
    pub fn store(&self) -> Option<&InboxStore> {
        self.0.store.as_ref()
    }

    /// Its store, if it serves.
    ///
    /// # Errors
    /// Why it does not.
    pub fn serving(&self) -> Result<&InboxStore, Unserved> {
        match self.phase() {
            Phase::CatchingUp => Err(Unserved::CatchingUp),
            Phase::Sealed(why) => Err(Unserved::Sealed(why)),
            Phase::Stopped => Err(Unserved::Stopped),
            Phase::Serving => self.store().ok_or(Unserved::CatchingUp),
        }
    }

    /// Makes a copy of its store in a directory that must not exist yet, and tells how far that is. On the same file system
    /// it costs little; folding waits meanwhile. Not for async code.
    ///
    /// # Errors
    /// If the copy could not be made, or the partition does not fold.
    pub fn checkpoint(&self, dir: &Path) -> Result<InboxProgress, ProjectorError> {
        let dir = dir.to_owned();
        self.0.requests.ask(|done| Checkpoint { dir, done })
    }

    /// Waits until it has left [`Phase::CatchingUp`].
    pub async fn settled(&self) -> Phase {
        let mut state = self.0.state.subscribe();
        match state.wait_for(|state| state.phase != Phase::CatchingUp).await {
            Ok(state) => state.phase.clone(),
            Err(_) => Phase::Stopped,
        }
    }

    /// When the first delta from an offset on arrived, in milliseconds; `None` where the log has it no more.
    pub(crate) fn delta_arrival_ms(&self, offset: u64) -> Option<u64> {
        let records = self.0.log.read(Topic::Deltas, self.number(), offset, 1, usize::MAX);
        records.ok()?.first()?.timestamp_ms
    }

    /// Seals the partition where a stream found its store damaged (R7); else the error as it is.
    pub(crate) fn unreadable(&self, error: StoreError) -> SubscribeError {
        let Some(store) = self.store().filter(|_| error.is_corruption()) else { return error.into() };
        let why = ProjectorError::from(error).seals_inboxes(store.dir());
        self.ended(Phase::Sealed(why.clone()));
        self.0.requests.wake();
        SubscribeError::Unserved(Unserved::Sealed(why))
    }

    pub(crate) fn ended(&self, phase: Phase) {
        let changed = self.0.state.send_if_modified(|state| {
            let changed = state.phase != phase;
            state.phase = phase.clone();
            changed
        });
        if let (true, Phase::Sealed(why)) = (changed, &phase) {
            tracing::error!(partition = self.number(), %why, "inboxes sealed");
        }
        self.0.requests.close(&phase);
        self.0.wakeups.wake_all();
    }
}
