//! A moment of the past, and up to which offsets a partition is folded for it.
//!
//! Timestamps may go backwards, on Kafka and in a log that was copied. So a time is no cut through what came before and
//! after it, but ends each topic at its first record that is past it, whatever comes behind.

use std::time::Duration;

use receipt_log::{Log, Topic};
use receipt_snapshot::Manifest;
use tokio::{runtime::Handle, sync::watch};

use crate::{
    error::ProjectorError,
    partition::Offsets,
    seed::{self, offsets_of},
    worker,
};

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

/// What a snapshot has to show of records that the log has no more, so that the offsets of a moment are right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Those of receipts.conversations had arrived by then.
    pub(crate) conversations_by_ms: Option<u64>,
    /// Those of receipts.reads had arrived by then. Where the log still has one that had, nothing is to be shown: arrivals
    /// rise, but where clocks differ.
    pub(crate) reads_by_ms: Option<u64>,
}

impl Moment {
    /// Up to which offsets of a partition it is, and what proves it where the log has lost its beginning. Reads what the
    /// log has for it, where it is a time, and tells how many records (on Kafka: offsets) it has read. Must not be called
    /// from async code.
    ///
    /// # Errors
    /// [`ProjectorError::Stopped`] when it was; [`ProjectorError::BeforeLog`], [`ProjectorError::UnknownArrival`]; else if
    /// the log can't be read.
    pub(crate) fn reach(
        self,
        log: &Log,
        partition: u32,
        runtime: &Handle,
        stopped: &watch::Receiver<bool>,
        mut told: impl FnMut(u64),
    ) -> Result<(Reached, Proof), ProjectorError> {
        let mut scan = Scan { log, partition, runtime, stopped: stopped.clone(), before: 0, told: &mut told };
        let start = seed::look_at_start(log, partition)?;
        let end = Offsets { conversations: scan.end(Topic::Conversations), reads: scan.end(Topic::Reads) };
        let reached = |to, past_end| (Reached { to, past_end }, Proof::default());
        match self {
            Self::TimeMs(time_ms) => {
                let conversations = scan.until(Topic::Conversations, end.conversations, Some(time_ms))?;
                if let (Some(first_ms), None, 0) = (conversations.next_ms, conversations.last_ms, start.conversations) {
                    let first = receipt_proto::timestamp_from_ms(first_ms).to_string();
                    return Err(ProjectorError::BeforeLog { partition, first });
                }
                let reads = scan.until(Topic::Reads, end.reads, Some(time_ms))?;
                let past_end = conversations.next_ms.is_none() && reads.next_ms.is_none();
                let proof = Proof {
                    conversations_by_ms: (start.conversations > 0).then_some(time_ms),
                    reads_by_ms: reads.is_unproved(start.reads).then_some(time_ms),
                };
                let to = Offsets { conversations: conversations.offset, reads: reads.offset };
                Ok((Reached { to, past_end }, proof))
            }
            Self::Offsets(to) => {
                let (conversations, reads) = (to.conversations.min(end.conversations), to.reads.min(end.reads));
                Ok(reached(Offsets { conversations, reads }, !end.include(&to)))
            }
            Self::Conversations(to) if to > end.conversations => Ok(reached(end, true)),
            Self::Conversations(0) => Ok(reached(Offsets::default(), false)),
            Self::Conversations(to) => {
                let last_ms =
                    if to > start.conversations { scan.until(Topic::Conversations, to, None)?.last_ms } else { None };
                let Some(time_ms) = last_ms else {
                    return Err(ProjectorError::UnknownArrival { partition, to, start: start.conversations });
                };
                let reads = scan.until(Topic::Reads, end.reads, Some(time_ms))?;
                let proof =
                    Proof { conversations_by_ms: None, reads_by_ms: reads.is_unproved(start.reads).then_some(time_ms) };
                let to = Offsets { conversations: to, reads: reads.offset };
                Ok((Reached { to, past_end: false }, proof))
            }
        }
    }
}

