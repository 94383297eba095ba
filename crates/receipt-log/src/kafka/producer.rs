//! Appends to Kafka: records into the producer's queue, and one answer when all of them are acknowledged.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use super::context;
use super::options::KafkaOptions;
use crate::{Appended, LogError, NewRecord};

/// How long to wait when the producer's queue is full.
const FULL_PAUSE: Duration = Duration::from_millis(5);
/// How long a close waits for what is on its way.
const FLUSH_MAX: Duration = Duration::from_secs(12);

/// One record to append, and when it arrived.
pub(super) struct Outgoing {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) record: NewRecord,
    pub(super) timestamp_ms: Option<u64>,
}

/// What a call waits for: an offset for each of its records, or the first error once all have come to an end.
struct Waiting {
    state: Mutex<State>,
}

struct State {
    appended: Vec<Appended>,
    left: usize,
    error: Option<Code>,
    answer: Option<oneshot::Sender<Result<Vec<Appended>, Code>>>,
}

/// Which record of which call.
pub(super) struct Delivery {
    waiting: Arc<Waiting>,
    index: usize,
}

/// Hands the broker's acknowledgements to those who wait.
pub(super) struct Deliveries;

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::trouble(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        tracing::debug!(statistics = %String::from_utf8_lossy(statistics), "librdkafka");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let outcome = match result {
            Ok(message) => acknowledged(message.offset()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(Code::Fail)),
        };
        delivery.waiting.ended(delivery.index, outcome);
    }
}

impl Waiting {
    fn ended(&self, index: usize, outcome: Result<u64, Code>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(offset) => {
                if let Some(appended) = state.appended.get_mut(index) {
                    appended.offset = offset;
                }
            }
            Err(code) => drop(state.error.get_or_insert(code)),
        }
        state.left -= 1;
        if state.left == 0
            && let Some(answer) = state.answer.take()
        {
            let appended = std::mem::take(&mut state.appended);
            // Who no longer waits does not want to know.
            let _ = answer.send(state.error.map_or(Ok(appended), Err));
        }
    }
}

/// The producer, and how to make it again: after a fatal error an idempotent producer takes nothing any more.
pub(super) struct Appender {
    options: KafkaOptions,
    current: RwLock<Arc<ThreadedProducer<Deliveries>>>,
}

/// An append whose records are not all in the producer's queue yet.
pub(super) struct Sending {
    producer: Arc<ThreadedProducer<Deliveries>>,
    records: std::vec::IntoIter<Outgoing>,
    next: usize,
    waiting: Arc<Waiting>,
    answered: oneshot::Receiver<Result<Vec<Appended>, Code>>,
}

impl Appender {
    pub(super) fn new(options: &KafkaOptions) -> Result<Appender, LogError> {
        let producer = RwLock::new(Arc::new(create(options)?));
        Ok(Appender { options: options.clone(), current: producer })
    }

    /// Appends from async code.
    pub(super) async fn append(&self, records: Vec<Outgoing>) -> Result<Vec<Appended>, LogError> {
        let mut sending = self.begin(records);
        while !sending.enqueue() {
            tokio::time::sleep(FULL_PAUSE).await;
        }
        let Sending { producer, answered, .. } = sending;
        self.answer(&producer, answered.await.unwrap_or(Err(Code::Fail)))
    }

    /// Appends from a thread that may wait.
    pub(super) fn append_blocking(&self, records: Vec<Outgoing>) -> Result<Vec<Appended>, LogError> {
        let mut sending = self.begin(records);
        while !sending.enqueue() {
            std::thread::sleep(FULL_PAUSE);
        }
        let Sending { producer, answered, .. } = sending;
        self.answer(&producer, answered.blocking_recv().unwrap_or(Err(Code::Fail)))
    }

    /// Waits until what is queued has come to an end, for a while.
    pub(super) fn flush(&self) -> Result<(), LogError> {
        let flushed = self.producer().flush(FLUSH_MAX);
        flushed.map_err(|error| LogError::Unavailable { detail: error.to_string() })
    }

    fn producer(&self) -> Arc<ThreadedProducer<Deliveries>> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin(&self, records: Vec<Outgoing>) -> Sending {
        let appended = records
            .iter()
            .map(|outgoing| Appended { offset: 0, timestamp_ms: outgoing.timestamp_ms.unwrap_or_default() })
            .collect();
        let (answer, answered) = oneshot::channel();
        let state = State { appended, left: records.len(), error: None, answer: Some(answer) };
        let waiting = Arc::new(Waiting { state: Mutex::new(state) });
        Sending { producer: self.producer(), records: records.into_iter(), next: 0, waiting, answered }
    }

