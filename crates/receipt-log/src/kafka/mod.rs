//! The Kafka engine: the same log on a cluster of brokers.
//!
//! Records are read by the offsets that are asked for, never by committed ones, from one consumer that all partitions
//! share ([`consumers`]); each has a queue of its own ([`native`]). Appends are idempotent and acknowledged by all
//! replicas ([`producer`]). Offsets are not dense: markers of other producers' transactions take some.

mod anchor;
mod append;
mod cluster;
mod consumers;
mod context;
mod native;
mod options;
mod problems;
mod producer;
mod reader;
mod settings;
mod topics;
mod watch;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::BaseConsumer;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch::{Receiver, Sender};

pub(crate) use self::anchor::Anchor;
pub(crate) use self::append::copied_timestamp_ms;
use self::cluster::{Cluster, Origin};
use self::consumers::{Consumers, number};
use self::context::Context;
pub use self::options::KafkaOptions;
use self::problems::Problems;
use self::producer::Appender;
pub(crate) use self::reader::KafkaReader;
pub use self::topics::{CreatedTopic, create_topics};
use crate::{LogError, LogId, StoredRecord, Topic, Writes};

/// How long a question to the brokers may take.
const ASK_MAX: Duration = Duration::from_secs(10);
/// How long a read of single records may take.
const READ_MAX: Duration = Duration::from_secs(10);

/// An open log on Kafka.
pub(crate) struct Kafka {
    options: KafkaOptions,
    id: LogId,
    origin: Origin,
    partitions: u32,
    names: [Arc<str>; 4],
    appender: Appender,
    consumers: Consumers,
    /// Asks, and never reads.
    asking: BaseConsumer<Context>,
    /// The first offset of each partition of each topic, in the order of [`Kafka::slot`].
    starts: Vec<AtomicU64>,
    /// The next offset of each, as far as it is known.
    ends: Vec<AtomicU64>,
    /// Whether the brokers answer.
    writes: Sender<Writes>,
    /// What happened to the topics, for good.
    changed: OnceLock<LogError>,
    closed: AtomicBool,
    /// Told when the log is closed, or its topics have changed.
    readers: Mutex<Vec<Weak<Sender<u64>>>>,
    /// Some reader is to be woken although nothing came.
    wake_due: AtomicBool,
    watcher: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka")
            .field("origin", &self.origin)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

impl Kafka {
    /// Checks the topics, and finds out where they begin and end.
    pub(crate) async fn open(options: KafkaOptions) -> Result<Arc<Kafka>, LogError> {
        options.check()?;
        let runtime = tokio::runtime::Handle::current();
        let opened = tokio::task::spawn_blocking(move || Kafka::open_blocking(options, &runtime)).await;
        opened.map_err(|error| LogError::Unavailable { detail: error.to_string() })?
    }

    fn open_blocking(options: KafkaOptions, runtime: &tokio::runtime::Handle) -> Result<Arc<Kafka>, LogError> {
        let appender = Appender::new(&options)?;
        let asking = BaseConsumer::from_config_and_context(&options.consumer(1), Context);
        let asking = asking.map_err(|error| producer::setting(&error))?;
        let cluster = Cluster { consumer: &asking, options: &options };
        let cluster_id = cluster.id()?;
        let partitions = cluster::patiently(|| cluster.partitions())?;
        let found = cluster::patiently(|| runtime.block_on(topics::problems(&options, |name| cluster.copies(name))))?;
        let problems = Problems::at_start(found)?;
        let origin = cluster::patiently(|| cluster.origin(cluster_id.clone()))?;
        let (starts, ends) = cluster::patiently(|| cluster.bounds(partitions))?;
        let known = |offsets: Vec<u64>| offsets.into_iter().map(AtomicU64::new).collect();
        let kafka = Arc::new(Kafka {
            id: origin.id(),
            origin,
            partitions,
            names: Topic::ALL.map(|topic| options.topic_name(topic).into()),
            appender,
            consumers: Consumers::new(&options, partitions),
            asking,
            starts: known(starts),
            ends: known(ends),
            writes: Sender::new(Writes::Taken),
            changed: OnceLock::new(),
            closed: AtomicBool::new(false),
            readers: Mutex::default(),
            wake_due: AtomicBool::new(false),
            watcher: Mutex::default(),
            options,
        });
        let watched = Arc::downgrade(&kafka);
        let watcher = std::thread::Builder::new().name("kafka-watch".to_owned());
        let watcher = watcher.spawn(move || watch::until_closed(&watched, problems));
        let watcher = watcher.map_err(|error| LogError::Unavailable { detail: error.to_string() })?;
        *kafka.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher);
        Ok(kafka)
    }

