//! What is whole of a damaged log. It is read from a copy: the log itself stays as it is.
//!
//! - A damaged write in the WAL is passed over, in the copy; those before and after it are read.
//! - Without its MANIFEST, the database is put together from its table files and its WAL, as RocksDB repairs one.
//! - A damaged table file is read as far as it goes.
//!
//! Offsets are dense, so what a partition has lost shows as a gap: it is whole up to there.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use receipt_dbfiles::{check_manifest, pass_over_damage, wal_files};
use rocksdb::{DB, Options};
use tokio::sync::{Semaphore, mpsc};

use super::keys::{self, Place};
use super::rows::{self, Bounds};
use super::shared::Shared;
use super::{Embedded, QUEUE_KIB, open, options, value};
use crate::{LogError, LogId, Topic};

/// What is known of a log beside the log, for where the damage has taken it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// Its identity.
    pub id: Option<LogId>,
    /// Partitions of each topic.
    pub partitions: Option<u32>,
}

/// What a damaged log still has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvage {
    /// What is wrong with its files, as far as it was found before records were read.
    pub damage: Vec<String>,
    /// Every partition of every topic.
    pub partitions: Vec<Whole>,
}

/// What a damaged log still has of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: u32,
    /// The first offset that is there; of an empty partition, its end.
    pub start: u64,
    /// The offset up to which no record is damaged or missing.
    pub end: u64,
    /// The offset after the last one that the log is known to have had. It may have had more.
    pub known_end: u64,
    /// Why the records end here; `None` where none is known to follow.
    pub why: Option<String>,
}

/// Copies the log in a directory, which nobody has open, into `scratch`, and opens what is whole of it to be read. What was
/// in `scratch` before is deleted.
pub(super) fn open(dir: &Path, scratch: &Path, known: Known) -> Result<(Embedded, Salvage), LogError> {
    if !has_files(dir) {
        return Err(LogError::NoLog { dir: dir.to_path_buf() });
    }
    let _lock = open::lock(dir)?;
    copy(dir, scratch)?;
    let mut damage = Vec::new();
    for wal in wal_files(scratch)? {
        let original = dir.join(wal.file_name().unwrap_or_default());
        damage.extend(pass_over_damage(&wal, &original)?.into_iter().map(|found| found.to_string()));
    }
    let db = database(dir, scratch, &mut damage)?;
    let partitions = match (rows::partitions(&db), known.partitions) {
        (Ok(Some(stored)), _) => stored,
        (Err(error @ LogError::Open { .. }), _) => return Err(error),
        (_, Some(known)) => known,
        (_, None) => {
            let detail = "how many partitions it has is lost with the damage: say it by --partitions".to_owned();
            return Err(LogError::Open { dir: dir.to_path_buf(), detail });
        }
    };
    let id = rows::number(&db, &keys::ID).ok().flatten().map(LogId::from_bytes);
    let id = id.or(known.id).unwrap_or(LogId::from_bytes([0; 16]));
    let mut partitions_whole: Vec<_> = Shared::places(partitions).map(|place| whole(&db, place)).collect();
    for why in partitions_whole.iter_mut().filter_map(|whole| whole.why.as_mut()) {
        *why = of_original(why, dir, scratch);
    }
    let bounds: Vec<_> = partitions_whole.iter().map(|whole| Bounds { start: whole.start, end: whole.end }).collect();
    let shared = Arc::new(Shared::new(db, open::lock(scratch)?, partitions, &bounds));
    // Nobody appends: whoever asks for it is told that there is no appending thread.
    let (requests, _) = mpsc::channel(1);
    let room = Arc::new(Semaphore::new(QUEUE_KIB as usize));
    let log = Embedded { id, shared, requests, room, appender: Mutex::new(None) };
    Ok((log, Salvage { damage, partitions: partitions_whole }))
}

fn has_files(dir: &Path) -> bool {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    files.map(|file| file.file_name()).any(|name| {
        let name = name.to_string_lossy();
        name == "CURRENT" || name.ends_with(".sst") || name.starts_with("MANIFEST-")
    })
}