    fn answer(
        &self,
        producer: &Arc<ThreadedProducer<Deliveries>>,
        outcome: Result<Vec<Appended>, Code>,
    ) -> Result<Vec<Appended>, LogError> {
        outcome.map_err(|code| {
            // Whatever a record's own error is: after a fatal one the producer takes nothing any more.
            if producer.client().fatal_error().is_some() {
                self.renew(producer);
            }
            error(code)
        })
    }

    /// Puts a new producer in the place of one that has failed for good, if nobody has yet.
    fn renew(&self, failed: &Arc<ThreadedProducer<Deliveries>>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, failed) {
            tracing::warn!(error = ?failed.client().fatal_error(), "the Kafka producer has failed, and is made again");
            match create(&self.options) {
                Ok(producer) => *current = Arc::new(producer),
                Err(error) => tracing::error!(%error, "no new Kafka producer"),
            }
        }
    }
}

impl Sending {
    /// Queues what is left, in order; `false` where the queue is full.
    fn enqueue(&mut self) -> bool {
        while let Some(outgoing) = self.records.as_slice().first() {
            let delivery = Box::new(Delivery { waiting: Arc::clone(&self.waiting), index: self.next });
            let mut record: BaseRecord<'_, [u8], [u8], _> =
                BaseRecord::with_opaque_to(&outgoing.topic, delivery).partition(outgoing.partition);
            record.key = outgoing.record.key.as_deref();
            record.payload = outgoing.record.value.as_deref();
            record.timestamp = outgoing.timestamp_ms.and_then(|ms| i64::try_from(ms).ok());
            record.headers = headers(&outgoing.record);
            match self.producer.send(record) {
                Ok(()) => {}
                Err((KafkaError::MessageProduction(Code::QueueFull), _)) => return false,
                Err((error, _)) => {
                    let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                    self.waiting.ended(self.next, Err(code));
                }
            }
            self.next += 1;
            self.records.next();
        }
        true
    }
}

/// Where a record is that was acknowledged. A batch that was sent again, as its first answer was lost, is acknowledged
/// without an offset: the record is there, and nobody knows where. Who asked must not be told a place that is not its.
fn acknowledged(offset: i64) -> Result<u64, Code> {
    u64::try_from(offset).map_err(|_| Code::DuplicateSequenceNumber)
}

fn headers(record: &NewRecord) -> Option<OwnedHeaders> {
    let mut headers = record.headers.iter();
    let first = headers.next()?;
    let insert = |all: OwnedHeaders, (name, value): &(String, bytes::Bytes)| {
        all.insert(Header { key: name.as_str(), value: Some(value.as_ref()) })
    };
    Some(headers.fold(insert(OwnedHeaders::new(), first), insert))
}

fn create(options: &KafkaOptions) -> Result<ThreadedProducer<Deliveries>, LogError> {
    ThreadedProducer::from_config_and_context(&options.producer(), Deliveries).map_err(|error| setting(&error))
}

/// A setting that librdkafka does not take, or settings that do not go together.
pub(super) fn setting(error: &KafkaError) -> LogError {
    match error {
        KafkaError::ClientConfig(_, problem, name, _) => {
            LogError::Setting { name: name.clone(), problem: format!("is not right: {problem}") }
        }
        other => LogError::Setting { name: "settings".to_owned(), problem: format!("are not right: {other}") },
    }
}

/// Why records were not appended.
fn error(code: Code) -> LogError {
    match code {
        Code::InvalidTimestamp => LogError::ClockAhead,
        Code::MessageSizeTooLarge => LogError::Refused {
            detail: "a record is larger than the topic's max.message.bytes: set it to at least 1100000".to_owned(),
        },
        code => LogError::Unavailable { detail: code.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_without_an_offset_is_none() {
        assert_eq!(acknowledged(0), Ok(0));
        // As librdkafka has it: invalid, and the broker's own -1.
        for offset in [-1001, -1] {
            let failed = acknowledged(offset).map_err(error);
            assert!(matches!(&failed, Err(LogError::Unavailable { .. })), "{failed:?}");
        }
    }
}
