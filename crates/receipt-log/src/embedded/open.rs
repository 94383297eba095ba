//! Opening an embedded log.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use receipt_dbfiles::check_before_open;
use rocksdb::DB;
use tokio::sync::{Semaphore, mpsc};

use super::appender::Appender;
use super::arrival::Arrivals;
use super::shared::Shared;
use super::{Embedded, EmbeddedOptions, PARTITIONS_MAX, QUEUE_KIB, QUEUE_REQUESTS, options, rows};
use crate::{LogError, create_dir_durably};

/// Locked while the log is open. RocksDB's own lock would do, but tells of it in free text only.
const LOCK_FILE: &str = "receipt-log.lock";

/// Opens or creates the log and starts its thread.
pub(super) fn open(given: &EmbeddedOptions) -> Result<Embedded, LogError> {
    let EmbeddedOptions { dir, partitions, retention_ms, accept_clock_jump, clock } = given;
    if !(1..=PARTITIONS_MAX).contains(partitions) {
        return Err(LogError::BadPartitionCount { asked: *partitions, max: PARTITIONS_MAX });
    }
    let failed = |detail: String| LogError::Open { dir: dir.clone(), detail };
    let lock = lock(dir)?;
    let db = database(dir, true)?;
    let header = rows::open(&db, *partitions)?;
    let bounds = Shared::places(*partitions).map(|place| rows::bounds(&db, place)).collect::<Result<Vec<_>, _>>()?;

    let shared = Arc::new(Shared::new(db, lock, *partitions, &bounds));
    shared.publish_last_arrival(header.last_arrival_ms);
    let (requests, queue) = mpsc::channel(QUEUE_REQUESTS);
    let arrivals = Arrivals::new(clock.clone(), *retention_ms, *accept_clock_jump, header.last_arrival_ms);
    let next = bounds.iter().map(|bounds| bounds.end).collect();
    let appender = Appender::new(Arc::clone(&shared), queue, arrivals, next);
    let thread = thread::Builder::new()
        .name("log-appender".to_owned())
        .spawn(move || appender.run())
        .map_err(|error| failed(error.to_string()))?;
    Ok(Embedded {
        id: header.id,
        shared,
        requests,
        room: Arc::new(Semaphore::new(QUEUE_KIB as usize)),
        appender: Mutex::new(Some(thread)),
    })
}

/// The partitions of the log in a directory, which is not changed where there is none.
pub(super) fn partitions(dir: &Path) -> Result<u32, LogError> {
    // RocksDB's first file: without it, to lock the directory would be to make it.
    if !dir.join("CURRENT").is_file() {
        return Err(LogError::NoLog { dir: dir.to_path_buf() });
    }
    let _lock = lock(dir)?;
    rows::partitions(&database(dir, false)?)?.ok_or_else(|| LogError::NoLog { dir: dir.to_path_buf() })
}

/// Opens the database of a log, whose files are checked first; `create`: makes it where there is none.
pub(super) fn database(dir: &Path, create: bool) -> Result<DB, LogError> {
    let mut database = options::database();
    database.create_if_missing(create);
    check_before_open(dir)?;
    DB::open(&database, dir).map_err(|error| opening(dir, &error))
}

/// Opens the database of a log to be read only, whose files are checked first.
pub(super) fn database_read_only(dir: &Path) -> Result<DB, LogError> {
    check_before_open(dir)?;
    DB::open_for_read_only(&options::database(), dir, false).map_err(|error| opening(dir, &error))
}

fn opening(dir: &Path, error: &rocksdb::Error) -> LogError {
    match error.kind() {
        rocksdb::ErrorKind::Corruption => LogError::Damaged { detail: error.to_string() },
        _ => LogError::Open { dir: dir.to_path_buf(), detail: error.to_string() },
    }
}

/// Makes the directory where there is none, and locks it.
pub(super) fn lock(dir: &Path) -> Result<File, LogError> {
    let failed = |error: io::Error| LogError::Open { dir: dir.to_path_buf(), detail: error.to_string() };
    create_dir_durably(dir).map_err(failed)?;
    let file = File::options().create(true).truncate(false).write(true).open(dir.join(LOCK_FILE)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked { dir: dir.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