    pub(crate) fn id(&self) -> LogId {
        self.id
    }

    /// Which cluster and topics it is, for people.
    pub(crate) fn origin(&self) -> String {
        self.origin.to_string()
    }

    pub(crate) fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Whether it takes records: not while the brokers do not answer.
    pub(crate) fn writes(&self) -> Receiver<Writes> {
        self.writes.subscribe()
    }

    /// Reads some records, and waits for the brokers to send them; none at the end.
    pub(crate) fn read(
        self: &Arc<Self>,
        topic: Topic,
        partition: u32,
        from: u64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<StoredRecord>, LogError> {
        self.check_partition(partition)?;
        let end = self.check_position(topic, partition, from)?;
        if from == end || max_records == 0 {
            return Ok(Vec::new());
        }
        let mut reader = KafkaReader::new(Arc::clone(self), topic, partition, from, Anchor::default());
        let began = Instant::now();
        while reader.position() < end {
            let records = reader.poll_waiting(max_records, max_bytes, Duration::from_millis(100))?;
            if !records.is_empty() {
                return Ok(records);
            }
            if began.elapsed() > READ_MAX {
                return Err(LogError::Unavailable { detail: format!("no record of {topic}/{partition} came") });
            }
        }
        Ok(Vec::new())
    }

    /// Whether the last record before an offset is still the one that was read under this leader epoch.
    pub(crate) fn check_follows(
        self: &Arc<Self>,
        topic: Topic,
        partition: u32,
        next: u64,
        leader_epoch: Option<u32>,
    ) -> Result<(), LogError> {
        self.check_partition(partition)?;
        if leader_epoch.is_none() {
            return Ok(());
        }
        let anchor = Anchor::before(next, leader_epoch);
        let mut reader = KafkaReader::new(Arc::clone(self), topic, partition, next, anchor);
        let began = Instant::now();
        while !reader.follows() {
            reader.poll_waiting(1, usize::MAX, Duration::from_millis(100))?;
            if began.elapsed() > READ_MAX {
                return Err(LogError::Unavailable { detail: format!("no record of {topic}/{partition} came") });
            }
        }
        Ok(())
    }

    /// The first offset as of the start, or of the last time somebody asked for one before it.
    pub(crate) fn start(&self, topic: Topic, partition: u32) -> Option<u64> {
        self.slot(topic, partition).map(|slot| self.starts[slot].load(Ordering::Acquire))
    }

    /// The next offset, as far as appends and fetches have told: at least what this process has appended.
    pub(crate) fn end(&self, topic: Topic, partition: u32) -> Option<u64> {
        let known = self.slot(topic, partition).map(|slot| self.ends[slot].load(Ordering::Acquire))?;
        Some(known.max(self.consumers.end_last_seen(topic, partition).unwrap_or(0)))
    }

    /// Asks the brokers where a partition begins and ends.
    pub(crate) fn look_at_bounds(&self, topic: Topic, partition: u32) -> Result<(), LogError> {
        self.check_partition(partition)?;
        let (start, end) = self.cluster().bounds_of(topic, partition)?;
        self.saw_start(topic, partition, start);
        self.saw_end(topic, partition, end);
        Ok(())
    }

    /// Takes away records before an offset.
    pub(crate) fn trim(&self, topic: Topic, partition: u32, before: u64) -> Result<(), LogError> {
        self.check_partition(partition)?;
        self.check_open()?;
        let (start, end) = self.cluster().bounds_of(topic, partition)?;
        if before > end {
            return Err(LogError::PastEnd { topic, partition, from: before, end });
        }
        if before > start {
            let mut list = TopicPartitionList::new();
            let offset = Offset::Offset(i64::try_from(before).unwrap_or(i64::MAX));
            let failed = |error: rdkafka::error::KafkaError| LogError::Unavailable { detail: error.to_string() };
            list.add_partition_offset(self.name(topic), number(partition), offset).map_err(failed)?;
            let admin = topics::admin(&self.options)?;
            let ask = || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                let runtime = runtime.map_err(|error| LogError::Unavailable { detail: error.to_string() })?;
                runtime.block_on(admin.delete_records(&list, &topics::asked())).map_err(failed)
            };
            // A thread of its own: the caller's may have a runtime already.
            let deleted = std::thread::scope(|scope| scope.spawn(ask).join());
            let deleted = deleted.map_err(|_| LogError::Unavailable { detail: "the request panicked".to_owned() })?;
            for element in deleted?.elements() {
                element.error().map_err(failed)?;
            }
        }
        self.saw_start(topic, partition, before.max(start));
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Waits for what is queued, refuses what comes after it, and wakes those who wait for more.
    pub(crate) fn close(&self) -> Result<(), LogError> {
        self.closed.store(true, Ordering::Release);
        let flushed = self.appender.flush();
        self.wake_readers();
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if watcher
            .is_some_and(|watcher| watcher.thread().id() != std::thread::current().id() && watcher.join().is_err())
        {
            tracing::error!("the thread that watches Kafka panicked");
        }
        self.consumers.stop();
        flushed
    }

    fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    fn cluster(&self) -> Cluster<'_> {
        Cluster { consumer: &self.asking, options: &self.options }
    }

