//! How every store is opened: the same options, one identity, checked.

use std::{path::Path, sync::Arc};

use receipt_codec::{
    Corrupt, expiry,
    row::identity::{self, Identity},
};
use receipt_domain::settings::Settings;
use rocksdb::{BlockBasedOptions, CompactionDecision, DB, DBCompressionType, IteratorMode, Options, WriteOptions};

use crate::{error::StoreError, horizon::Horizon, resources::Resources};

const MIB: usize = 1 << 20;

/// Opens the database in a directory, or creates it for this identity.
pub(crate) fn open(
    dir: &Path,
    resources: &Resources,
    identity: &Identity,
    horizon: &Arc<Horizon>,
) -> Result<DB, StoreError> {
    let db = DB::open(&options(resources, identity.settings, horizon), dir).map_err(|error| {
        if is_in_use(&error) { StoreError::Locked { dir: dir.display().to_string() } } else { error.into() }
    })?;
    match db.get(identity::key())? {
        Some(value) => check(&identity::decode(&value)?, identity)?,
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

fn check(stored: &Identity, asked: &Identity) -> Result<(), StoreError> {
    const OTHER_LOG: &str = "give the directory of its own log, or delete the partition's store to fold it anew";
    const OTHER_SETTINGS: &str =
        "start with the stored value, or delete the partition's store to fold it anew with this one";
    let fail = |what, stored: String, asked: String, cure| Err(StoreError::Mismatch { what, stored, asked, cure });
    let hex = |id: &[u8; 16]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if stored.log_id != asked.log_id {
        return fail("log", hex(&stored.log_id), hex(&asked.log_id), OTHER_LOG);
    }
    if stored.partitions != asked.partitions {
        return fail("partitions", stored.partitions.to_string(), asked.partitions.to_string(), OTHER_LOG);
    }
    if stored.partition != asked.partition {
        return fail("partition", stored.partition.to_string(), asked.partition.to_string(), OTHER_LOG);
    }
    let (s, a) = (&stored.settings, &asked.settings);
    if s.retention_ms != a.retention_ms {
        return fail("retention", ms(s.retention_ms), ms(a.retention_ms), OTHER_SETTINGS);
    }
    if s.early_window_ms != a.early_window_ms {
        return fail("early_window", ms(s.early_window_ms), ms(a.early_window_ms), OTHER_SETTINGS);
    }
    if s.max_group_members != a.max_group_members {
        let (stored, asked) = (s.max_group_members.to_string(), a.max_group_members.to_string());
        return fail("max_group_members", stored, asked, OTHER_SETTINGS);
    }
    Ok(())
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
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(MIB);
    options.set_recycle_log_file_num(0);
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
