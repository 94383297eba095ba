//! One partition's store: opened for one log and one way to fold it, written a batch at a time.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use receipt_codec::{
    expiry,
    row::{identity, identity::Identity, policy, progress},
};
use receipt_domain::{
    settings::Settings,
    state::Progress,
    working_set::{Need, PolicyInForce, WorkingSet},
};
use rocksdb::{
    BlockBasedOptions, Cache, CompactionDecision, DB, DBCompressionType, FlushOptions, Options, ReadOptions,
    WriteBufferManager, WriteOptions,
};

use crate::{batch, error::StoreError, horizon::Horizon, load, view::View};

const MIB: usize = 1 << 20;

/// Memory that all partitions of a process share.
#[derive(Clone)]
pub struct Resources {
    cache: Cache,
    write_buffers: WriteBufferManager,
}

impl Resources {
    /// A block cache and a write-buffer budget of these sizes.
    #[must_use]
    pub fn new(block_cache_bytes: usize, write_buffer_bytes: usize) -> Self {
        Self {
            cache: Cache::new_lru_cache(block_cache_bytes),
            write_buffers: WriteBufferManager::new_write_buffer_manager(write_buffer_bytes, false),
        }
    }
}

impl Default for Resources {
    /// 256 MiB of cache, and 256 MiB of write buffers.
    fn default() -> Self {
        Self::new(256 * MIB, 256 * MIB)
    }
}

/// What a crash would come back to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durable {
    /// The next offset of receipts.conversations to be applied.
    pub conversations_offset: u64,
    /// The next offset of receipts.reads to be applied.
    pub reads_offset: u64,
}

/// A partition's store. Cheap to clone; there is one writer.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: DB,
    dir: PathBuf,
    settings: Settings,
    horizon: Arc<Horizon>,
    /// Of the last write.
    log_time_ms: AtomicU64,
    durable: Mutex<Durable>,
}

impl Store {
    /// Opens the store in a directory, or creates it.
    ///
    /// # Errors
    /// If it is in use, damaged, or was created for another log, partition or settings (R7).
    pub fn open(dir: &Path, resources: &Resources, identity: &Identity) -> Result<Self, StoreError> {
        let horizon = Arc::new(Horizon::default());
        let db = DB::open(&options(resources, identity.settings, &horizon), dir).map_err(|error| {
            if error.to_string().contains("lock") {
                StoreError::Locked { dir: dir.display().to_string() }
            } else {
                error.into()
            }
        })?;
        match db.get(identity::key())? {
            Some(value) => check(&identity::decode(&value)?, identity)?,
            None => {
                db.put_opt(identity::key(), identity::encode(identity)?, &no_wal())?;
                // A store without its identity could not be told from another's.
                db.flush()?;
            }
        }
        let progress = read_progress(&db, &ReadOptions::default())?;
        horizon.flushed(progress.log_time_ms);
        let durable =
            Durable { conversations_offset: progress.conversations_offset, reads_offset: progress.reads_offset };
        Ok(Self(Arc::new(Inner {
            db,
            dir: dir.to_owned(),
            settings: identity.settings,
            horizon,
            log_time_ms: AtomicU64::new(progress.log_time_ms),
            durable: Mutex::new(durable),
        })))
    }

    /// The settings it is folded by.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// An empty working set over it, for the fold.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn working_set(&self) -> Result<WorkingSet, StoreError> {
        let progress = read_progress(&self.0.db, &ReadOptions::default())?;
        let policy = match progress.policies.checked_sub(1) {
            None => PolicyInForce::EveryGroupType,
            Some(last) => match self.0.db.get(policy::key(last))? {
                Some(value) => (&policy::decode(&value)?).into(),
                None => {
                    return Err(
                        receipt_codec::Corrupt { what: "policy", why: format!("number {last} is missing") }.into()
                    );
                }
            },
        };
        Ok(WorkingSet::over_store(progress, policy))
    }

    /// Loads rows for the fold.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn load(&self, needs: &[Need], rows: &mut WorkingSet) -> Result<(), StoreError> {
        load::load(&self.0.db, &ReadOptions::default, needs, rows)
    }

    /// Writes what a batch changed, and its offsets, in one write (R2), and settles the rows.
    ///
    /// # Errors
    /// If nothing was written.
    pub fn commit(&self, rows: &mut WorkingSet) -> Result<(), StoreError> {
        let batch = batch::of(&self.0.db, rows)?;
        self.0.db.write_opt(batch, &no_wal())?;
        self.0.log_time_ms.store(rows.progress.log_time_ms, Ordering::Release);
        rows.settle();
        Ok(())
    }

    /// Makes what is written so far durable. Only the one writer may call it.
    ///
    /// # Errors
    /// If the flush failed; what was durable before still is.
    pub fn flush(&self) -> Result<Durable, StoreError> {
        let progress = read_progress(&self.0.db, &ReadOptions::default())?;
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.0.db.flush_opt(&options)?;
        let durable =
            Durable { conversations_offset: progress.conversations_offset, reads_offset: progress.reads_offset };
        *self.0.durable.lock().unwrap_or_else(PoisonError::into_inner) = durable;
        self.0.horizon.flushed(progress.log_time_ms);
        Ok(durable)
    }

    /// What a crash would come back to.
    #[must_use]
    pub fn durable(&self) -> Durable {
        *self.0.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of this moment, for queries.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn view(&self) -> Result<View<'_>, StoreError> {
        // Held before the snapshot is taken, so that nothing it sees can go in between.
        let held = self.0.horizon.hold(self.0.log_time_ms.load(Ordering::Acquire));
        View::take(&self.0.db, self.0.settings, &self.0.horizon, held)
    }

    /// Deletes what is expired behind the durable log time by rewriting all files. They go by themselves in time; this
    /// is for those who want to see it.
    pub fn compact(&self) {
        self.0.db.compact_range(None::<&[u8]>, None::<&[u8]>);
    }

    /// Bytes of its files.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let files = std::fs::read_dir(&self.0.dir).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// Every row, in key order, for inspection and tests.
    pub fn rows(&self) -> impl Iterator<Item = Result<(Box<[u8]>, Box<[u8]>), StoreError>> + '_ {
        self.0.db.iterator(rocksdb::IteratorMode::Start).map(|row| row.map_err(Into::into))
    }
}

pub(crate) fn read_progress(db: &DB, options: &ReadOptions) -> Result<Progress, StoreError> {
    Ok(match db.get_opt(progress::key(), options)? {
        Some(value) => progress::decode(&value)?,
        None => Progress::default(),
    })
}

fn no_wal() -> WriteOptions {
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
