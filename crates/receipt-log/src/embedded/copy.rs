//! Copies of an embedded log.

use std::path::Path;

use rocksdb::checkpoint::Checkpoint;

use super::keys::{self, Place};
use super::shared::Shared;
use super::{open, options, rows};
use crate::{LogError, LogId, Topic};

/// What a copy has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Every partition of every topic.
    pub extents: Vec<Extent>,
    /// The last arrival, in milliseconds since 1970; `None` where the log has never had a record with one.
    pub last_arrival_ms: Option<u64>,
}

/// What a log has of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: u32,
    /// The first offset that is there; of an empty partition, its end.
    pub start: u64,
    /// The next offset to be given out.
    pub end: u64,
}

/// Copies the log as it is. What the copy has, it says itself: appends go on meanwhile.
pub(super) fn checkpoint(shared: &Shared, dir: &Path) -> Result<Copied, LogError> {
    let failed = |error: rocksdb::Error| LogError::Open { dir: dir.to_path_buf(), detail: error.to_string() };
    // Flushes first, so that the copy needs no WAL.
    Checkpoint::new(&shared.db).and_then(|checkpoint| checkpoint.create_checkpoint(dir)).map_err(failed)?;
    let db = open::database_read_only(dir)?;
    let header = rows::open(&db, shared.partitions())?;
    let extent = |place: Place| {
        let bounds = rows::bounds(&db, place)?;
        Ok(Extent { topic: place.topic, partition: place.partition, start: bounds.start, end: bounds.end })
    };
    let extents = Shared::places(shared.partitions()).map(extent).collect::<Result<Vec<_>, LogError>>()?;
    Ok(Copied { extents, last_arrival_ms: header.last_arrival_ms })
}

/// Gives the log in a directory another identity.
pub(super) fn reidentify(dir: &Path) -> Result<LogId, LogError> {
    // Says where there is no log.
    open::partitions(dir)?;
    let _lock = open::lock(dir)?;
    let db = open::database(dir, false)?;
    let id = LogId::random();
    let failed = |error: rocksdb::Error| LogError::Open { dir: dir.to_path_buf(), detail: error.to_string() };
    db.put_opt(keys::ID, id.as_bytes(), &options::synced()).map_err(failed)?;
    // So that the next start has no WAL to read.
    db.flush().map_err(failed)?;
    Ok(id)
}
