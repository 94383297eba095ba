//! How every store is opened: the same options, one identity, checked.

use std::{path::Path, sync::Arc};

use receipt_codec::{
    Corrupt, expiry,
    row::identity::{self, Identity},
};
use receipt_dbfiles::{check_before_open, check_closed};
use receipt_domain::settings::Settings;
use rocksdb::{
    BlockBasedOptions, CompactionDecision, DB, DBCompressionType, ErrorKind, IteratorMode, Options, WriteOptions,
};

use crate::{error::StoreError, horizon::Horizon, resources::Resources, table_file};

const MIB: usize = 1 << 20;
/// RocksDB's first file.
const CURRENT: &str = "CURRENT";
/// Of RocksDB's own log, which each opening begins anew.
pub(crate) const LOG_FILES: usize = 4;

/// Opens the database in a directory, or creates it for this identity.
pub(crate) fn open(
    dir: &Path,
    resources: &Resources,
    identity: &Identity,
    horizon: &Arc<Horizon>,
) -> Result<DB, StoreError> {
    let db = database(dir, || DB::open(&options(resources, identity.settings, horizon), dir))?;
    match db.get(identity::key())? {
        Some(value) => check(&identity::decode(&value)?, identity, dir)?,
        None if db.iterator(IteratorMode::Start).next().transpose()?.is_some() => {
            return Err(Corrupt { what: "identity", why: "it is missing, and there are other rows".to_owned() }.into());
        }
        None => {
            db.put_opt(identity::key(), identity::encode(identity)?, &no_wal())?;
            // A store without its identity could not be told from another's.
            db.flush()?;
        }
    }
    Ok(db)
}

/// Whether there is a store in a directory.
pub(crate) fn is_store(dir: &Path) -> bool {
    dir.join(CURRENT).is_file()
}

/// What the store in a directory was created for; `None` where there is none. Changes nothing, and needs no lock.
pub(crate) fn identity(dir: &Path) -> Result<Option<Identity>, StoreError> {
    if !is_store(dir) {
        return Ok(None);
    }
    let db = open_unchecked(dir)?;
    let value = db.get(identity::key())?;
    let missing = || Corrupt { what: "identity", why: "it is missing".to_owned() };
    Ok(Some(identity::decode(&value.ok_or_else(missing)?)?))
}

/// Opens the database in a directory to be read only, whatever it was created for.
pub(crate) fn open_unchecked(dir: &Path) -> Result<DB, StoreError> {
    let mut options = Options::default();
    options.set_keep_log_file_num(LOG_FILES);
    database(dir, || DB::open_for_read_only(&options, dir, false))
}

/// Opens the database in a directory to be read only.
pub(crate) fn open_read_only(dir: &Path, resources: &Resources, asked: &Identity) -> Result<DB, StoreError> {
    let mut options = options(resources, asked.settings, &Arc::default());
    options.create_if_missing(false);
    let db = database(dir, || DB::open_for_read_only(&options, dir, false))?;
    let value = db.get(identity::key())?;
    let missing = || Corrupt { what: "identity", why: "it is missing".to_owned() };
    check(&identity::decode(&value.ok_or_else(missing)?)?, asked, dir)?;
    Ok(db)
}

/// Makes a store that is of the log `from` one of another log. Anything else of it stays.
pub(crate) fn reidentify(
    dir: &Path,
    resources: &Resources,
    from: &[u8; 16],
    (log_id, origin): (&[u8; 16], &str),
) -> Result<(), StoreError> {
    let missing = || Corrupt { what: "identity", why: "there is no store".to_owned() };
    let mut identity = self::identity(dir)?.ok_or_else(missing)?;
    if identity.log_id != *from && identity.log_id != *log_id {
        let (stored, asked) = (identity.origin, "the log that it is to be taken from".to_owned());
        let cure = "restore it anew from its snapshot".to_owned();
        return Err(StoreError::Mismatch { what: "log", stored, asked, cure });
    }
    let mut options = options(resources, identity.settings, &Arc::default());
    options.create_if_missing(false);
    options.set_disable_auto_compactions(true);
    let db = database(dir, || DB::open(&options, dir))?;
    identity.log_id = *log_id;
    origin.clone_into(&mut identity.origin);
    db.put_opt(identity::key(), identity::encode(&identity)?, &no_wal())?;
    db.flush()?;
    Ok(())
}

/// Opens a database after its files were checked: some damage keeps RocksDB busy indefinitely.
fn database(dir: &Path, open: impl FnOnce() -> Result<DB, rocksdb::Error>) -> Result<DB, StoreError> {
    check_before_open(dir)?;
    open().map_err(|error| {
        if is_in_use(&error) { StoreError::Locked { dir: dir.display().to_string() } } else { named(dir, error) }
    })
}

/// RocksDB blames its MANIFEST for a table file that does not open: which one it is.
fn named(dir: &Path, error: rocksdb::Error) -> StoreError {
    let damaged = if error.kind() == ErrorKind::Corruption { check_files(dir) } else { Ok(()) };
    damaged.err().unwrap_or_else(|| error.into())
}

