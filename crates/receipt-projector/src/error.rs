//! What stops a partition.

use std::path::{Path, PathBuf};

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
    #[error("the store has applied {topic} up to offset {applied}, but its log ends at {end}: records were lost")]
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
         trimmed; stop receiptd and run {}, of a snapshot that has applied at least {start}",
        restore(dir)
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
         before that has been trimmed; start receiptd with --snapshots PLACE; of a stopped one, give --from PLACE"
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
    /// The log has lost its beginning, and no snapshot is a beginning of the state at the moment asked for.
    #[error(
        "partition {partition} has lost the beginning of its log, and no snapshot is as old as the moment asked for: the \
         oldest moment that can be answered is {time}, or the offsets {conversations}:{reads}; ask for that or a later \
         one. To answer older moments, keep more snapshots (--snapshot-keep)"
    )]
    TooEarly {
        /// Which partition.
        partition: u32,
        /// The oldest time that can be answered.
        time: String,
        /// The offset of receipts.conversations of the oldest snapshot.
        conversations: u64,
        /// The offset of receipts.reads of the oldest snapshot.
        reads: u64,
    },
    /// The log has lost its beginning, and no snapshot can be used, whatever is asked for.
    #[error(
        "partition {partition} has lost the beginning of its log, and no snapshot of it can be used: {why}. Take one with \
         `receiptctl snapshot create`: moments from then on can be answered"
    )]
    NoUsableSnapshot {
        /// Which partition.
        partition: u32,
        /// What is wrong with each.
        why: String,
    },
    /// A moment was given as an offset whose record before it is gone, by whose arrival reads would count.
    #[error(
        "the moment is before offset {to} of receipts.conversations/{partition}, which begins at {start}: when the record \
         before it arrived is not known any more; give a time, or the offsets of both topics, CONVERSATIONS:READS"
    )]
    UnknownArrival {
        /// Which partition.
        partition: u32,
        /// The offset asked for.
        to: u64,
        /// The log's first offset.
        start: u64,
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
    #[error("the state was to be exchanged for one that was folded aside: {0}; run `receiptctl replay rebuild` again")]
    Unexchanged(String),
    /// The partition's thread panicked.
    #[error(
        "the partition's thread panicked: {0}; nothing of its batch was written. This is a defect of receiptd: report it \
         with the lines of the log. A restart folds the same records again"
    )]
    Panicked(String),
    /// The partition's thread ended before it answered a request.
    #[error("the partition's thread ended before it answered: `receiptctl partitions` shows why")]
    Unanswered,
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

impl ProjectorError {
    /// Whether the log has lost what the store has applied.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::AheadOfLog { .. } | Self::Log(LogError::Truncated { .. }))
    }

    /// Why a partition of receipts is sealed, and what mends it.
    #[must_use]
    pub fn seals_receipts(&self, partition: u32) -> String {
        let rebuild = format!(
            "`receiptctl replay rebuild --partition {partition}` beside this receiptd folds it anew; of one that is \
             stopped, with --data-dir"
        );
        match self {
            Self::AheadOfLog { dir, .. } => format!(
                "{self}; bring the log back, or stop receiptd and `rm -r {}`, and it is folded again from what the log has",
                dir.display()
            ),
            Self::Log(LogError::Truncated { .. }) => format!("{self}; {rebuild}, from what the log has now"),
            _ => self.and_its_cure(&rebuild),
        }
    }

    /// Why a partition of inboxes, whose store is in this directory, is sealed, and what mends it.
    #[must_use]
    pub fn seals_inboxes(&self, dir: &Path) -> String {
        if self.is_lost() {
            let receipts = dir.ancestors().nth(2).unwrap_or(dir).join("receipts");
            return format!(
                "{self}; bring the log back, or stop receiptd and `rm -r {} {}`: all receipts are folded again, which \
                 appends the deltas that were lost, and then the inboxes",
                dir.display(),
                receipts.display()
            );
        }
        self.and_its_cure(&format!("stop receiptd and `rm -r {}`, and it is folded anew", dir.display()))
    }

    /// Those of the log, and of what does not fit it, name their own.
    fn and_its_cure(&self, cure: &str) -> String {
        match self {
            Self::Store(error) if error.is_corruption() => format!("{self}; {cure}"),
            // It says why, and what to do, already.
            Self::Sealed(why) => why.clone(),
            Self::Store(StoreError::RocksDb(_)) => format!("{self}; where the disk is well and has room, {cure}"),
            _ => self.to_string(),
        }
    }
}

/// The command that restores a partition's store: DIR/receipts/N or DIR/inboxes/N.
fn restore(store: &Path) -> String {
    let data_dir = store.ancestors().nth(2).unwrap_or(store).display();
    let partition = store.file_name().unwrap_or_default().display();
    format!("`receiptctl snapshot restore --from PLACE --data-dir {data_dir} --partition {partition}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r7_what_a_truncated_log_has_lost_is_folded_again_by_a_command_that_is_named() {
        let truncated = |topic| {
            let found = "the partition ends at 5".to_owned();
            ProjectorError::from(LogError::Truncated { topic, partition: 3, offset: 7, leader_epoch: Some(2), found })
        };
        let receipts = truncated(receipt_log::Topic::Reads).seals_receipts(3);
        assert!(receipts.starts_with("receipts.reads/3 was truncated on Kafka: "), "{receipts}");
        assert!(receipts.contains("; `receiptctl replay rebuild --partition 3` beside this receiptd "), "{receipts}");
        let inboxes = truncated(receipt_log::Topic::Deltas).seals_inboxes(Path::new("/var/lib/receiptd/inboxes/3"));
        assert!(inboxes.contains("`rm -r /var/lib/receiptd/inboxes/3 /var/lib/receiptd/receipts`"), "{inboxes}");
    }

    #[test]
    fn a_store_that_is_behind_is_restored_by_a_command_that_names_it() {
        let dir = PathBuf::from("/var/lib/receiptd/receipts/3");
        let error = ProjectorError::TrimmedPast { topic: "receipts.reads", applied: 1, start: 6, dir };
        assert_eq!(
            error.to_string(),
            "the store has applied receipts.reads up to offset 1, but its log begins at 6: the records in between are \
             trimmed; stop receiptd and run `receiptctl snapshot restore --from PLACE --data-dir /var/lib/receiptd \
             --partition 3`, of a snapshot that has applied at least 6"
        );
    }
}
