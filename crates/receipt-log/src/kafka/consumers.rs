//! The consumers of a log: one for the partitions that are folded, and more only where a partition is read twice at a
//! time, as by a tool beside the projection.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::context::Context;
use super::native::PartitionQueue;
use super::options::KafkaOptions;
use super::producer;
use crate::{LogError, Topic};

/// How often a consumer's own queue is served: for log lines and errors, never for records.
const SERVE_INTERVAL: Duration = Duration::from_millis(100);

/// All consumers of a log.
pub(super) struct Consumers {
    options: KafkaOptions,
    partitions: u32,
    all: Mutex<Vec<Arc<Shared>>>,
}

/// A consumer, which partitions of it are taken, and the thread that serves it.
struct Shared {
    consumer: Arc<BaseConsumer<Context>>,
    taken: Mutex<BTreeSet<(Topic, u32)>>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A partition of a consumer, read from an offset on until it is dropped.
pub(super) struct Lease {
    shared: Arc<Shared>,
    place: (Topic, u32),
    topic: String,
    partition: i32,
    queue: PartitionQueue,
}

impl Consumers {
    pub(super) fn new(options: &KafkaOptions, partitions: u32) -> Consumers {
        Consumers { options: options.clone(), partitions, all: Mutex::default() }
    }

    /// Starts to read a partition; `waker` is called when there is something to take.
    pub(super) fn read(
        &self,
        place: (Topic, u32),
        from: u64,
        waker: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Lease, LogError> {
        let shared = self.take(place)?;
        let (topic, partition) = (self.options.topic_name(place.0), number(place.1));
        let consumer = Arc::clone(&shared.consumer);
        let Some(queue) = PartitionQueue::split(consumer, &topic, partition, waker) else {
            shared.give_back(place);
            return Err(unavailable("the consumer has no such partition"));
        };
        let lease = Lease { shared, place, topic, partition, queue };
        lease.assign(from)?;
        Ok(lease)
    }

    /// A consumer that does not read this partition yet.
    fn take(&self, place: (Topic, u32)) -> Result<Arc<Shared>, LogError> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = all.iter().find(|shared| shared.take(place)) {
            return Ok(Arc::clone(shared));
        }
        let shared = Arc::new(Shared::new(&self.options, self.partitions)?);
        shared.take(place);
        all.push(Arc::clone(&shared));
        Ok(shared)
    }

    /// Of a partition that is read: its end as the last fetch saw it.
    pub(super) fn end_last_seen(&self, topic: Topic, partition: u32) -> Option<u64> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.options.topic_name(topic);
        let ends = all.iter().filter(|shared| shared.has((topic, partition)));
        ends.filter_map(|shared| super::native::end_last_seen(&shared.consumer, &name, number(partition))).max()
    }

    /// Ends the threads that serve the consumers.
    pub(super) fn stop(&self) {
        let all = std::mem::take(&mut *self.all.lock().unwrap_or_else(PoisonError::into_inner));
        for shared in all {
            shared.stop();
        }
    }
}

impl Shared {
    fn new(options: &KafkaOptions, partitions: u32) -> Result<Shared, LogError> {
        let consumer = BaseConsumer::from_config_and_context(&options.consumer(partitions), Context);
        let consumer = Arc::new(consumer.map_err(|error| producer::setting(&error))?);
        let stop = Arc::new(AtomicBool::new(false));
        let serve = {
            let (consumer, stop) = (Arc::clone(&consumer), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    match consumer.poll(SERVE_INTERVAL) {
                        None => {}
                        Some(Err(error)) => tracing::debug!(%error, "librdkafka"),
                        Some(Ok(_)) => tracing::error!("a record came to the wrong queue of the consumer"),
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("kafka-serve".to_owned()).spawn(serve);
        let thread = thread.map_err(|error| unavailable(&error.to_string()))?;
        Ok(Shared { consumer, taken: Mutex::default(), stop, thread: Mutex::new(Some(thread)) })
    }

    fn take(&self, place: (Topic, u32)) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(place)
    }

    fn has(&self, place: (Topic, u32)) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).contains(&place)
    }

    fn give_back(&self, place: (Topic, u32)) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that serves a Kafka consumer panicked");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Lease {
    /// Goes on from another offset: what was fetched so far is dropped.
    pub(super) fn restart(&self, from: u64) -> Result<(), LogError> {
        self.unassign();
        self.assign(from)
    }

    pub(super) fn queue(&self) -> &PartitionQueue {
        &self.queue
    }

    fn assign(&self, from: u64) -> Result<(), LogError> {
        let offset = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, self.partition, offset).map_err(|error| failed(&error))?;
        self.shared.consumer.incremental_assign(&list).map_err(|error| failed(&error))
    }

    fn unassign(&self) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, self.partition);
        if let Err(error) = self.shared.consumer.incremental_unassign(&list) {
            tracing::debug!(%error, topic = self.topic, partition = self.partition, "not unassigned");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.unassign();
        self.shared.give_back(self.place);
    }
}

/// A partition's number as librdkafka has it.
pub(super) fn number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

fn failed(error: &rdkafka::error::KafkaError) -> LogError {
    unavailable(&error.to_string())
}

fn unavailable(detail: &str) -> LogError {
    LogError::Unavailable { detail: detail.to_owned() }
}
