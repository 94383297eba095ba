//! The log's own rows: made once, read at each start, and held against the records.

use rocksdb::{DB, IteratorMode, ReadOptions, WriteBatch};

use super::keys::{self, Place};
use super::options;
use crate::{LogError, LogId};

/// The format of everything in the database. A change of any key or value raises it.
const FORMAT_VERSION: u32 = 1;

/// What the rows say of the log as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: LogId,
    pub(super) last_arrival_ms: Option<u64>,
}

/// The offsets of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The first record's, unless there is none.
    pub(super) start: u64,
    /// The next to be given out.
    pub(super) end: u64,
}

/// Reads the header, or writes it into a database that is new.
pub(super) fn open(db: &DB, partitions: u32) -> Result<Header, LogError> {
    let Some(stored) = self::partitions(db)? else { return create(db, partitions) };
    if stored != partitions {
        return Err(LogError::PartitionCount { stored, asked: partitions });
    }
    let id = number(db, &keys::ID)?.map(LogId::from_bytes).ok_or_else(|| missing("identity"))?;
    let last_arrival_ms = number(db, &keys::LAST_ARRIVAL)?.map(u64::from_be_bytes);
    Ok(Header { id, last_arrival_ms })
}

/// How many partitions the log has; `None` where the database has no header yet.
pub(super) fn partitions(db: &DB) -> Result<Option<u32>, LogError> {
    match number::<4>(db, &keys::FORMAT)?.map(u32::from_be_bytes) {
        None => Ok(None),
        Some(FORMAT_VERSION) => {
            let stored = number(db, &keys::PARTITIONS)?.map(u32::from_be_bytes);
            stored.map(Some).ok_or_else(|| missing("partition count"))
        }
        Some(other) => {
            let detail = format!("its format is {other}, and this version knows {FORMAT_VERSION} only");
            Err(LogError::Open { dir: db.path().to_path_buf(), detail })
        }
    }
}

/// Writes the header of a new log, all of it or nothing.
fn create(db: &DB, partitions: u32) -> Result<Header, LogError> {
    if let Some(row) = db.iterator(IteratorMode::Start).next() {
        row.map_err(|error| LogError::reading(&error))?;
        let detail = "it holds something else than a log".to_owned();
        return Err(LogError::Open { dir: db.path().to_path_buf(), detail });
    }
    let id = LogId::random();
    let mut batch = WriteBatch::new();
    batch.put(keys::FORMAT, FORMAT_VERSION.to_be_bytes());
    batch.put(keys::PARTITIONS, partitions.to_be_bytes());
    batch.put(keys::ID, id.as_bytes());
    db.write_opt(batch, &options::synced())
        .map_err(|error| LogError::Open { dir: db.path().to_path_buf(), detail: error.to_string() })?;
    Ok(Header { id, last_arrival_ms: None })
}

/// Reads a partition's offsets and holds them against its first and last record.
pub(super) fn bounds(db: &DB, place: Place) -> Result<Bounds, LogError> {
    let start = number(db, &place.start())?.map_or(0, u64::from_be_bytes);
    let end = number(db, &place.end())?.map_or(0, u64::from_be_bytes);
    if start > end {
        let detail = format!("{}/{} starts at offset {start} and ends at {end}", place.topic, place.partition);
        return Err(LogError::Damaged { detail });
    }
    let mut records = db.raw_iterator_opt(partition_only(place));
    records.seek(place.record(0));
    let first = records.key().and_then(|key| place.offset(key));
    records.seek_for_prev(place.record(u64::MAX));
    let last = records.key().and_then(|key| place.offset(key));
    records.status().map_err(|error| LogError::reading(&error))?;
    let expected = if start == end { (None, None) } else { (Some(start), Some(end - 1)) };
    if (first, last) != expected {
        let detail = format!(
            "{}/{} should hold the offsets {start} to {end} (exclusive), and its first and last record are at {first:?} \
             and {last:?}",
            place.topic, place.partition
        );
        return Err(LogError::Damaged { detail });
    }
    Ok(Bounds { start, end })
}

/// Keeps an iterator within a partition.
pub(super) fn partition_only(place: Place) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(place.record(0));
    options
}

/// A row of exactly so many bytes; `None` where there is none.
pub(super) fn number<const N: usize>(db: &DB, key: &[u8]) -> Result<Option<[u8; N]>, LogError> {
    let Some(row) = db.get(key).map_err(|error| LogError::reading(&error))? else { return Ok(None) };
    match row.as_slice().try_into() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(_) => Err(LogError::Damaged { detail: format!("row {key:?} has {} bytes instead of {N}", row.len()) }),
    }
}

fn missing(what: &str) -> LogError {
    LogError::Damaged { detail: format!("its {what} is missing") }
}
