//! What the rest of the service sees of a partition: how far it is, whether it serves, and its store.

use std::sync::Arc;

use receipt_store::Store;
use tokio::sync::watch;

use crate::verdicts::{Verdict, Verdicts};

/// The next offsets to be applied of a partition's two input topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offsets {
    /// Of receipts.conversations.
    pub conversations: u64,
    /// Of receipts.reads.
    pub reads: u64,
}

impl Offsets {
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

pub(crate) struct Shared {
    pub(crate) number: u32,
    pub(crate) store: Option<Store>,
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
        self.0.number
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

    /// Its store, whether it serves or not; `None` where it could not be opened.
    #[must_use]
    pub fn store(&self) -> Option<&Store> {
        self.0.store.as_ref()
    }

    /// Its store, if it serves.
    ///
    /// # Errors
    /// Why it does not.
    pub fn serving(&self) -> Result<&Store, Unserved> {
        match self.phase() {
            Phase::CatchingUp => Err(Unserved::CatchingUp),
            Phase::Sealed(why) => Err(Unserved::Sealed(why)),
            Phase::Stopped => Err(Unserved::Stopped),
            Phase::Serving => self.store().ok_or(Unserved::CatchingUp),
        }
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
        let mut state = self.0.state.subscribe();
        match state.wait_for(|state| state.phase != Phase::CatchingUp).await {
            Ok(state) => state.phase.clone(),
            Err(_) => Phase::Stopped,
        }
    }

    /// Says that its store was found damaged: it answers no more, until an operator has seen to it (R7).
    pub fn seal(&self, why: &str) {
        self.ended(Phase::Sealed(why.to_owned()));
    }

    /// It will serve no more.
    pub(crate) fn ended(&self, phase: Phase) {
        if let Phase::Sealed(why) = &phase {
            tracing::error!(partition = self.number(), %why, "sealed");
        }
        self.0.state.send_modify(|state| state.phase = phase);
    }

    /// What became of the event at an offset of receipts.conversations that is applied.
    #[must_use]
    pub fn verdict(&self, offset: u64) -> Verdict {
        self.0.verdicts.of(offset)
    }
}
