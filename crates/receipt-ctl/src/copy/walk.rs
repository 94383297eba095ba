//! The walk over one partition of two logs: what the target has is compared with the source, what it lacks is appended,
//! and what was appended is read back and compared.
//!
//! So an interrupted copy goes on where it stopped, and a finished one that is run again is compared as a whole.

#[cfg(test)]
mod tests;

use receipt_log::{CopiedRecord, Log, LogError, NewRecord, StoredRecord, Topic};
use tokio::sync::watch;

use super::{stretch::Stretch, timestamps::Timestamps};

/// Between two reports of how far it is, in records.
const REPORT_EVERY: u64 = 1_000;

/// One partition of a topic, in both logs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) source: &'a Log,
    pub(crate) target: &'a Log,
    pub(crate) topic: Topic,
    pub(crate) partition: u32,
    /// Up to which offset of the source.
    pub(crate) end: u64,
    /// What becomes of the source's timestamps.
    pub(crate) timestamps: Timestamps,
}

/// Records of a partition, by what was done with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Were in the target before.
    pub(crate) compared: u64,
    pub(crate) appended: u64,
    /// Appended, and read back.
    pub(crate) verified: u64,
}

/// Why a partition was not copied to its end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CopyError {
    #[error(
        "{topic}/{partition}: the record at offset {source_offset} of the source and that at offset {target_offset} of \
         the target differ in their {what}: the target holds something else than a copy; copy into an empty log"
    )]
    Differs { topic: Topic, partition: u32, source_offset: u64, target_offset: u64, what: &'static str },
    #[error(
        "{topic}/{partition}: the target has a record at offset {target_offset}, and the source has no more than \
         {records} records: the target holds something else than a copy; copy into an empty log"
    )]
    Longer { topic: Topic, partition: u32, target_offset: u64, records: u64 },
    #[error("{topic}/{partition}: of {appended} records that were appended, {found} could be read back")]
    Lost { topic: Topic, partition: u32, appended: u64, found: u64 },
    #[error("{topic}/{partition} of the {log}: {error}")]
    Read { log: &'static str, topic: Topic, partition: u32, error: LogError },
    #[error("{topic}/{partition}: appending offsets {first} to {last} of the source: {error}{}", cure(error))]
    Append { topic: Topic, partition: u32, first: u64, last: u64, error: LogError },
    #[error("{topic}/{partition} of the {log}: nothing came for {seconds} s; the same command goes on from there")]
    Silent { log: &'static str, topic: Topic, partition: u32, seconds: u64 },
    #[error("stopped; the same command goes on from there")]
    Stopped,
}

/// What to do about an append that failed, where its error alone does not say it.
fn cure(error: &LogError) -> &'static str {
    match error {
        LogError::ClockAhead => {
            "; or, where these records really are that far from its clock, set the topic's \
             message.timestamp.after.max.ms higher (up to 86400000), or message.timestamp.before.max.ms, for the time \
             of the copy"
        }
        LogError::RecordTooLarge { .. } | LogError::TooManyHeaders { .. } => {
            "; it is a dead letter where it is, and cannot be copied"
        }
        LogError::Unavailable { .. } => "; the same command goes on from there",
        _ => "",
    }
}

/// Walks to the source's end. `stop` turning true ends it after the chunk at hand; `report` is told how many records are
/// compared or appended.
pub(crate) async fn walk(
    place: Place<'_>,
    stop: &watch::Receiver<bool>,
    mut report: impl FnMut(u64),
) -> Result<Copied, CopyError> {
    let mut copied = Copied::default();
    let target_end = place.target.end_offset(place.topic, place.partition);
    let mut source = Stretch::of_source(place, 0, stop);
    compare(place, &mut source, Stretch::of_target(place, 0, target_end, stop), &mut copied, &mut report).await?;
    let rest = source.next_offset();
    loop {
        let chunk = source.take().await?;
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { break };
        let (first, last) = (first.offset, last.offset);
        let records: Vec<_> = chunk.into_iter().map(copy).collect();
        let appended = place.target.append_copied(place.topic, place.partition, records).await;
        let Place { topic, partition, .. } = place;
        let offsets = appended.map_err(|error| CopyError::Append { topic, partition, first, last, error })?;
        copied.appended += offsets.len() as u64;
        report(copied.compared + copied.appended);
    }
    // A partition on Kafka is cheap to read once, and not twice at a time.
    drop(source);
    if copied.appended > 0 {
        read_back(place, rest, target_end, stop, &mut copied).await?;
    }
    Ok(copied)
}

/// Compares all that the target has.
async fn compare(
    place: Place<'_>,
    source: &mut Stretch,
    mut target: Stretch,
    copied: &mut Copied,
    report: &mut impl FnMut(u64),
) -> Result<(), CopyError> {
    let Place { topic, partition, .. } = place;
    while let Some(theirs) = target.next().await? {
        let Some(ours) = source.next().await? else {
            let (target_offset, records) = (theirs.offset, copied.compared);
            return Err(CopyError::Longer { topic, partition, target_offset, records });
        };
        same(place.target, (topic, partition), &ours, &theirs)?;
        copied.compared += 1;
        if copied.compared.is_multiple_of(REPORT_EVERY) {
            report(copied.compared);
        }
    }
    report(copied.compared);
    Ok(())
}

/// Compares what was appended with the source, once more and from the target itself.
async fn read_back(
    place: Place<'_>,
    source_from: u64,
    target_from: u64,
    stop: &watch::Receiver<bool>,
    copied: &mut Copied,
) -> Result<(), CopyError> {
    let Place { topic, partition, .. } = place;
    let mut source = Stretch::of_source(place, source_from, stop);
    let mut target = Stretch::of_target(place, target_from, place.target.end_offset(topic, partition), stop);
    while let Some(ours) = source.next().await? {
        let Some(theirs) = target.next().await? else {
            return Err(CopyError::Lost { topic, partition, appended: copied.appended, found: copied.verified });
        };
        same(place.target, (topic, partition), &ours, &theirs)?;
        copied.verified += 1;
    }
    match target.next().await? {
        None => Ok(()),
        Some(theirs) => {
            let (target_offset, records) = (theirs.offset, copied.compared + copied.verified);
            Err(CopyError::Longer { topic, partition, target_offset, records })
        }
    }
}

/// Whether the target has a record of the source, as far as it can.
pub(crate) fn same(
    target: &Log,
    (topic, partition): (Topic, u32),
    ours: &StoredRecord,
    theirs: &StoredRecord,
) -> Result<(), CopyError> {
    let what = if ours.key != theirs.key {
        "keys"
    } else if ours.value != theirs.value {
        "values"
    } else if ours.headers != theirs.headers {
        "headers"
    } else if target.copied_timestamp_ms(ours.timestamp_ms) != theirs.timestamp_ms {
        "timestamps"
    } else {
        return Ok(());
    };
    let (source_offset, target_offset) = (ours.offset, theirs.offset);
    Err(CopyError::Differs { topic, partition, source_offset, target_offset, what })
}

/// A record as it is appended elsewhere.
pub(crate) fn copy(record: StoredRecord) -> CopiedRecord {
    let StoredRecord { timestamp_ms, key, value, headers, .. } = record;
    CopiedRecord { record: NewRecord { key, value, headers }, timestamp_ms }
}
