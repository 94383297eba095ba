//! The next records of a partition's two input topics, older first, so that few reads wait for their messages.

use std::collections::VecDeque;

use receipt_domain::state::Progress;
use receipt_log::{Log, LogError, Reader, StoredRecord, Topic};
use tokio::sync::watch;

use crate::partition::Offsets;

/// Records that are read ahead of one topic, at most.
const AHEAD_RECORDS_MAX: usize = 4096;
/// Bytes that are read ahead of one topic, about, at most.
const AHEAD_BYTES_MAX: usize = 4 << 20;
/// What part of a batch's bytes may be read ahead of one topic.
const AHEAD_PART: usize = 4;

struct Side {
    reader: Reader,
    ahead: VecDeque<StoredRecord>,
    /// Bytes that are read ahead, about.
    bytes: usize,
    /// Nothing from this offset on is given.
    to: u64,
}

impl Side {
    /// The next offset that has not been given.
    fn position(&self) -> u64 {
        self.ahead.front().map_or_else(|| self.reader.position().min(self.to), |record| record.offset)
    }

    fn fill(&mut self) -> Result<(), LogError> {
        if self.ahead.is_empty() && self.reader.position() < self.to {
            self.ahead = self.reader.poll(AHEAD_RECORDS_MAX, self.bytes)?.into();
            while self.ahead.back().is_some_and(|record| record.offset >= self.to) {
                self.ahead.pop_back();
            }
        }
        Ok(())
    }
}

/// Both input topics of a partition.
pub(crate) struct Feed {
    conversations: Side,
    reads: Side,
}

impl Feed {
    /// Behind what is applied, up to these offsets, or to wherever the log ends, for batches of so many bytes.
    pub(crate) fn new(log: &Log, partition: u32, applied: &Progress, to: Option<Offsets>, batch_bytes: usize) -> Self {
        let bytes = AHEAD_BYTES_MAX.min(batch_bytes / AHEAD_PART);
        let to = to.unwrap_or(Offsets { conversations: u64::MAX, reads: u64::MAX });
        let side = |topic, next, epoch, to| {
            let reader = log.reader_after(topic, partition, next, epoch);
            Side { reader, ahead: VecDeque::new(), bytes, to }
        };
        let Progress { conversations_offset, reads_offset, conversations_epoch, reads_epoch, .. } = *applied;
        Self {
            conversations: side(Topic::Conversations, conversations_offset, conversations_epoch, to.conversations),
            reads: side(Topic::Reads, reads_offset, reads_epoch, to.reads),
        }
    }

    /// How far it is: past the last record that it gave, and past what is no record, as a marker of a transaction.
    pub(crate) fn position(&self) -> Offsets {
        Offsets { conversations: self.conversations.position(), reads: self.reads.position() }
    }

    /// Whether the log is known to have what was applied before, so that what comes next follows it.
    pub(crate) fn follows(&self) -> bool {
        self.conversations.reader.follows() && self.reads.reader.follows()
    }

    /// Change when there may be more.
    pub(crate) fn news(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.conversations.reader.news(), self.reads.reader.news()]
    }

    /// The next record; `None` at the end of both.
    pub(crate) fn next(&mut self) -> Result<Option<(Topic, StoredRecord)>, LogError> {
        self.conversations.fill()?;
        self.reads.fill()?;
        let topic = match (self.conversations.ahead.front(), self.reads.ahead.front()) {
            (Some(event), Some(read)) if read.timestamp_ms < event.timestamp_ms => Topic::Reads,
            (Some(_), _) => Topic::Conversations,
            (None, _) => Topic::Reads,
        };
        let side = if topic == Topic::Reads { &mut self.reads } else { &mut self.conversations };
        Ok(side.ahead.pop_front().map(|record| (topic, record)))
    }
}
