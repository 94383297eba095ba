//! What the appender and the readers of an embedded log share.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rocksdb::{DB, WriteBatch};
use tokio::sync::watch;

use super::keys::Place;
use super::options;
use super::room::{self, Refuses, Room};
use super::rows::Bounds;
use crate::{LogError, Topic, Writes};

/// The database, and the offsets that readers may see.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) db: DB,
    /// Each partition of each topic, in the order of [`Shared::slot`].
    slots: Vec<Slot>,
    partitions: u32,
    /// Whether it takes records.
    writes: watch::Sender<Writes>,
    room: Room,
    closed: AtomicBool,
    /// The last arrival, in milliseconds since 1970; 0 where no record has had one.
    last_arrival_ms: AtomicU64,
    /// Held by a trim, so that starts only rise.
    trimming: Mutex<()>,
    /// Tests make the next write fail.
    #[cfg(test)]
    pub(super) fail_next_write: AtomicBool,
    /// Locked as long as the database is open; the fields before it are dropped before it.
    _lock: File,
}

#[derive(Debug)]
struct Slot {
    start: AtomicU64,
    /// The next offset of what is durable.
    end: watch::Sender<u64>,
}

impl Shared {
    /// Of a database that has these offsets, one a slot.
    pub(super) fn new(db: DB, lock: File, partitions: u32, bounds: &[Bounds]) -> Shared {
        let slots = bounds
            .iter()
            .map(|bounds| Slot { start: AtomicU64::new(bounds.start), end: watch::Sender::new(bounds.end) })
            .collect();
        Shared {
            db,
            slots,
            partitions,
            writes: watch::Sender::new(Writes::Taken),
            room: Room::default(),
            closed: AtomicBool::new(false),
            last_arrival_ms: AtomicU64::new(0),
            trimming: Mutex::new(()),
            #[cfg(test)]
            fail_next_write: AtomicBool::new(false),
            _lock: lock,
        }
    }

    pub(super) fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Where a partition stands among the slots.
    pub(super) fn slot(&self, place: Place) -> Result<usize, LogError> {
        if place.partition >= self.partitions {
            let last = self.partitions.saturating_sub(1);
            return Err(LogError::NoSuchPartition { partition: place.partition, last });
        }
        Ok(usize::from(place.topic.code() - 1) * self.partitions as usize + place.partition as usize)
    }

    /// All partitions, in the order of their slots.
    pub(super) fn places(partitions: u32) -> impl Iterator<Item = Place> {
        Topic::ALL.into_iter().flat_map(move |topic| (0..partitions).map(move |partition| Place { topic, partition }))
    }

    pub(super) fn start(&self, slot: usize) -> u64 {
        self.slots[slot].start.load(Ordering::Acquire)
    }

    pub(super) fn end(&self, slot: usize) -> u64 {
        *self.slots[slot].end.borrow()
    }

    pub(super) fn watch_end(&self, slot: usize) -> watch::Receiver<u64> {
        self.slots[slot].end.subscribe()
    }

    /// Shows readers what is now durable.
    pub(super) fn publish_end(&self, slot: usize, end: u64) {
        self.slots[slot].end.send_replace(end);
    }

    /// Milliseconds since 1970; 0 where no record has had an arrival.
    pub(super) fn last_arrival_ms(&self) -> u64 {
        self.last_arrival_ms.load(Ordering::Acquire)
    }

    /// Shows the last arrival of what is now durable.
    pub(super) fn publish_last_arrival(&self, last_ms: Option<u64>) {
        self.last_arrival_ms.store(last_ms.unwrap_or(0), Ordering::Release);
    }

    /// Writes and syncs. After an error nobody knows what the disk has, so there is no other write.
    pub(super) fn write(&self, batch: WriteBatch) -> Result<(), LogError> {
        self.check_failed()?;
        #[cfg(test)]
        if self.fail_next_write.swap(false, Ordering::SeqCst) {
            return Err(self.fail("a test said so".to_owned()));
        }
        self.db.write_opt(batch, &options::synced()).map_err(|error| self.fail(error.to_string()))
    }

    /// Takes no more records from now on.
    pub(super) fn fail(&self, reason: String) -> LogError {
        tracing::error!(reason, "the log takes no more records");
        self.writes.send_if_modified(|writes| {
            // The first reason stays.
            let first = !matches!(writes, Writes::Failed { .. });
            if first {
                *writes = Writes::Failed { why: reason.clone() };
            }
            first
        });
        self.check_failed().err().unwrap_or(LogError::Failed { reason })
    }

    pub(super) fn writes(&self) -> watch::Receiver<Writes> {
        self.writes.subscribe()
    }

    pub(super) fn keep_free(&self, bytes: u64) {
        self.room.keep_free(bytes);
    }

    /// Looks at the room on the disk, and tells whose appends are refused for want of it.
    pub(super) fn look_at_room(&self) -> Refuses {
        let Some(free_bytes) = room::free_bytes(self.db.path()) else { return Refuses::default() };
        let refused = matches!(&*self.writes.borrow(), Writes::Refused { .. });
        let refuses = self.room.refuses(free_bytes, refused);
        if refused != refuses.callers.is_some() {
            let changed = self.writes.send_if_modified(|writes| {
                if let Writes::Failed { .. } = writes {
                    return false;
                }
                *writes = match &refuses.callers {
                    Some(error) => Writes::Refused { why: error.to_string() },
                    None => Writes::Taken,
                };
                true
            });
            match &refuses.callers {
                Some(error) if changed => tracing::error!(%error, "the log refuses records"),
                None if changed => tracing::info!(free_mib = free_bytes >> 20, "the log takes records again"),
                _ => {}
            }
        }
        refuses
    }

    pub(super) fn check_failed(&self) -> Result<(), LogError> {
        match &*self.writes.borrow() {
            Writes::Failed { why } => Err(LogError::Failed { reason: why.clone() }),
            Writes::Taken | Writes::Refused { .. } => Ok(()),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Refuses what comes from now on, and wakes those who wait for more.
    pub(super) fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
        for slot in &self.slots {
            slot.end.send_modify(|_| ());
        }
    }

    /// Takes away the records of a partition before an offset.
    pub(super) fn trim(&self, place: Place, before: u64) -> Result<(), LogError> {
        let slot = self.slot(place)?;
        let _one_at_a_time = self.trimming.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_failed()?;
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        let (start, end) = (self.start(slot), self.end(slot));
        if before <= start {
            return Ok(());
        }
        if before > end {
            return Err(LogError::PastEnd { topic: place.topic, partition: place.partition, from: before, end });
        }
        // Before the write, so that a reader who misses a record finds the reason here.
        self.slots[slot].start.store(before, Ordering::Release);
        let mut batch = WriteBatch::new();
        batch.delete_range(place.record(start), place.record(before));
        batch.put(place.start(), before.to_be_bytes());
        self.write(batch)?;
        // Whole files go at once; the rest when RocksDB next rewrites them. (The last key is included.)
        if let Err(error) = self.db.delete_file_in_range(place.record(start), place.record(before - 1)) {
            tracing::warn!(%error, "trimmed records stay on the disk until the next compaction");
        }
        Ok(())
    }
}
