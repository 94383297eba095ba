//! The embedded engine: a durable log in this process, in a RocksDB of its own.
//!
//! One thread appends ([`appender`]); everybody reads. What an append has synced is published as its partition's end,
//! and readers stop there.

mod appender;
mod arrival;
mod copy;
mod keys;
mod open;
mod options;
mod read;
mod room;
mod rows;
mod salvage;
mod shared;
mod value;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use self::appender::{Answer, Checked, Message, Request};
pub use self::copy::{Copied, Extent};
use self::keys::Place;
pub(crate) use self::read::Span;
pub use self::salvage::{Known, Salvage, Whole};
use self::shared::Shared;
use crate::{Appended, Clock, CopiedRecord, LogError, LogId, NewRecord, StoredRecord, Topic, Writes};

/// Partitions of a log, at most.
pub const PARTITIONS_MAX: u32 = 1024;

/// How an embedded log is opened.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The log's directory, for nothing else; made where there is none.
    pub dir: PathBuf,
    /// Partitions of each topic, 1 to [`PARTITIONS_MAX`]; those of the log, where there is one.
    pub partitions: u32,
    /// How long messages are kept, in milliseconds; 0: for ever. The log itself deletes nothing but by
    /// [`crate::Log::trim`]: it refuses an arrival that would make everything in it expire at once.
    pub retention_ms: u64,
    /// The operator says that the clock is right, however far past the last arrival it stands, or accepts arrivals that
    /// are far ahead of it.
    pub accept_clock_jump: bool,
    /// Where arrivals come from.
    pub clock: Clock,
}

/// Requests that wait for the appender, at most.
const QUEUE_REQUESTS: usize = 4096;
/// KiB of records that async callers have waiting, at most; a caller beyond that waits with its own.
const QUEUE_KIB: u32 = 64 * 1024;

/// An open embedded log.
#[derive(Debug)]
pub(crate) struct Embedded {
    id: LogId,
    shared: Arc<Shared>,
    requests: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    appender: Mutex<Option<JoinHandle<()>>>,
}

impl Embedded {
    pub(crate) fn open(options: &EmbeddedOptions) -> Result<Embedded, LogError> {
        open::open(options)
    }

    /// The log of a directory, whatever its number of partitions.
    pub(crate) fn open_existing(dir: &Path) -> Result<Embedded, LogError> {
        let partitions = open::partitions(dir)?;
        let (dir, clock) = (dir.to_path_buf(), Clock::System);
        open::open(&EmbeddedOptions { dir, partitions, retention_ms: 0, accept_clock_jump: false, clock })
    }

    /// What is whole of the log in a directory, read from a copy in `scratch`.
    pub(crate) fn salvage(dir: &Path, scratch: &Path, known: Known) -> Result<(Embedded, Salvage), LogError> {
        salvage::open(dir, scratch, known)
    }

    pub(crate) fn checkpoint(&self, dir: &Path) -> Result<Copied, LogError> {
        copy::checkpoint(&self.shared, dir)
    }

    pub(crate) fn reidentify(dir: &Path) -> Result<LogId, LogError> {
        copy::reidentify(dir)
    }

    pub(crate) fn id(&self) -> LogId {
        self.id
    }

    pub(crate) fn partitions(&self) -> u32 {
        self.shared.partitions()
    }

    /// Appends what has been checked, from async code.
    pub(crate) async fn append(&self, batches: Checks) -> Answer {
        self.check_open()?;
        let kib = u32::try_from(batches.bytes / 1024 + 1).unwrap_or(u32::MAX).min(QUEUE_KIB);
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| LogError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let request = Request { batches: batches.batches, bytes: batches.bytes, answer, room: Some(room) };
        self.requests.send(Message::Append(request)).await.map_err(|_| self.gone())?;
        answered.await.map_err(|_| self.gone())?
    }

    /// Appends what has been checked, from a thread that may wait. Each such thread has one request at a time, so they
    /// need no share of the queue's room.
    pub(crate) fn append_blocking(&self, batches: Checks) -> Answer {
        self.check_open()?;
        let (answer, answered) = oneshot::channel();
        let request = Request { batches: batches.batches, bytes: batches.bytes, answer, room: None };
        self.requests.blocking_send(Message::Append(request)).map_err(|_| self.gone())?;
        answered.blocking_recv().map_err(|_| self.gone())?
    }

    /// Checks new records before they are queued.
    pub(crate) fn check(&self, batches: Vec<(Topic, u32, Vec<NewRecord>)>) -> Result<Checks, LogError> {
        let mut checks = Checks::default();
        for (topic, partition, records) in batches {
            checks.add(&self.shared, Place { topic, partition }, records, None)?;
        }
        Ok(checks)
    }

    /// Checks copied records before they are queued.
    pub(crate) fn check_copied(
        &self,
        topic: Topic,
        partition: u32,
        copied: Vec<CopiedRecord>,
    ) -> Result<Checks, LogError> {
        let mut checks = Checks::default();
        let (records, timestamps) = copied.into_iter().map(|copied| (copied.record, copied.timestamp_ms)).unzip();
        checks.add(&self.shared, Place { topic, partition }, records, Some(timestamps))?;
        Ok(checks)
    }

    pub(crate) fn read(&self, topic: Topic, partition: u32, span: Span) -> Result<Vec<StoredRecord>, LogError> {
        read::read(&self.shared, Place { topic, partition }, span)
    }