/// Looks for damage in the files of a store, other than of its rows, which RocksDB checks when it reads them.
pub(crate) fn check_files(dir: &Path) -> Result<(), StoreError> {
    let fail = |file: &Path, why: String| Err(StoreError::File { file: file.display().to_string(), why });
    let mut tables = Vec::new();
    for file in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = file.path();
        if path.extension().is_some_and(|extension| extension == "sst") {
            tables.push(path);
        }
    }
    tables.sort();
    for table in tables {
        match table_file::damage(&table) {
            Ok(None) => {}
            Ok(Some(why)) => return fail(&table, why),
            // Of a store that is in use, one that was not needed any more.
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
            Err(why) => return fail(&table, format!("it cannot be read: {why}")),
        }
    }
    Ok(check_closed(dir)?)
}

/// Whether someone holds the database: this process, or another. RocksDB has no kind of error for it, and other texts
/// have "lock" in them too, as in "block".
fn is_in_use(error: &rocksdb::Error) -> bool {
    let text = error.to_string();
    text.starts_with("IO error: lock hold by current process") || text.starts_with("IO error: While lock file")
}

/// The log is the WAL.
pub(crate) fn no_wal() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

fn check(stored: &Identity, asked: &Identity, dir: &Path) -> Result<(), StoreError> {
    let anew = format!("stop receiptd and `rm -r {}`, and it is folded anew", dir.display());
    let other_log = format!("start with its own log, or {anew} from this one");
    let other_settings = other_settings(dir, &asked.settings);
    let fail = |what, stored: String, asked: String, cure: &str| {
        Err(StoreError::Mismatch { what, stored, asked, cure: cure.to_owned() })
    };
    if stored.log_id != asked.log_id {
        let (stored, asked) = differences(&stored.origin, &asked.origin);
        return fail("log", stored, asked, &other_log);
    }
    if stored.partitions != asked.partitions {
        return fail("partitions", stored.partitions.to_string(), asked.partitions.to_string(), &other_log);
    }
    if stored.partition != asked.partition {
        return fail("partition", stored.partition.to_string(), asked.partition.to_string(), &other_log);
    }
    let (s, a) = (&stored.settings, &asked.settings);
    if s.retention_ms != a.retention_ms {
        return fail("retention", ms(s.retention_ms), ms(a.retention_ms), &other_settings);
    }
    if s.early_window_ms != a.early_window_ms {
        return fail("early_window", ms(s.early_window_ms), ms(a.early_window_ms), &other_settings);
    }
    if s.max_group_members != a.max_group_members {
        let (stored, asked) = (s.max_group_members.to_string(), a.max_group_members.to_string());
        return fail("max_group_members", stored, asked, &other_settings);
    }
    Ok(())
}

/// With which command a store becomes one of other settings. All partitions have the same ones, and so have the inboxes.
fn other_settings(dir: &Path, asked: &Settings) -> String {
    let data_dir = data_dir(dir).display();
    let Settings { retention_ms, early_window_ms, max_group_members } = *asked;
    format!(
        "start with the stored value, or stop receiptd and run `receiptctl replay rebuild --data-dir {data_dir} \
         --retention {} --early-window {} --max-group-members {max_group_members}`, which folds the log anew with this one",
        ms(retention_ms),
        ms(early_window_ms),
    )
}

/// The data directory that a partition's store is in: DIR/receipts/N or DIR/inboxes/N.
fn data_dir(store: &Path) -> &Path {
    store.ancestors().nth(2).filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(store)
}

/// What two logs are, without the parts in which they are the same: a topic that was created again stands out so.
fn differences(one: &str, other: &str) -> (String, String) {
    let parts = |text: &str, but: &str| {
        let but: Vec<_> = but.split(", ").collect();
        text.split(", ").filter(|part| !but.contains(part)).map(str::to_owned).collect::<Vec<_>>().join(", ")
    };
    (parts(one, other), parts(other, one))
}

fn ms(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

fn options(resources: &Resources, settings: Settings, horizon: &Arc<Horizon>) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&resources.cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_bloom_filter(10.0, false);
    // Neighbours' readers are mostly the same: larger blocks let the compression see it.
    blocks.set_block_size(16 * 1024);
    blocks.set_format_version(6);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_manager(&resources.write_buffers);
    options.set_write_buffer_size(64 * MIB);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(LOG_FILES);
    options.set_max_log_file_size(MIB);
    options.set_recycle_log_file_num(0);
    if let Some(tables) = resources.open_tables {
        options.set_max_open_files(tables);
    }
    let horizon = Arc::clone(horizon);
    options.set_compaction_filter("receipts.expiry", move |_level, key: &[u8], value: &[u8]| {
        // What cannot be read is kept, for whoever reads it to say so.
        match expiry::is_expired(&settings, horizon.ms(), key, value) {
            Ok(true) => CompactionDecision::Remove,
            Ok(false) | Err(_) => CompactionDecision::Keep,
        }
    });
    options
}

/// Bytes of a store's files.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_logs_it_is_told_what_differs() {
        let (one, other) =
            ("Kafka cluster c, topic reads 1, topic deltas 3", "Kafka cluster c, topic reads 2, topic deltas 3");
        assert_eq!(differences(one, other), ("topic reads 1".to_owned(), "topic reads 2".to_owned()));
        let (one, other) = ("embedded log a", "Kafka cluster c, topic reads 1");
        assert_eq!(differences(one, other), (one.to_owned(), other.to_owned()));
    }
}