impl Proof {
    /// Whether the state of a snapshot is a beginning of the state at a moment up to `to`.
    ///
    /// # Errors
    /// Why it is not, for people.
    pub(crate) fn admits(&self, to: Offsets, manifest: &Manifest) -> Result<(), String> {
        let at = offsets_of(manifest);
        if !to.include(&at) {
            return Err(seed::further(manifest, to));
        }
        let name = || format!("the snapshot {}/{}", manifest.facts.unit, manifest.facts.name());
        if self.conversations_by_ms.is_some_and(|by_ms| manifest.facts.log_time_ms > by_ms) {
            let time = receipt_proto::timestamp_from_ms(manifest.facts.log_time_ms);
            return Err(format!("{} is of log time {time}, after the moment", name()));
        }
        if self.reads_by_ms.is_some_and(|by_ms| at.reads > 0 && manifest.created_at_ms > by_ms) {
            let time = receipt_proto::timestamp_from_ms(manifest.created_at_ms);
            return Err(format!("{} was created at {time}, and may have reads that arrived after the moment", name()));
        }
        Ok(())
    }
}

/// The oldest time that can be answered with a snapshot that the log continues from, in milliseconds since 1970. Reads for
/// it what the log has of receipts.reads up to the snapshot. Must not be called from async code.
///
/// # Errors
/// [`ProjectorError::Stopped`] when it was; else if the log can't be read.
pub(crate) fn oldest_ms(
    log: &Log,
    partition: u32,
    manifest: &Manifest,
    runtime: &Handle,
    stopped: &watch::Receiver<bool>,
) -> Result<u64, ProjectorError> {
    let mut scan = Scan { log, partition, runtime, stopped: stopped.clone(), before: 0, told: &mut |_| {} };
    let (start, reads) = (log.start_offset(Topic::Reads, partition), offsets_of(manifest).reads);
    let reads_ms = if reads > start {
        let mut latest_ms = 0;
        scan.each(Topic::Reads, reads, &mut |_, arrival_ms| {
            latest_ms = latest_ms.max(arrival_ms);
            true
        })?;
        latest_ms
    } else if reads == 0 {
        0
    } else {
        // The next one that arrives, or that it was created then, shows that those before had arrived.
        let (mut next_ms, end) = (None, scan.end(Topic::Reads));
        scan.each(Topic::Reads, end, &mut |_, arrival_ms| {
            next_ms = Some(arrival_ms);
            false
        })?;
        next_ms.unwrap_or(u64::MAX).min(manifest.created_at_ms)
    };
    Ok(reads_ms.max(manifest.facts.log_time_ms))
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

impl Ended {
    /// Whether records are gone, and none that is left shows that they had arrived by the time.
    fn is_unproved(&self, start: u64) -> bool {
        start > 0 && self.last_ms.is_none()
    }
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

    /// Reads what there is of a topic up to an offset, or to its first record past a time. A record without a timestamp is
    /// past none.
    fn until(&mut self, topic: Topic, end: u64, time_ms: Option<u64>) -> Result<Ended, ProjectorError> {
        let (mut next, mut last_ms) = (None, None);
        self.each(topic, end, &mut |offset, arrival_ms| {
            if time_ms.is_some_and(|time_ms| arrival_ms > time_ms) {
                next = Some((offset, arrival_ms));
                return false;
            }
            last_ms = Some(arrival_ms);
            true
        })?;
        let offset = next.map_or(end, |(offset, _)| offset);
        self.before += offset;
        Ok(Ended { offset, next_ms: next.map(|(_, arrival_ms)| arrival_ms), last_ms })
    }

    /// Hands on offset and arrival of what there is of a topic up to an offset, for as long as that is wanted.
    fn each(&mut self, topic: Topic, end: u64, wanted: &mut dyn FnMut(u64, u64) -> bool) -> Result<(), ProjectorError> {
        let mut reader = self.log.reader(topic, self.partition, self.log.start_offset(topic, self.partition));
        let mut news = [reader.news()];
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
                if record.offset >= end || !wanted(record.offset, record.timestamp_ms.unwrap_or_default()) {
                    return Ok(());
                }
            }
            (self.told)(self.before + reader.position());
        }
        Ok(())
    }
}