    fn name(&self, topic: Topic) -> &Arc<str> {
        &self.names[usize::from(topic.code() - 1)]
    }

    /// Where a partition stands among all; `None` for one that the log does not have.
    fn slot(&self, topic: Topic, partition: u32) -> Option<usize> {
        let at = usize::from(topic.code() - 1) * self.partitions as usize + partition as usize;
        (partition < self.partitions).then_some(at)
    }

    fn check_partition(&self, partition: u32) -> Result<(), LogError> {
        let last = self.partitions.saturating_sub(1);
        if partition <= last { Ok(()) } else { Err(LogError::NoSuchPartition { partition, last }) }
    }

    fn check_open(&self) -> Result<(), LogError> {
        self.check_same_topics()?;
        if self.is_closed() { Err(LogError::Closed) } else { Ok(()) }
    }

    /// Refuses to go on with topics that have been made anew.
    fn check_same_topics(&self) -> Result<(), LogError> {
        self.changed.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Whether a position is one that can be read from: the end, if so. Asks the brokers.
    fn check_position(&self, topic: Topic, partition: u32, from: u64) -> Result<u64, LogError> {
        let (start, end) = self.cluster().bounds_of(topic, partition)?;
        self.saw_start(topic, partition, start);
        self.saw_end(topic, partition, end);
        if from < start {
            return Err(LogError::Trimmed { topic, partition, from, start });
        }
        if from > end {
            return Err(LogError::PastEnd { topic, partition, from, end });
        }
        Ok(end)
    }

    /// After a failed fetch: whether it is wrong for good. `None` where the brokers do not answer, so that it is not known to
    /// be; else the first offset.
    fn diagnose(&self, topic: Topic, partition: u32, position: u64) -> Result<Option<u64>, LogError> {
        self.look_at_topics();
        self.check_same_topics()?;
        match self.check_position(topic, partition, position) {
            Err(LogError::Unavailable { .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(_) => Ok(self.start(topic, partition)),
        }
    }

    /// Finds out where a partition ends, also where that is before what was known, as after it was truncated.
    pub(crate) fn find_end(&self, topic: Topic, partition: u32) {
        let Some(slot) = self.slot(topic, partition) else { return };
        let known = self.ends[slot].load(Ordering::Acquire);
        match self.cluster().bounds_of(topic, partition) {
            // Unless an append has moved it meanwhile.
            Ok((_, end)) => {
                let _ = self.ends[slot].compare_exchange(known, end, Ordering::AcqRel, Ordering::Acquire);
            }
            Err(error) => tracing::warn!(%error, %topic, partition, "the end could not be asked for"),
        }
    }

    /// Notices topics that have been made anew, or deleted.
    fn look_at_topics(&self) {
        let Ok(ids) = self.cluster().topic_ids() else { return };
        if let Some(name) = self.origin.changed(&ids) {
            self.stop_for(LogError::TopicChanged { name: name.to_owned(), gone: !ids.contains_key(name) });
        }
    }

    /// Nothing is read or appended any more, for this reason.
    fn stop_for(&self, error: LogError) {
        let why = error.to_string();
        if self.changed.set(error).is_ok() {
            self.writes.send_replace(Writes::Refused { why });
            self.wake_readers();
        }
    }

    fn saw_start(&self, topic: Topic, partition: u32, start: u64) {
        if let Some(slot) = self.slot(topic, partition) {
            self.starts[slot].fetch_max(start, Ordering::AcqRel);
        }
    }

    fn saw_end(&self, topic: Topic, partition: u32, end: u64) {
        if let Some(slot) = self.slot(topic, partition) {
            self.ends[slot].fetch_max(end, Ordering::AcqRel);
        }
    }

    /// Tells this reader when the log is closed, or its topics have changed.
    fn tell_news(&self, reader: &Arc<Sender<u64>>) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| reader.strong_count() > 0);
        readers.push(Arc::downgrade(reader));
    }

    /// Wakes them within [`watch::INTERVAL`].
    fn wake_readers_later(&self) {
        self.wake_due.store(true, Ordering::Release);
    }

    fn wake_readers(&self) {
        for reader in self.readers.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
            reader.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}
