//! What the rest of the service sees of a partition of inboxes.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use receipt_domain::inbox::InboxProgress;
use receipt_log::{ErrorKind, Log, LogError, Topic};
use receipt_projector::{Done, Phase, ProjectorError, Requests, Unserved};
use receipt_store::{InboxStore, StoreError};
use tokio::{sync::watch, time::Instant};

use crate::{arrivals::Arrivals, subscription::SubscribeError, wakeups::Wakeups};

/// When to ask a log again that did not answer.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(1);

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
    pub(crate) arrivals: Mutex<Arrivals>,
    /// Held while the log is asked, so that of all streams one at a time does.
    pub(crate) asking: tokio::sync::Mutex<()>,
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

    /// Whether some of what came from an offset on may be gone, of a subscriber who has been notified of all before it, up
    /// to a log time. Only what came after that can have been missed: a partition may have been quiet since long before.
    ///
    /// # Errors
    /// If the log does not answer.
    pub(crate) async fn has_lost(
        &self,
        offset: u64,
        log_time_ms: u64,
        progress: &InboxProgress,
    ) -> Result<bool, SubscribeError> {
        let now_ms = progress.log_time_ms;
        let Some(settings) = self.store().map(InboxStore::settings).copied() else { return Ok(false) };
        if offset >= progress.offset || settings.keeps(log_time_ms, now_ms) {
            return Ok(false);
        }
        let keeps = |arrival_ms| settings.keeps(arrival_ms, now_ms);
        if let Some(expired) = self.arrivals().has_expired(offset, keeps) {
            return Ok(expired);
        }
        let _asking = self.0.asking.lock().await;
        // Who asked before may have learned it.
        if let Some(expired) = self.arrivals().has_expired(offset, keeps) {
            return Ok(expired);
        }
        // What was trimmed, or has no time, is as old as can be.
        let arrival_ms = self.first_delta(offset).await?.ok().flatten().unwrap_or_default();
        self.arrivals().learn(offset, arrival_ms, keeps);
        Ok(!keeps(arrival_ms))
    }

    /// The first of the deltas that are folded next, up to this log time. Before anybody sees that they are.
    pub(crate) fn folds(&self, offset: u64, arrival_ms: u64, now_ms: u64) {
        if let Some(settings) = self.store().map(InboxStore::settings) {
            self.arrivals().folds(offset, arrival_ms, |arrival_ms| settings.keeps(arrival_ms, now_ms));
        }
    }

    fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        // Every change is one assignment or two of what is true by itself.
        self.0.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all before an offset is applied, no longer than until the deadline. `false`: the log itself ends before
    /// it.
    ///
    /// # Errors
    /// If it does not serve, stops to, or the deadline has passed.
    pub(crate) async fn reaches(&self, offset: u64, deadline: Instant) -> Result<bool, SubscribeError> {
        let mut state = self.0.state.subscribe();
        let reached = state.wait_for(|state| state.applied_offset >= offset || state.phase != Phase::Serving);
        let ends_before = async {
            loop {
                let asking = self.0.asking.lock().await;
                let found = self.first_delta(offset).await;
                drop(asking);
                match found {
                    Ok(Err(LogError::PastEnd { .. })) => return Ok(()),
                    // It has it, and the inbox will.
                    Ok(_) => std::future::pending().await,
                    // It does not answer yet.
                    Err(SubscribeError::Log(_)) => tokio::time::sleep(ASK_AGAIN).await,
                    Err(why) => return Err(why),
                }
            }
        };
        tokio::select! {
            biased;
            _ = reached => {}
            ended = ends_before => return ended.map(|()| false),
            () = tokio::time::sleep_until(deadline) => return Err(SubscribeError::Behind),
        }
        self.serving().map(|_| true).map_err(SubscribeError::Unserved)
    }

    /// When the first delta from an offset on arrived, in milliseconds, if there is one; else why the log has none there.
    /// Asks the log itself.
    async fn first_delta(&self, offset: u64) -> Result<Result<Option<u64>, LogError>, SubscribeError> {
        let (log, number) = (self.0.log.clone(), self.number());
        let read = tokio::task::spawn_blocking(move || log.read(Topic::Deltas, number, offset, 1, usize::MAX)).await;
        match read {
            Ok(Ok(records)) => Ok(Ok(records.first().and_then(|record| record.timestamp_ms))),
            Ok(Err(error)) if error.kind() == ErrorKind::Retry => Err(error.into()),
            Ok(Err(error)) => Ok(Err(error)),
            Err(why) => match why.try_into_panic() {
                Ok(payload) => std::panic::resume_unwind(payload),
                Err(_) => Err(SubscribeError::Unserved(Unserved::Stopped)),
            },
        }
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
