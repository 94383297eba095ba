//! A moment of the past, and up to which offsets a partition is folded for it.
//!
//! Timestamps may go backwards, on Kafka and in a log that was copied. So a time is no cut through what came before and
//! after it, but ends each topic at its first record that is past it, whatever comes behind.

use std::time::Duration;

use receipt_log::{Log, Topic};
use tokio::{runtime::Handle, sync::watch};

use crate::{error::ProjectorError, partition::Offsets, worker};

/// Records that are read at a time, at most.
const POLL_RECORDS_MAX: usize = 8192;
/// Bytes that are read at a time, about.
const POLL_BYTES_MAX: usize = 4 << 20;
/// How long to wait for a log elsewhere before it is looked at again.
const NEWS_MAX: Duration = Duration::from_secs(1);

/// A moment of a partition's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Each topic up to its first record whose arrival is past this, in milliseconds since 1970.
    TimeMs(u64),
    /// These next offsets.
    Offsets(Offsets),
    /// This next offset of receipts.conversations, and of receipts.reads what had arrived by the record before it.
    Conversations(u64),
}

/// Up to where a moment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The next offsets.
    pub to: Offsets,
    /// The log ends before the moment: it is the state of the log's end.
    pub past_end: bool,
}

impl Moment {
    /// Up to which offsets of a partition it is. Reads the log for it, where it is a time, and tells how many records
    /// (on Kafka: offsets) it has read. Must not be called from async code.
    ///
    /// # Errors
    /// [`ProjectorError::Stopped`] when it was; [`ProjectorError::BeforeLog`], [`ProjectorError::NoBeginning`]; else if
    /// the log can't be read.
    pub fn reach(
        self,
        log: &Log,
        partition: u32,
        runtime: &Handle,
        stopped: &watch::Receiver<bool>,
        mut told: impl FnMut(u64),
    ) -> Result<Reached, ProjectorError> {
        for topic in [Topic::Conversations, Topic::Reads] {
            let start = log.start_offset(topic, partition);
            if start > 0 {
                return Err(ProjectorError::NoBeginning { topic: topic.name(), partition, start, from: 0 });
            }
        }
        let mut scan = Scan { log, partition, runtime, stopped: stopped.clone(), before: 0, told: &mut told };
        let end = Offsets { conversations: scan.end(Topic::Conversations), reads: scan.end(Topic::Reads) };
        match self {
            Self::TimeMs(time_ms) => {
                let conversations = scan.until(Topic::Conversations, end.conversations, Some(time_ms))?;
                if let (Some(first_ms), None) = (conversations.next_ms, conversations.last_ms) {
                    let first = receipt_proto::timestamp_from_ms(first_ms).to_string();
                    return Err(ProjectorError::BeforeLog { partition, first });
                }
                let reads = scan.until(Topic::Reads, end.reads, Some(time_ms))?;
                let past_end = conversations.next_ms.is_none() && reads.next_ms.is_none();
                Ok(Reached { to: Offsets { conversations: conversations.offset, reads: reads.offset }, past_end })
            }
            Self::Offsets(to) => {
                let (conversations, reads) = (to.conversations.min(end.conversations), to.reads.min(end.reads));
                Ok(Reached { to: Offsets { conversations, reads }, past_end: !end.include(&to) })
            }
            Self::Conversations(to) if to > end.conversations => Ok(Reached { to: end, past_end: true }),
            Self::Conversations(to) => {
                let reads = match scan.until(Topic::Conversations, to, None)?.last_ms {
                    Some(time_ms) => scan.until(Topic::Reads, end.reads, Some(time_ms))?.offset,
                    None => 0,
                };
                Ok(Reached { to: Offsets { conversations: to, reads }, past_end: false })
            }
        }
    }
}

/// Where the reading of a topic ended.
struct Ended {
    /// The offset of the first record past the time; else where it was to end.
    offset: u64,
    /// When that record arrived.
    next_ms: Option<u64>,
    /// When the record before it arrived.
    last_ms: Option<u64>,
}

struct Scan<'a> {
    log: &'a Log,
    partition: u32,
    runtime: &'a Handle,
    stopped: watch::Receiver<bool>,
    /// Records that were read of another topic.
    before: u64,
    told: &'a mut dyn FnMut(u64),
}

impl Scan<'_> {
    fn end(&self, topic: Topic) -> u64 {
        self.log.end_offset(topic, self.partition)
    }

    /// Reads a topic up to an offset, or to its first record past a time. A record without a timestamp is past none.
    fn until(&mut self, topic: Topic, end: u64, time_ms: Option<u64>) -> Result<Ended, ProjectorError> {
        let mut reader = self.log.reader(topic, self.partition, 0);
        let mut news = [reader.news()];
        let mut last_ms = None;
        while reader.position() < end {
            if *self.stopped.borrow() {
                return Err(ProjectorError::Stopped);
            }
            news[0].borrow_and_update();
            let records = reader.poll(POLL_RECORDS_MAX, POLL_BYTES_MAX)?;
            if records.is_empty() && reader.position() < end {
                self.runtime.block_on(worker::changed(&mut news, &mut self.stopped, NEWS_MAX));
            }
            for record in records {
                let arrival_ms = record.timestamp_ms.unwrap_or_default();
                if record.offset >= end {
                    break;
                }
                if time_ms.is_some_and(|time_ms| arrival_ms > time_ms) {
                    self.before += record.offset;
                    return Ok(Ended { offset: record.offset, next_ms: Some(arrival_ms), last_ms });
                }
                last_ms = Some(arrival_ms);
            }
            (self.told)(self.before + reader.position());
        }
        self.before += end;
        Ok(Ended { offset: end, next_ms: None, last_ms })
    }
}
