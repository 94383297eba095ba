//! What stops a partition.

use std::path::PathBuf;

use receipt_log::LogError;
use receipt_snapshot::SnapshotError;
use receipt_store::StoreError;

/// Why a partition can't go on. It is sealed: it answers nothing, and the others go on (R7).
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The store can't be read, written or trusted.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log can't be read or appended to.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store has folded records that the log does not have.
    #[error(
        "the store has applied {topic} up to offset {applied}, but its log ends at {end}: records were lost; bring the \
         log back, or stop receiptd and `rm -r {dir}`, and it is folded anew from what the log has", dir = dir.display()
    )]
    AheadOfLog {
        /// Which topic.
        topic: &'static str,
        /// The store's next offset.
        applied: u64,
        /// The log's next offset.
        end: u64,
        /// The store's directory.
        dir: PathBuf,
    },
    /// The log no longer has what the store needs next.
    #[error(
        "the store has applied {topic} up to offset {applied}, but its log begins at {start}: the records in between are \
         trimmed; restore a copy of {dir} that has applied at least {start}", dir = dir.display()
    )]
    TrimmedPast {
        /// Which topic.
        topic: &'static str,
        /// The store's next offset.
        applied: u64,
        /// The log's first offset.
        start: u64,
        /// The store's directory.
        dir: PathBuf,
    },
    /// The log no longer has its beginning, from which a replay folds.
    #[error(
        "{topic}/{partition} begins at offset {start}, and the state that is folded aside would need {from}: what was \
         before that has been trimmed"
    )]
    NoBeginning {
        /// Which topic.
        topic: &'static str,
        /// Its partition.
        partition: u32,
        /// The log's first offset.
        start: u64,
        /// The offset that would be next.
        from: u64,
    },
    /// Nothing had arrived yet at the moment asked for.
    #[error(
        "the first record of receipts.conversations/{partition} arrived at {first}, after the moment asked for: nothing \
         was known then; ask for that time or a later one"
    )]
    BeforeLog {
        /// Which partition.
        partition: u32,
        /// When its first record arrived.
        first: String,
    },
    /// A store's directory could not be moved or deleted.
    #[error("{}: {source}", dir.display())]
    Directory {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A snapshot can't be had.
    #[error(transparent)]
    Snapshot(SnapshotError),
    /// The partition does not fold.
    #[error("the partition is sealed: {0}")]
    Sealed(String),
    /// A state that was folded aside did not take the place of the live one, which is closed.
    #[error("the state was to be exchanged for one that was folded aside: {0}")]
    Unexchanged(String),
    /// It was to stop, while it waited for the log or between two batches of a replay: not a fault.
    #[error("stopped")]
    Stopped,
    /// The partition's thread could not be started.
    #[error("starting a partition's thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl From<SnapshotError> for ProjectorError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Stopped => Self::Stopped,
            other => Self::Snapshot(other),
        }
    }
}
