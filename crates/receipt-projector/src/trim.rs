//! Up to where a log may be trimmed: only behind what a snapshot still has. What a store was folded from can go where a
//! copy of the store is kept that has applied it, and that can be restored.

use receipt_log::{Log, LogError, Topic};
use receipt_proto::v1;
use receipt_snapshot::{Place, Snapshot, SnapshotError, Unit, list};

use crate::{facts, partition::Offsets};

/// Why a log was not trimmed.
#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    /// The snapshots can't be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The log can't be read or trimmed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What is to become of a partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trim {
    /// The topic.
    pub topic: Topic,
    /// Its partition.
    pub partition: u32,
    /// The first offset that is there.
    pub start: u64,
    /// The next to be given out.
    pub end: u64,
    /// What is before goes. The start, where nothing does.
    pub before: u64,
    /// By what it is bounded, for people.
    pub why: String,
}

impl Trim {
    /// As the contract has it.
    #[must_use]
    pub fn told(self) -> v1::TrimmedPartition {
        v1::TrimmedPartition {
            topic: self.topic.name().to_owned(),
            partition: self.partition,
            start_offset: self.start,
            end_offset: self.end,
            trimmed_before: self.before,
            why: self.why,
        }
    }
}

/// What bounds a trim besides snapshots.
#[derive(Clone, Copy)]
pub struct TrimLimits<'a> {
    /// What arrived from then on stays, in milliseconds since 1970.
    pub older_than_ms: Option<u64>,
    /// What the state of a partition has not made durable stays.
    pub durable: &'a dyn Fn(u32) -> Option<Durables>,
}

/// Up to where the state of a partition is durable.
#[derive(Debug, Clone, Copy)]
pub struct Durables {
    /// Of receipts.
    pub receipts: Offsets,
    /// Of inboxes, in receipts.deltas.
    pub deltas: u64,
}

/// Up to where each partition may be trimmed: behind the oldest of its snapshots that can be restored, all of whose files
/// are read and compared with their hashes for that. Dead letters go by their age alone, as no state is folded from them.
/// `told` is told of bytes as they are read, and says whether to go on. Waits for the place and the log: not for async
/// code.
///
/// # Errors
/// [`SnapshotError::Stopped`] as `told` said; else if the place or the log can't be read.
pub fn plan(
    log: &Log,
    place: &Place,
    limits: TrimLimits<'_>,
    told: &mut dyn FnMut(u64) -> bool,
) -> Result<Vec<Trim>, TrimError> {
    let snapshots = list(place, Some(&log.id().to_string()))?;
    let mut trims = Vec::new();
    for partition in 0..log.partitions() {
        let durable = (limits.durable)(partition);
        for unit in [Unit::Receipts(partition), Unit::Inboxes(partition)] {
            let of_unit = snapshots.iter().filter(|one| one.unit == unit);
            let found = oldest_restorable(log, place, of_unit, told)?;
            let topics: &[Topic] = match unit {
                Unit::Receipts(_) => &[Topic::Conversations, Topic::Reads],
                _ => &[Topic::Deltas],
            };
            for topic in topics {
                let behind = found.as_ref().map_err(Clone::clone).map(|(name, offset_of)| {
                    let offset = offset_of.iter().find(|(of, _)| of == topic.name()).map_or(0, |(_, offset)| *offset);
                    (offset, format!("behind the snapshot {name}"))
                });
                let durable = durable.map(|durable| match topic {
                    Topic::Conversations => durable.receipts.conversations,
                    Topic::Reads => durable.receipts.reads,
                    _ => durable.deltas,
                });
                trims.push(trim(log, *topic, partition, behind, durable, limits.older_than_ms)?);
            }
        }
        if limits.older_than_ms.is_some() {
            let all = log.end_offset(Topic::DeadLetter, partition);
            let behind = Ok((all, "no state is folded from it".to_owned()));
            trims.push(trim(log, Topic::DeadLetter, partition, behind, None, limits.older_than_ms)?);
        }
    }
    Ok(trims)
}

/// Takes away what a plan says, and writes each partition of a topic that it took records from into the server's log: `by`
/// says who asked for it.
///
/// # Errors
/// If the log fails; what was trimmed before is.
pub fn apply(log: &Log, trims: &[Trim], by: &str) -> Result<(), LogError> {
    for trim in trims.iter().filter(|trim| trim.before > trim.start) {
        log.trim(trim.topic, trim.partition, trim.before)?;
        let (topic, partition, from, to_before) = (trim.topic.name(), trim.partition, trim.start, trim.before);
        tracing::info!(topic, partition, from, to_before, by, why = trim.why, "the log was trimmed");
    }
    Ok(())
}

type Restorable = (String, Vec<(String, u64)>);

/// The oldest snapshot of a unit that is whole and fits the log: its name, and its offsets by topic. Else why there is none.
fn oldest_restorable<'a>(
    log: &Log,
    place: &Place,
    snapshots: impl Iterator<Item = &'a Snapshot>,
    told: &mut dyn FnMut(u64) -> bool,
) -> Result<Result<Restorable, String>, TrimError> {
    let mut whys = Vec::new();
    for snapshot in snapshots {
        match receipt_snapshot::verify(place, snapshot, told) {
            Ok(manifest) => match facts::fits(log, &manifest) {
                Ok(()) => {
                    let positions = manifest.facts.positions.iter().map(|at| (at.topic.clone(), at.offset));
                    let passed_over = whys.iter().map(|why| format!("; passed over: {why}")).collect::<String>();
                    return Ok(Ok((format!("{snapshot}{passed_over}"), positions.collect())));
                }
                Err(misfit) => whys.push(misfit.to_string()),
            },
            Err(error) if error.is_of_one_snapshot() => whys.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    if whys.is_empty() {
        whys.push("there is no snapshot of it".to_owned());
    }
    Ok(Err(whys.join("; ")))
}

fn trim(
    log: &Log,
    topic: Topic,
    partition: u32,
    behind: Result<(u64, String), String>,
    durable: Option<u64>,
    older_than_ms: Option<u64>,
) -> Result<Trim, TrimError> {
    let (start, end) = (log.start_offset(topic, partition), log.end_offset(topic, partition));
    let mut trim = Trim { topic, partition, start, end, before: start, why: String::new() };
    let (mut before, mut why) = match behind {
        Ok(behind) => behind,
        Err(why) => return Ok(Trim { why, ..trim }),
    };
    if let Some(durable) = durable.filter(|durable| *durable < before) {
        (before, why) = (durable, "what the state has not made durable stays".to_owned());
    }
    if let Some(older_than_ms) = older_than_ms {
        let young = first_since(log, topic, partition, older_than_ms)?;
        if young < before {
            (before, why) = (young, "what is younger stays".to_owned());
        }
    }
    trim.before = before.clamp(start, end);
    trim.why = why;
    Ok(trim)
}

/// The first offset whose record arrived at some time or later, where arrivals rise; where they do not, as in a log that was
/// copied, one that has both earlier and later ones beside it. The end, where there is none.
fn first_since(log: &Log, topic: Topic, partition: u32, since_ms: u64) -> Result<u64, LogError> {
    let (mut low, mut high) = (log.start_offset(topic, partition), log.end_offset(topic, partition));
    while low < high {
        let middle = low + (high - low) / 2;
        // On Kafka the next one that is there.
        let found = log.read(topic, partition, middle, 1, usize::MAX)?;
        match found.first() {
            Some(record) if record.timestamp_ms.unwrap_or_default() < since_ms => low = record.offset + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