    /// `None` for a partition that the log does not have.
    pub(crate) fn start(&self, topic: Topic, partition: u32) -> Option<u64> {
        self.shared.slot(Place { topic, partition }).ok().map(|slot| self.shared.start(slot))
    }

    /// `None` for a partition that the log does not have.
    pub(crate) fn end(&self, topic: Topic, partition: u32) -> Option<u64> {
        self.shared.slot(Place { topic, partition }).ok().map(|slot| self.shared.end(slot))
    }

    /// `None` for a partition that the log does not have.
    pub(crate) fn watch_end(&self, topic: Topic, partition: u32) -> Option<watch::Receiver<u64>> {
        self.shared.slot(Place { topic, partition }).ok().map(|slot| self.shared.watch_end(slot))
    }

    pub(crate) fn trim(&self, topic: Topic, partition: u32, before: u64) -> Result<(), LogError> {
        self.shared.trim(Place { topic, partition }, before)
    }

    /// The last arrival, in milliseconds since 1970; 0 where no record has had one.
    pub(crate) fn last_arrival_ms(&self) -> u64 {
        self.shared.last_arrival_ms()
    }

    pub(crate) fn writes(&self) -> watch::Receiver<Writes> {
        self.shared.writes()
    }

    /// Refuses appends from now on while the disk has less than so many bytes free, or than a tenth of it, if that is less.
    pub(crate) fn keep_free(&self, bytes: u64) {
        let tenth = room::total_bytes(self.shared.db.path()).map_or(bytes, |total| total / 10);
        self.shared.keep_free(bytes.min(tenth));
    }

    /// Looks at the room on the disk, so that [`Embedded::writes`] tells it also where nobody appends. Bytes that are free.
    pub(crate) fn look_at_room(&self) -> Option<u64> {
        self.shared.look_at_room();
        room::free_bytes(self.shared.db.path())
    }

    /// Bytes of the files in the log's directory.
    pub(crate) fn disk_bytes(&self) -> u64 {
        // Files come and go meanwhile: one that has gone takes no room.
        let Ok(files) = fs::read_dir(self.shared.db.path()) else { return 0 };
        files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Appends what is queued and nothing after it, then flushes, so that the next start has no WAL to read.
    pub(crate) fn close(&self) -> Result<(), LogError> {
        self.stop();
        self.shared.check_failed()?;
        self.shared.db.flush().map_err(|error| self.shared.fail(error.to_string()))
    }

    /// Ends the appender's thread. The second time there is nothing to do.
    fn stop(&self) {
        self.shared.set_closed();
        self.room.close();
        // Where the queue is full there is something to wake the thread anyway.
        drop(self.requests.try_send(Message::Wake));
        let thread = self.appender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            self.shared.fail("the appending thread panicked".to_owned());
        }
    }

    fn check_open(&self) -> Result<(), LogError> {
        self.shared.check_failed()?;
        if self.is_closed() { Err(LogError::Closed) } else { Ok(()) }
    }

    /// Why the appender took or answered nothing.
    fn gone(&self) -> LogError {
        match self.check_open() {
            Err(error) => error,
            Ok(()) => self.shared.fail("the appending thread has ended".to_owned()),
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A request's batches, within all limits and for partitions that exist.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    batches: Vec<Checked>,
    bytes: usize,
}

impl Checks {
    /// Whether there is nothing to append.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.iter().all(|batch| batch.records.is_empty())
    }

    /// What is answered where there is nothing to append.
    pub(crate) fn nothing(&self) -> Vec<Vec<Appended>> {
        vec![Vec::new(); self.batches.len()]
    }

    fn add(
        &mut self,
        shared: &Shared,
        place: Place,
        records: Vec<NewRecord>,
        timestamps: Option<Vec<Option<u64>>>,
    ) -> Result<(), LogError> {
        let slot = shared.slot(place)?;
        for record in &records {
            record.check()?;
            self.bytes = self.bytes.saturating_add(record.bytes());
        }
        self.batches.push(Checked { place, slot, records, timestamps });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    /// After a failed write nobody knows whether its records are on the disk, so their offsets are given to no others.
    #[test]
    fn after_a_failed_write_the_log_takes_no_more_and_shows_what_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let (clock, _) = Clock::manual(0);
        let dir = dir.path().to_path_buf();
        let options = EmbeddedOptions { dir, partitions: 1, retention_ms: 0, accept_clock_jump: false, clock };
        let log = Embedded::open(&options).unwrap();
        let append = || {
            let batches = log.check(vec![(Topic::Reads, 0, vec![NewRecord::new("key", "value")])])?;
            log.append_blocking(batches)
        };
        assert_eq!(append().unwrap()[0][0].offset, 0);
        log.shared.fail_next_write.store(true, Ordering::SeqCst);
        let failed = LogError::Failed { reason: "a test said so".to_owned() };
        assert_eq!(append(), Err(failed.clone()));
        assert_eq!(append(), Err(failed.clone()));
        assert_eq!(log.trim(Topic::Reads, 0, 1), Err(failed.clone()));
        assert_eq!(log.end(Topic::Reads, 0), Some(1));
        let span = Span { from: 0, max_records: 10, max_bytes: 1_000, in_a_row: false };
        assert_eq!(log.read(Topic::Reads, 0, span).unwrap().len(), 1);
        assert_eq!(log.close(), Err(failed));
    }
}
