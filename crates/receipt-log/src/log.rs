//! The log as the service sees it, whichever engine keeps it.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use crate::embedded::{Checks, Embedded, Span};
use crate::kafka::{self, Kafka};
use crate::{
    Appended, Batch, Copied, CopiedRecord, EmbeddedOptions, KafkaOptions, Known, LogError, LogId, NewRecord, Reader,
    Salvage, StoredRecord, Topic, Writes, murmur2,
};

/// A handle to an open log, cheap to clone. The log is closed by [`Log::close`], or when the last handle and the last
/// [`Reader`] are dropped; its directory is free again when they are.
#[derive(Debug, Clone)]
pub struct Log {
    engine: Engine,
}

#[derive(Debug, Clone)]
pub(crate) enum Engine {
    Embedded(Arc<Embedded>),
    Kafka(Arc<Kafka>),
}

impl Log {
    /// Opens the embedded log in a directory, or creates it there. Reads what a crash left in its WAL first.
    ///
    /// # Errors
    /// [`LogError::Locked`], [`LogError::PartitionCount`], [`LogError::BadPartitionCount`]; [`LogError::Damaged`] where
    /// anything that was acknowledged cannot be read back; [`LogError::Open`] for whatever the disk says.
    pub fn open_embedded(options: EmbeddedOptions) -> Result<Log, LogError> {
        Ok(Log { engine: Engine::Embedded(Arc::new(Embedded::open(&options)?)) })
    }

    /// Opens the embedded log in a directory, whatever its number of partitions: for tools that read one log or copy it.
    /// Nothing expires.
    ///
    /// # Errors
    /// [`LogError::NoLog`], and as [`Log::open_embedded`].
    pub fn open_embedded_existing(dir: &Path) -> Result<Log, LogError> {
        Ok(Log { engine: Engine::Embedded(Arc::new(Embedded::open_existing(dir)?)) })
    }

    /// Opens what is whole of a damaged embedded log, which nobody has open: of each partition the records before the first
    /// that is damaged or missing. It is read from a copy in `scratch`, which is made, and deleted first where it is there;
    /// the log itself stays as it is. Nothing can be appended. `known` is taken where the damage has taken it.
    ///
    /// # Errors
    /// [`LogError::NoLog`], [`LogError::Locked`], [`LogError::Read`]; [`LogError::Open`] where nothing can be read.
    pub fn salvage_embedded(dir: &Path, scratch: &Path, known: Known) -> Result<(Log, Salvage), LogError> {
        let (log, salvage) = Embedded::salvage(dir, scratch, known)?;
        Ok((Log { engine: Engine::Embedded(Arc::new(log)) }, salvage))
    }

    /// Opens a log on Kafka, whose topics must be there. Waits a while for brokers that are being started.
    ///
    /// # Errors
    /// [`LogError::Setting`], [`LogError::Unreachable`], [`LogError::Topic`], [`LogError::Unavailable`].
    pub async fn open_kafka(options: KafkaOptions) -> Result<Log, LogError> {
        Ok(Log { engine: Engine::Kafka(Kafka::open(options).await?) })
    }

    /// What it is, for people: two logs are the same if this is.
    #[must_use]
    pub fn origin(&self) -> String {
        match &self.engine {
            Engine::Embedded(log) => format!("embedded log {}", log.id()),
            Engine::Kafka(log) => log.origin(),
        }
    }

    /// Whether the log takes records, to wait for changes.
    #[must_use]
    pub fn writes(&self) -> watch::Receiver<Writes> {
        match &self.engine {
            Engine::Embedded(log) => log.writes(),
            Engine::Kafka(log) => log.writes(),
        }
    }

    /// The embedded log refuses appends from now on while its disk has less than so many bytes free, or less than a tenth of
    /// it where that is less.
    pub fn keep_free(&self, bytes: u64) {
        if let Engine::Embedded(log) = &self.engine {
            log.keep_free(bytes);
        }
    }

