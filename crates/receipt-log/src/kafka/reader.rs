//! A cursor over one partition on Kafka.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::watch;

use super::Kafka;
use super::anchor::{Anchor, Step};
use super::consumers::Lease;
use super::native::Message;
use crate::record::HEADER_BYTES;
use crate::{LogError, StoredRecord, Topic, headers_bytes};

/// Messages that are taken from librdkafka at a time, at most.
const TAKE_MAX: usize = 4096;
/// How long to leave a partition alone whose reading failed.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// Reads a partition in order and remembers how far it is.
pub(crate) struct KafkaReader {
    kafka: Arc<Kafka>,
    topic: Topic,
    partition: u32,
    /// The offset after the last record that was given, or where a fetch saw the end.
    position: u64,
    /// The last record that was given.
    anchor: Anchor,
    /// It was not found once.
    missed: bool,
    /// Taken from librdkafka, and not given yet.
    ahead: VecDeque<Message>,
    /// Counts that something came, or that there is news of the log as a whole.
    news: Arc<watch::Sender<u64>>,
    heard: watch::Receiver<u64>,
    /// `None` where it could not be started yet.
    lease: Option<Lease>,
    restart_after: Option<Instant>,
}

impl KafkaReader {
    /// `anchor`: the record before the position, if it is known.
    pub(crate) fn new(kafka: Arc<Kafka>, topic: Topic, partition: u32, position: u64, anchor: Anchor) -> KafkaReader {
        let (news, heard) = watch::channel(0);
        let news = Arc::new(news);
        kafka.tell_news(&news);
        let mut reader = KafkaReader {
            kafka,
            topic,
            partition,
            position,
            anchor,
            missed: false,
            ahead: VecDeque::new(),
            news,
            heard,
            lease: None,
            restart_after: None,
        };
        if let Err(error) = reader.start() {
            tracing::warn!(%error, %topic, partition, "reading could not be started, and will be tried again");
            reader.restart_later();
        }
        reader
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Whether the last record before the position is known to be there still.
    pub(crate) fn follows(&self) -> bool {
        !self.anchor.is_reading_back()
    }

    /// Changes when there may be something to poll.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Goes on from another offset.
    pub(crate) fn seek(&mut self, offset: u64) {
        self.ahead.clear();
        self.anchor = Anchor::default();
        self.position = offset;
        self.restart_after = Some(Instant::now());
    }

    /// The next records; empty at the end, or where the broker does not answer.
    pub(crate) fn poll(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<StoredRecord>, LogError> {
        self.poll_waiting(max_records, max_bytes, Duration::ZERO)
    }

    /// As [`KafkaReader::poll`], but waits for the first record at most so long.
    pub(crate) fn poll_waiting(
        &mut self,
        max_records: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Vec<StoredRecord>, LogError> {
        self.kafka.check_same_topics()?;
        self.kafka.check_partition(self.partition)?;
        self.start_if_due();
        let (mut taken, mut bytes) = (Vec::new(), 0_usize);
        while taken.len() < max_records {
            if self.ahead.is_empty() {
                let Some(lease) = &self.lease else { break };
                let wait = if taken.is_empty() { wait } else { Duration::ZERO };
                self.ahead.extend(take(lease, max_records - taken.len(), wait));
            }
            let Some(message) = self.ahead.front() else { break };
            let (error, offset, epoch) = (message.error(), message.offset(), message.leader_epoch());
            // An event has no headers to be read.
            let size = if error.is_none() { size(message) } else { 0 };
            let step = match error {
                None => self.anchor.see(offset, epoch),
                Some(Code::PartitionEOF) if self.anchor.is_reading_back() => Step::Missing,
                Some(Code::PartitionEOF) => {
                    self.position = self.position.max(offset);
                    self.kafka.saw_end(self.topic, self.partition, self.position);
                    self.ahead.pop_front();
                    continue;
                }
                Some(_) if !taken.is_empty() => break,
                Some(code) => {
                    self.ahead.clear();
                    self.trouble(code)?;
                    break;
                }
            };
            match step {
                Step::Give => {
                    if !taken.is_empty() && bytes.saturating_add(size) > max_bytes {
                        break;
                    }
                    bytes = bytes.saturating_add(size);
                    self.position = offset + 1;
                    self.anchor.read(offset, epoch);
                    taken.extend(self.ahead.pop_front());
                }
                Step::Proven => {
                    self.missed = false;
                    self.ahead.pop_front();
                }
                // What was taken before is right.
                _ if !taken.is_empty() => break,
                Step::ReadBack => {
                    self.read_back();
                    break;
                }
                Step::Missing => {
                    self.missing(offset)?;
                    if !self.follows() {
                        break;
                    }
                }
                Step::Truncated(found) => return Err(self.truncated(found)),
            }
        }
        if !taken.is_empty() {
            self.kafka.saw_end(self.topic, self.partition, self.position);
        }
        Ok(records(taken))
    }

    /// Waits until there is something at the position or past it. Can be dropped at any time.
    pub(crate) async fn wait(&mut self) -> Result<(), LogError> {
        loop {
            self.kafka.check_partition(self.partition)?;
            self.kafka.check_same_topics()?;
            self.heard.borrow_and_update();
            self.start_if_due();
            if self.ahead.is_empty()
                && let Some(lease) = &self.lease
            {
                self.ahead.extend(take(lease, TAKE_MAX, Duration::ZERO));
            }
            while self.follows()
                && self.ahead.front().is_some_and(|message| message.error() == Some(Code::PartitionEOF))
            {
                let end = self.ahead.pop_front().map_or(0, |message| message.offset());
                self.position = self.position.max(end);
            }
            if !self.ahead.is_empty() {
                return Ok(());
            }
            if self.kafka.is_closed() {
                return Err(LogError::Closed);
            }
            // Its own sender is a field, so that there is always somebody to change it.
            let _ = self.heard.changed().await;
        }
    }

    /// What a fetch failed with: wrong for good, or to be tried again.
    fn trouble(&mut self, code: Code) -> Result<(), LogError> {
        let (topic, partition, position) = (self.topic, self.partition, self.position);
        tracing::warn!(%topic, partition, position, %code, "reading failed");
        let start = self.diagnose()?;
        if let Some(start) = start
            && code == Code::AutoOffsetReset
        {
            // The brokers or librdkafka did not find the position, which is within the partition now: it was trimmed up to
            // there, or truncated, and may have grown again. The last record tells. Who has read none starts again.
            if self.anchor.is_reading_back() && self.anchor.offset().is_some_and(|last| last < start) {
                self.anchor.give_up();
            } else if !self.anchor.read_back() && self.anchor.offset().is_some() {
                return Err(self.truncated(format!("offset {position} was past the end")));
            }
        }
        self.restart_later();
        Ok(())
    }

    /// As [`Kafka::diagnose`]; who has read further than the partition is was there before it was truncated.
    fn diagnose(&self) -> Result<Option<u64>, LogError> {
        match self.kafka.diagnose(self.topic, self.partition, self.position) {
            Err(LogError::PastEnd { end, .. }) if self.anchor.offset().is_some() => {
                Err(self.truncated(format!("the partition ends at {end}")))
            }
            other => other,
        }
    }

    /// Starts again at the last record.
    fn read_back(&mut self) {
        self.anchor.read_back();
        self.ahead.clear();
        self.restart_after = Some(Instant::now());
        self.start_if_due();
    }

    /// The last record was to come, and this is what comes: right only where it was trimmed.
    fn missing(&mut self, offset: u64) -> Result<(), LogError> {
        let Some((last, _)) = self.anchor.known() else {
            self.anchor.give_up();
            return Ok(());
        };
        match self.diagnose()? {
            None => {
                self.ahead.clear();
                self.restart_later();
            }
            Some(start) if start > last => self.anchor.give_up(),
            // Not at once, as it may be what an earlier fetch has left.
            Some(_) if !self.missed => {
                self.missed = true;
                self.read_back();
            }
            Some(_) => return Err(self.truncated(format!("what comes next is offset {offset}"))),
        }
        Ok(())
    }

    fn truncated(&self, found: String) -> LogError {
        let (topic, partition) = (self.topic, self.partition);
        self.kafka.find_end(topic, partition);
        let offset = self.anchor.offset().unwrap_or_else(|| self.position.saturating_sub(1));
        let leader_epoch = self.anchor.known().map(|(_, epoch)| epoch);
        LogError::Truncated { topic, partition, offset, leader_epoch, found }
    }

    fn restart_later(&mut self) {
        self.restart_after = Some(Instant::now() + RESTART_PAUSE);
        // Nothing will come by itself that could wake whoever reads.
        self.kafka.wake_readers_later();
    }

    fn start_if_due(&mut self) {
        if self.restart_after.is_some_and(|at| at <= Instant::now()) {
            self.restart_after = None;
            if let Err(error) = self.start() {
                tracing::warn!(%error, topic = %self.topic, partition = self.partition, "reading is not started yet");
                self.restart_later();
            }
        }
    }

    fn start(&mut self) -> Result<(), LogError> {
        if let Some(lease) = &self.lease {
            return lease.restart(self.anchor.fetch_from(self.position));
        }
        if self.kafka.check_partition(self.partition).is_ok() {
            let news = Arc::clone(&self.news);
            let waker = Box::new(move || news.send_modify(|count| *count = count.wrapping_add(1)));
            let from = self.anchor.fetch_from(self.position);
            self.lease = Some(self.kafka.consumers().read((self.topic, self.partition), from, waker)?);
        }
        Ok(())
    }
}

impl std::fmt::Debug for KafkaReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { topic, partition, position, .. } = self;
        f.debug_struct("KafkaReader")
            .field("topic", topic)
            .field("partition", partition)
            .field("position", position)
            .finish()
    }
}

/// Takes one and waits for it, then what is there: a batch call would wait for all of them.
fn take(lease: &Lease, max: usize, wait: Duration) -> Vec<Message> {
    let mut messages = if wait.is_zero() { Vec::new() } else { lease.queue().take(1, wait) };
    if wait.is_zero() || !messages.is_empty() {
        messages.extend(lease.queue().take(max.min(TAKE_MAX), Duration::ZERO));
    }
    messages
}

/// What a message takes in memory as a record, about. Headers count, also empty ones: a message of 1 MB may have 500,000.
fn size(message: &Message) -> usize {
    let headers = message.headers();
    key_and_value_bytes(message) + headers_bytes(headers) + HEADER_BYTES * headers.len()
}

fn key_and_value_bytes(message: &Message) -> usize {
    message.key().map_or(0, <[u8]>::len) + message.value().map_or(0, <[u8]>::len)
}

/// Messages as records, whose keys and values share one buffer.
fn records(messages: Vec<Message>) -> Vec<StoredRecord> {
    let mut buffer = BytesMut::with_capacity(messages.iter().map(key_and_value_bytes).sum());
    for message in &messages {
        buffer.extend_from_slice(message.key().unwrap_or_default());
        buffer.extend_from_slice(message.value().unwrap_or_default());
    }
    let mut rest = buffer.freeze();
    let mut next = |part: Option<&[u8]>| part.map(|part| rest.split_to(part.len()));
    let record = |mut message: Message| StoredRecord {
        offset: message.offset(),
        timestamp_ms: message.timestamp_ms(),
        key: next(message.key()),
        value: next(message.value()),
        headers: message.take_headers(),
        leader_epoch: message.leader_epoch(),
    };
    messages.into_iter().map(record).collect()
}