/// Copies what RocksDB needs. Table files, which never change, are linked where that is possible.
fn copy(dir: &Path, scratch: &Path) -> Result<(), LogError> {
    let failed = |file: &Path, error: io::Error| LogError::Read { detail: format!("{}: {error}", file.display()) };
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(scratch, error)),
        _ => {}
    }
    fs::create_dir_all(scratch).map_err(|error| failed(scratch, error))?;
    for file in fs::read_dir(dir).map_err(|error| failed(dir, error))? {
        let file = file.map_err(|error| failed(dir, error))?.path();
        let name = file.file_name().unwrap_or_default();
        let (to, text) = (scratch.join(name), name.to_string_lossy());
        let copied = match &*text {
            name if name.ends_with(".sst") => fs::hard_link(&file, &to).or_else(|_| fs::copy(&file, &to).map(drop)),
            name if name == "CURRENT" || name.starts_with("MANIFEST-") || name.ends_with(".log") => {
                fs::copy(&file, &to).map(drop)
            }
            _ => Ok(()),
        };
        copied.map_err(|error| failed(&file, error))?;
    }
    Ok(())
}

/// Opens the copy to be read, and where it does not open, puts it together from what is there.
fn database(dir: &Path, scratch: &Path, damage: &mut Vec<String>) -> Result<DB, LogError> {
    let why = match check_manifest(scratch) {
        Ok(()) => match DB::open_for_read_only(&tolerant(), scratch, false) {
            Ok(db) => return Ok(db),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    damage.push(of_original(&why, dir, scratch));
    let failed = |error: rocksdb::Error| LogError::Open { dir: dir.to_path_buf(), detail: error.to_string() };
    DB::repair(&tolerant(), scratch).map_err(failed)?;
    let lost = fs::read_dir(scratch.join("lost")).into_iter().flatten().flatten().map(|file| file.file_name());
    for name in lost.filter(|name| name.to_string_lossy().ends_with(".sst")) {
        damage.push(format!("nothing of the table file {} can be read", dir.join(name).display()));
    }
    DB::open_for_read_only(&tolerant(), scratch, false).map_err(failed)
}

/// What is wrong with a file of the copy, by the name of the file that it is a copy of.
fn of_original(why: &str, dir: &Path, scratch: &Path) -> String {
    why.replace(&*scratch.to_string_lossy(), &dir.to_string_lossy())
}

/// Opens also where table files are damaged or WAL files are missing: a gap shows that.
fn tolerant() -> Options {
    let mut options = options::database();
    options.set_paranoid_checks(false);
    options.set_track_and_verify_wals_in_manifest(false);
    options
}

/// Looks how far a partition is whole, record by record.
fn whole(db: &DB, place: Place) -> Whole {
    let offset = |key: &[u8]| rows::number(db, key).ok().flatten().map_or(0, u64::from_be_bytes);
    let (start, stored_end) = (offset(&place.start()), offset(&place.end()));
    let mut records = db.raw_iterator_opt(rows::partition_only(place));
    records.seek(place.record(start));
    let (mut end, mut why) = (start, None);
    while let Some((key, stored)) = records.item() {
        match place.offset(key) {
            None => break,
            Some(offset) if offset != end => why = Some("it is missing".to_owned()),
            Some(offset) => {
                let bytes = Bytes::copy_from_slice(stored);
                let range = 0..bytes.len();
                why = value::decode(offset, &place.record(offset), &bytes, range).err().map(str::to_owned);
            }
        }
        if why.is_some() {
            break;
        }
        end += 1;
        records.next();
    }
    if why.is_none() {
        why = match records.status() {
            Err(error) => Some(error.to_string()),
            Ok(()) if end < stored_end => Some("it is missing".to_owned()),
            Ok(()) => None,
        };
    }
    let mut last = db.raw_iterator_opt(rows::partition_only(place));
    last.seek_for_prev(place.record(u64::MAX));
    let last = last.key().and_then(|key| place.offset(key)).map_or(0, |offset| offset.saturating_add(1));
    let known_end = end.max(stored_end).max(last);
    Whole { topic: place.topic, partition: place.partition, start, end, known_end, why }
}
