//! A partition of the inbox projection: what its senders are to be told, by sender and offset (R6, S34).

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use receipt_codec::row::{
    identity::Identity,
    inbox_entry,
    inbox_index::{self, InboxIndex},
    inbox_progress,
};
use receipt_domain::{
    id::UserId,
    inbox::{self, InboxDelta, InboxEntry, InboxProgress, Told},
    settings::Settings,
};
use rocksdb::{DB, Direction, FlushOptions, IteratorMode, ReadOptions, WriteBatch, checkpoint::Checkpoint};

use crate::{error::StoreError, horizon::Horizon, open, resources::Resources};

/// A partition's inboxes. Cheap to clone; there is one writer.
#[derive(Clone)]
pub struct InboxStore(Arc<Inner>);

struct Inner {
    db: DB,
    dir: PathBuf,
    settings: Settings,
    batch_bytes: usize,
    horizon: Arc<Horizon>,
    durable_offset: Mutex<u64>,
}

impl InboxStore {
    /// Opens the store in a directory, or creates it.
    ///
    /// # Errors
    /// If it is in use, damaged, or was created for another log, partition or settings (R7).
    pub fn open(dir: &Path, resources: &Resources, identity: &Identity) -> Result<Self, StoreError> {
        let horizon = Arc::new(Horizon::default());
        let db = open::open(dir, resources, identity, &horizon)?;
        let progress = read_progress(&db, &ReadOptions::default())?;
        horizon.flushed(progress.log_time_ms);
        let settings = identity.settings;
        Ok(Self(Arc::new(Inner {
            db,
            dir: dir.to_owned(),
            settings,
            batch_bytes: resources.batch_bytes,
            horizon,
            durable_offset: Mutex::new(progress.offset),
        })))
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// How far it is folded.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn progress(&self) -> Result<InboxProgress, StoreError> {
        read_progress(&self.0.db, &ReadOptions::default())
    }

    /// Joins deltas, which rise by offset, and writes what changed with the progress in one write (R2). Returns whose
    /// inbox changed.
    ///
    /// # Errors
    /// If nothing was written.
    pub fn apply(
        &self,
        deltas: Vec<(UserId, InboxDelta)>,
        progress: &InboxProgress,
    ) -> Result<Vec<UserId>, StoreError> {
        let mut batch = WriteBatch::default();
        // What this batch has written, over what the store has; by index key.
        let mut written: HashMap<Vec<u8>, (UserId, u64, InboxEntry)> = HashMap::new();
        for (sender, delta) in deltas {
            let offset = delta.offset;
            let told = Told::of(&delta.change);
            let key = inbox_index::key_of(&sender, &told);
            let before = match written.remove(&key) {
                Some((_, before, entry)) => Some((before, entry)),
                None => self.stored(&sender, &key)?,
            };
            let kept = before.clone().filter(|(_, entry)| self.0.settings.keeps(entry.log_time_ms, delta.log_time_ms));
            match (inbox::join(kept.map(|(_, entry)| entry), delta), before) {
                (Some(entry), before) => {
                    if let Some((before, _)) = before {
                        batch.delete(inbox_entry::key(&sender, before));
                    }
                    written.insert(key, (sender, offset, entry));
                }
                (None, Some((before, entry))) => {
                    written.insert(key, (sender, before, entry));
                }
                (None, None) => {}
            }
        }
        let mut changed = Vec::with_capacity(written.len());
        for (key, (sender, offset, entry)) in written {
            let index = InboxIndex { offset, log_time_ms: entry.log_time_ms };
            batch.put(key, inbox_index::encode(&index)?);
            batch.put(inbox_entry::key(&sender, offset), inbox_entry::encode(&entry)?);
            changed.push(sender);
        }
        batch.put(inbox_progress::key(), inbox_progress::encode(progress)?);
        self.0.db.write_opt(batch, &open::no_wal())?;
        changed.sort_unstable();
        changed.dedup();
        Ok(changed)
    }

    fn stored(&self, sender: &UserId, key: &[u8]) -> Result<Option<(u64, InboxEntry)>, StoreError> {
        let Some(value) = self.0.db.get_pinned(key)? else { return Ok(None) };
        let offset = inbox_index::decode(&value)?.offset;
        let Some(value) = self.0.db.get_pinned(inbox_entry::key(sender, offset))? else { return Ok(None) };
        Ok(Some((offset, inbox_entry::decode(&value)?)))
    }

    /// What a sender is to be told from an offset on, oldest first, at most `limit` entries; and how far the inbox was
    /// folded at that moment.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn after(
        &self,
        sender: &UserId,
        offset: u64,
        limit: usize,
    ) -> Result<(Vec<(u64, InboxEntry)>, InboxProgress), StoreError> {
        let snapshot = self.0.db.snapshot();
        let mut options = ReadOptions::default();
        options.set_snapshot(&snapshot);
        let progress = read_progress(&self.0.db, &options)?;
        let mut end = inbox_entry::key(sender, u64::MAX);
        end.push(0);
        options.set_iterate_upper_bound(end);
        let first = inbox_entry::key(sender, offset);
        let mut entries = Vec::new();
        for row in self.0.db.iterator_opt(IteratorMode::From(&first, Direction::Forward), options) {
            if entries.len() == limit {
                break;
            }
            let (key, value) = row?;
            let entry = inbox_entry::decode(&value)?;
            if self.0.settings.keeps(entry.log_time_ms, progress.log_time_ms) {
                entries.push((inbox_entry::decode_key(&key)?.1, entry));
            }
        }
        Ok((entries, progress))
    }

    /// Makes what is written so far durable. Only the one writer may call it.
    ///
    /// # Errors
    /// If the flush failed; what was durable before still is.
    pub fn flush(&self) -> Result<(), StoreError> {
        let progress = self.progress()?;
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.0.db.flush_opt(&options)?;
        *self.0.durable_offset.lock().unwrap_or_else(PoisonError::into_inner) = progress.offset;
        self.0.horizon.flushed(progress.log_time_ms);
        Ok(())
    }

    /// Flushes, and makes a copy of the store as it is then, in a directory that must not exist yet, as
    /// [`crate::Store::checkpoint`] does. Answers how far the copy is. Only the one writer may call it.
    ///
    /// # Errors
    /// If the flush or the copy failed.
    pub fn checkpoint(&self, dir: &Path) -> Result<InboxProgress, StoreError> {
        self.flush()?;
        let progress = self.progress()?;
        Checkpoint::new(&self.0.db)?.create_checkpoint(dir)?;
        Ok(progress)
    }

    /// The next offset to be applied after a crash.
    #[must_use]
    pub fn durable_offset(&self) -> u64 {
        *self.0.durable_offset.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that a batch of it may take in memory (R8).
    #[must_use]
    pub fn batch_bytes(&self) -> usize {
        self.0.batch_bytes
    }

    /// The settings it is kept by.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Bytes of its files.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        open::disk_bytes(self.0.db.path())
    }
}

fn read_progress(db: &DB, options: &ReadOptions) -> Result<InboxProgress, StoreError> {
    Ok(match db.get_opt(inbox_progress::key(), options)? {
        Some(value) => inbox_progress::decode(&value)?,
        None => InboxProgress::default(),
    })
}
