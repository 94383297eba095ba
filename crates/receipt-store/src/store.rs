//! One partition's store: opened for one log and one way to fold it, written a batch at a time.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use receipt_codec::row::{identity::Identity, policy};
use receipt_domain::{
    settings::Settings,
    state::Sweep,
    working_set::{ConversationNumber, Need, PolicyInForce, Position, WorkingSet},
};
use rocksdb::{DB, FlushOptions, ReadOptions, checkpoint::Checkpoint};

use crate::{batch, error::StoreError, horizon::Horizon, load, open, resources::Resources, sweep, view::View};

/// What a crash would come back to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durable {
    /// The next offset of receipts.conversations to be applied.
    pub conversations_offset: u64,
    /// The next offset of receipts.reads to be applied.
    pub reads_offset: u64,
}

/// Key and value of a row, as bytes.
pub type Row = (Box<[u8]>, Box<[u8]>);

/// A partition's store. Cheap to clone; there is one writer.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: DB,
    dir: PathBuf,
    settings: Settings,
    batch_bytes: usize,
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
        let db = open::open(dir, resources, identity, &horizon)?;
        Self::over(db, dir, resources, identity.settings, horizon)
    }

    /// Opens the store in a directory to be read only: nothing in the directory changes.
    ///
    /// # Errors
    /// If there is none, if it is damaged, or was created for another log, partition or settings (R7).
    pub fn open_read_only(dir: &Path, resources: &Resources, identity: &Identity) -> Result<Self, StoreError> {
        let db = open::open_read_only(dir, resources, identity)?;
        Self::over(db, dir, resources, identity.settings, Arc::default())
    }

    /// What the store in a directory, of receipts or of an inbox, was created for; `None` where there is none. Changes
    /// nothing.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn identity(dir: &Path) -> Result<Option<Identity>, StoreError> {
        open::identity(dir)
    }

    /// Makes the store in a directory, of receipts or of an inbox, which nobody has open, one of another log: of the copy
    /// of its own log that was given another identity. The offsets must mean the same in both.
    ///
    /// # Errors
    /// If it is of neither log, or can't be written.
    pub fn reidentify(
        dir: &Path,
        resources: &Resources,
        from: &[u8; 16],
        (log_id, origin): (&[u8; 16], &str),
    ) -> Result<(), StoreError> {
        open::reidentify(dir, resources, from, (log_id, origin))
    }

    fn over(
        db: DB,
        dir: &Path,
        resources: &Resources,
        settings: Settings,
        horizon: Arc<Horizon>,
    ) -> Result<Self, StoreError> {
        let progress = load::progress(&db, &ReadOptions::default())?;
        horizon.flushed(progress.log_time_ms);
        let durable =
            Durable { conversations_offset: progress.conversations_offset, reads_offset: progress.reads_offset };
        Ok(Self(Arc::new(Inner {
            db,
            dir: dir.to_owned(),
            settings,
            batch_bytes: resources.batch_bytes,
            horizon,
            log_time_ms: AtomicU64::new(progress.log_time_ms),
            durable: Mutex::new(durable),
        })))
    }

    /// Closes it, so that its directory can be moved. What is not flushed is written.
    ///
    /// # Errors
    /// Gives it back where somebody else has it too.
    pub fn close(self) -> Result<(), Self> {
        Arc::try_unwrap(self.0).map(drop).map_err(Self)
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// The settings it is folded by.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Bytes at which a batch of it is to be written (R8).
    #[must_use]
    pub fn batch_bytes(&self) -> usize {
        self.0.batch_bytes
    }

    /// An empty working set over it, for the fold.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn working_set(&self) -> Result<WorkingSet, StoreError> {
        let progress = load::progress(&self.0.db, &ReadOptions::default())?;
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

    /// The first pass over a group's messages that is not done, of the groups with a number from `from` on (S3).
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn next_sweep(&self, from: ConversationNumber) -> Result<Option<(ConversationNumber, Sweep)>, StoreError> {
        sweep::next(&self.0.db, from)
    }

    /// Of a store that was folded offline: senders are notified of those leaves that another store of the partition, at the
    /// same offsets, has not notified them of; of all, where there is none to go by (S3). It is not flushed.
    ///
    /// # Errors
    /// If one of the stores can't be read, or this one can't be written.
    pub fn notify_as(&self, other: Option<&Self>) -> Result<(), StoreError> {
        sweep::notify_as(&self.0.db, other.map(|other| &other.0.db))
    }

    /// Loads the last messages of a group that ask for receipts at or before a position, at most so many, and says their
    /// positions, falling.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn load_messages_before(
        &self,
        number: ConversationNumber,
        last: Position,
        max: usize,
        rows: &mut WorkingSet,
    ) -> Result<Vec<Position>, StoreError> {
        sweep::messages_before(&self.0.db, number, last, max, rows)
    }

    /// Writes what a batch changed, and its offsets, in one write (R2), and settles the rows.
    ///
    /// # Errors
    /// If nothing was written.
    pub fn commit(&self, rows: &mut WorkingSet) -> Result<(), StoreError> {
        let batch = batch::of(&self.0.db, rows)?;
        self.0.db.write_opt(batch, &open::no_wal())?;
        self.0.log_time_ms.store(rows.progress.log_time_ms, Ordering::Release);
        rows.settle();
        Ok(())
    }

    /// Makes what is written so far durable. Only the one writer may call it.
    ///
    /// # Errors
    /// If the flush failed; what was durable before still is.
    pub fn flush(&self) -> Result<Durable, StoreError> {
        let progress = load::progress(&self.0.db, &ReadOptions::default())?;
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.0.db.flush_opt(&options)?;
        let durable =
            Durable { conversations_offset: progress.conversations_offset, reads_offset: progress.reads_offset };
        *self.0.durable.lock().unwrap_or_else(PoisonError::into_inner) = durable;
        self.0.horizon.flushed(progress.log_time_ms);
        Ok(durable)
    }

    /// Flushes, and makes a copy of the store as it is then, in a directory that must not exist yet. The copy is a store
    /// by itself; on the same file system its files are hard links, and cost nothing. Only the one writer may call it.
    ///
    /// # Errors
    /// If the flush or the copy failed.
    pub fn checkpoint(&self, dir: &Path) -> Result<Durable, StoreError> {
        let durable = self.flush()?;
        Checkpoint::new(&self.0.db)?.create_checkpoint(dir)?;
        Ok(durable)
    }

    /// Looks for damage in its files that answers do not show: of what RocksDB can do without. The rest it checks whenever
    /// it reads it.
    ///
    /// # Errors
    /// [`StoreError::File`] for the first file that is damaged so, or cannot be read.
    pub fn check_files(&self) -> Result<(), StoreError> {
        open::check_files(&self.0.dir)
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
        open::disk_bytes(&self.0.dir)
    }

    /// Every row, in key order, for inspection and tests.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row, StoreError>> + '_ {
        self.0.db.iterator(rocksdb::IteratorMode::Start).map(|row| row.map_err(Into::into))
    }
}