    /// Looks at the room on the embedded log's disk, so that [`Log::writes`] tells what there is also where nobody appends.
    /// Bytes that are free. Not for async code.
    #[must_use]
    pub fn look_at_room(&self) -> Option<u64> {
        match &self.engine {
            Engine::Embedded(log) => log.look_at_room(),
            Engine::Kafka(_) => None,
        }
    }

    /// The log's identity, made when it was created.
    #[must_use]
    pub fn id(&self) -> LogId {
        match &self.engine {
            Engine::Embedded(log) => log.id(),
            Engine::Kafka(log) => log.id(),
        }
    }

    /// Partitions of each topic.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        match &self.engine {
            Engine::Embedded(log) => log.partitions(),
            Engine::Kafka(log) => log.partitions(),
        }
    }

    /// The partition of a key, as Kafka's Java client has it.
    #[must_use]
    pub fn partition_for(&self, key: &[u8]) -> u32 {
        murmur2::partition(key, self.partitions())
    }

    /// Appends records to one partition, in this order, and returns once they are durable: where each one stands.
    ///
    /// Who drops the future does not take back what it had queued.
    ///
    /// # Errors
    /// [`LogError::RecordTooLarge`], [`LogError::TooManyHeaders`], [`LogError::NoSuchPartition`],
    /// [`LogError::ClockJump`], [`LogError::LastArrivalAhead`], [`LogError::Closed`]: nothing was appended. [`LogError::Failed`], [`LogError::Unavailable`] and whatever else Kafka says: the records
    /// may or may not be in the log.
    pub async fn append(
        &self,
        topic: Topic,
        partition: u32,
        records: Vec<NewRecord>,
    ) -> Result<Vec<Appended>, LogError> {
        self.append_many(vec![(topic, partition, records)]).await.map(only)
    }

    /// Appends to several partitions, and returns once all of it is durable: for each batch, where each record stands.
    /// Batches for one partition keep their order. The embedded engine appends all of a call or nothing; of another one,
    /// a part may be in the log after an error.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub async fn append_many(&self, batches: Vec<Batch>) -> Result<Vec<Vec<Appended>>, LogError> {
        match &self.engine {
            Engine::Embedded(log) => append(log, log.check(batches)?).await,
            Engine::Kafka(log) => log.append(batches).await,
        }
    }

    /// [`Log::append`] for threads that may wait. Must not be called from async code: it panics there.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_blocking(
        &self,
        topic: Topic,
        partition: u32,
        records: Vec<NewRecord>,
    ) -> Result<Vec<Appended>, LogError> {
        self.append_many_blocking(vec![(topic, partition, records)]).map(only)
    }

    /// [`Log::append_many`] for threads that may wait. Must not be called from async code: it panics there.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_many_blocking(&self, batches: Vec<Batch>) -> Result<Vec<Vec<Appended>>, LogError> {
        match &self.engine {
            Engine::Embedded(log) => append_blocking(log, log.check(batches)?),
            Engine::Kafka(log) => log.append_blocking(batches),
        }
    }

    /// Appends records that keep the timestamps of another log, also backwards, also none. What arrives later by the
    /// clock is no earlier than the latest of them, so none may be more than [`crate::ARRIVAL_AHEAD_MAX_MS`] ahead of it.
    /// Answers their offsets here.
    ///
    /// # Errors
    /// As [`Log::append`], but [`LogError::ArrivalAhead`] in the place of [`LogError::ClockJump`].
    pub async fn append_copied(
        &self,
        topic: Topic,
        partition: u32,
        records: Vec<CopiedRecord>,
    ) -> Result<Vec<u64>, LogError> {
        match &self.engine {
            Engine::Embedded(log) => append(log, log.check_copied(topic, partition, records)?).await.map(only),
            Engine::Kafka(log) => log.append_copied(topic, partition, records).await,
        }
        .map(offsets)
    }

    /// What [`Log::append_copied`] makes of a timestamp: Kafka cannot keep all.
    #[must_use]
    pub fn copied_timestamp_ms(&self, timestamp_ms: Option<u64>) -> Option<u64> {
        match &self.engine {
            Engine::Embedded(_) => timestamp_ms,
            Engine::Kafka(_) => Some(kafka::copied_timestamp_ms(timestamp_ms)),
        }
    }

    /// The latest arrival of all records that the embedded log has had, in milliseconds since 1970; 0 where it has had
    /// none. `None` for a log on Kafka, whose arrivals do not depend on each other.
    #[must_use]
    pub fn last_arrival_ms(&self) -> Option<u64> {
        match &self.engine {
            Engine::Embedded(log) => Some(log.last_arrival_ms()),
            Engine::Kafka(_) => None,
        }
    }

    /// Reads durable records from an offset on: at most `max_records`, and at most `max_bytes` of them as stored, but one
    /// whatever its size. Empty at the end. Does not wait for records, only for the disk or the brokers.
    ///
    /// # Errors
    /// [`LogError::Trimmed`] below the first offset, [`LogError::PastEnd`] above the end, [`LogError::NoSuchPartition`];
    /// [`LogError::Corrupt`] for a damaged or missing record among those read.
    pub fn read(
        &self,
        topic: Topic,
        partition: u32,
        from_offset: u64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<StoredRecord>, LogError> {
        match &self.engine {
            Engine::Embedded(log) => {
                log.read(topic, partition, Span { from: from_offset, max_records, max_bytes, in_a_row: false })
            }
            Engine::Kafka(log) => log.read(topic, partition, from_offset, max_records, max_bytes),
        }
    }

    /// A cursor over a partition, for who reads on and on.
    #[must_use]
    pub fn reader(&self, topic: Topic, partition: u32, from: u64) -> Reader {
        Reader::new(&self.engine, topic, partition, (from, false), None)
    }

    /// As [`Log::reader`], for who has read all up to an offset before, the last record of it under this leader epoch, if
    /// that is known. On Kafka that record is read back first: where it is not there any more, the partition was
    /// truncated, and whatever stands behind it now is not what follows.
    #[must_use]
    pub fn reader_after(&self, topic: Topic, partition: u32, next: u64, leader_epoch: Option<u32>) -> Reader {
        Reader::new(&self.engine, topic, partition, (next, true), leader_epoch)
    }

    /// Whether the last record before an offset is still the one that was read under this leader epoch; right where that is
    /// not known, or the record was trimmed. Asks the brokers, and waits for them: not for async code. The embedded log
    /// loses nothing so.
    ///
    /// # Errors
    /// [`LogError::Truncated`]; else as [`Log::read`].
    pub fn check_follows(
        &self,
        topic: Topic,
        partition: u32,
        next: u64,
        leader_epoch: Option<u32>,
    ) -> Result<(), LogError> {
        match &self.engine {
            Engine::Embedded(_) => Ok(()),
            Engine::Kafka(log) => log.check_follows(topic, partition, next, leader_epoch),
        }
    }

    /// Finds out where a partition ends now, also where that is before what was known. Keeps what is known where the
    /// brokers do not answer. Not for async code.
    pub fn find_end(&self, topic: Topic, partition: u32) {
        if let Engine::Kafka(log) = &self.engine {
            log.find_end(topic, partition);
        }
    }

    /// The first offset that has not been trimmed; of an empty partition, its end. On Kafka, as it was when it was last
    /// asked. 0 for one that does not exist.
    #[must_use]
    pub fn start_offset(&self, topic: Topic, partition: u32) -> u64 {
        match &self.engine {
            Engine::Embedded(log) => log.start(topic, partition),
            Engine::Kafka(log) => log.start(topic, partition),
        }
        .unwrap_or(0)
    }

    /// Asks where a partition begins and ends, for [`Log::start_offset`] and [`Log::end_offset`]: Kafka takes records away by
    /// itself, and others may. The embedded log always knows. Waits for the brokers.
    ///
    /// # Errors
    /// [`LogError::NoSuchPartition`], [`LogError::Unavailable`].
    pub fn look_at_bounds(&self, topic: Topic, partition: u32) -> Result<(), LogError> {
        match &self.engine {
            Engine::Embedded(_) => Ok(()),
            Engine::Kafka(log) => log.look_at_bounds(topic, partition),
        }
    }

    /// The next offset after what is durable; on Kafka, after what this process knows to be: at least all that it has
    /// appended and read. 0 for a partition that does not exist.
    #[must_use]
    pub fn end_offset(&self, topic: Topic, partition: u32) -> u64 {
        match &self.engine {
            Engine::Embedded(log) => log.end(topic, partition),
            Engine::Kafka(log) => log.end(topic, partition),
        }
        .unwrap_or(0)
    }

    /// Takes away a partition's records before an offset, durably. Nothing where they are gone already. Offsets go on as
    /// before, also when all have gone.
    ///
    /// # Errors
    /// [`LogError::PastEnd`], [`LogError::NoSuchPartition`], [`LogError::Closed`], [`LogError::Failed`].
    pub fn trim(&self, topic: Topic, partition: u32, before_offset: u64) -> Result<(), LogError> {
        match &self.engine {
            Engine::Embedded(log) => log.trim(topic, partition, before_offset),
            Engine::Kafka(log) => log.trim(topic, partition, before_offset),
        }
    }

    /// Makes a copy of the embedded log as it is at some moment of this call, in a directory that must not exist yet, and
    /// says what the copy has; `None` for a log on Kafka. The copy is a log by itself; on the same file system most of its
    /// files are hard links, and cost nothing. Appends and trims go on meanwhile.
    ///
    /// # Errors
    /// [`LogError::Open`] where the copy can't be made; [`LogError::Damaged`] where it is no log.
    pub fn checkpoint(&self, dir: &Path) -> Result<Option<Copied>, LogError> {
        match &self.engine {
            Engine::Embedded(log) => log.checkpoint(dir).map(Some),
            Engine::Kafka(_) => Ok(None),
        }
    }

    /// Gives the embedded log in a directory, which nobody has open, another identity: for a copy that goes on by itself,
    /// and will give out offsets again that the log it was copied from has given out after the copy. Answers the new one.
    ///
    /// # Errors
    /// [`LogError::NoLog`], [`LogError::Locked`], [`LogError::Damaged`], [`LogError::Open`].
    pub fn reidentify_embedded(dir: &Path) -> Result<LogId, LogError> {
        Embedded::reidentify(dir)
    }

    /// Bytes that the log takes on this machine's disk, about.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        match &self.engine {
            Engine::Embedded(log) => log.disk_bytes(),
            Engine::Kafka(_) => 0,
        }
    }

    /// Whether the log has been closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.engine {
            Engine::Embedded(log) => log.is_closed(),
            Engine::Kafka(log) => log.is_closed(),
        }
    }

    /// Closes the log in order: what is queued is appended and answered, everything after that is refused with
    /// [`LogError::Closed`], and [`Reader::wait`] ends. Other handles can still read. Waits for the disk.
    ///
    /// # Errors
    /// [`LogError::Failed`]; the log is closed all the same.
    pub fn close(&self) -> Result<(), LogError> {
        match &self.engine {
            Engine::Embedded(log) => log.close(),
            Engine::Kafka(log) => log.close(),
        }
    }
}

async fn append(log: &Embedded, checks: Checks) -> Result<Vec<Vec<Appended>>, LogError> {
    if checks.is_empty() { Ok(checks.nothing()) } else { log.append(checks).await }
}

fn append_blocking(log: &Embedded, checks: Checks) -> Result<Vec<Vec<Appended>>, LogError> {
    if checks.is_empty() { Ok(checks.nothing()) } else { log.append_blocking(checks) }
}

/// The answer to a call with one batch.
fn only(mut batches: Vec<Vec<Appended>>) -> Vec<Appended> {
    batches.pop().unwrap_or_default()
}

fn offsets(appended: Vec<Appended>) -> Vec<u64> {
    appended.into_iter().map(|appended| appended.offset).collect()
}
