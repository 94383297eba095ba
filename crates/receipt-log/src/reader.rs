//! A cursor over one partition.

use std::sync::Arc;

use tokio::sync::watch;

use crate::embedded::{Embedded, Span};
use crate::kafka::{Anchor, KafkaReader};
use crate::log::Engine;
use crate::{LogError, StoredRecord, Topic};

/// Reads a partition in order and remembers how far it is.
#[derive(Debug)]
pub struct Reader {
    topic: Topic,
    partition: u32,
    cursor: Cursor,
}

#[derive(Debug)]
enum Cursor {
    Embedded {
        log: Arc<Embedded>,
        position: u64,
        /// Changes as soon as more is durable, and is marked as changed when the log is closed.
        end: watch::Receiver<u64>,
    },
    Kafka(Box<KafkaReader>),
}

impl Reader {
    /// `after`: all before the position was read before, the last record of it under this epoch.
    pub(crate) fn new(
        engine: &Engine,
        topic: Topic,
        partition: u32,
        (position, after): (u64, bool),
        leader_epoch: Option<u32>,
    ) -> Reader {
        let cursor = match engine {
            Engine::Embedded(log) => {
                // Of a partition that does not exist: 0, with nobody to change it.
                let end = log.watch_end(topic, partition).unwrap_or_else(|| watch::channel(0).1);
                Cursor::Embedded { log: Arc::clone(log), position, end }
            }
            Engine::Kafka(log) => {
                let anchor = if after { Anchor::before(position, leader_epoch) } else { Anchor::default() };
                Cursor::Kafka(Box::new(KafkaReader::new(Arc::clone(log), topic, partition, position, anchor)))
            }
        };
        Reader { topic, partition, cursor }
    }

    /// The topic that it reads.
    #[must_use]
    pub fn topic(&self) -> Topic {
        self.topic
    }

    /// The partition that it reads.
    #[must_use]
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// The offset that the next poll starts from. On Kafka it also moves over what is no record, up to the end.
    #[must_use]
    pub fn position(&self) -> u64 {
        match &self.cursor {
            Cursor::Embedded { position, .. } => *position,
            Cursor::Kafka(reader) => reader.position(),
        }
    }

    /// Whether what was read before is known to be still there, so that what comes next follows it. `false` only on Kafka,
    /// until the last record that was read before is read back.
    #[must_use]
    pub fn follows(&self) -> bool {
        match &self.cursor {
            Cursor::Embedded { .. } => true,
            Cursor::Kafka(reader) => reader.follows(),
        }
    }

    /// Goes on from another offset.
    pub fn seek(&mut self, offset: u64) {
        match &mut self.cursor {
            Cursor::Embedded { position, .. } => *position = offset,
            Cursor::Kafka(reader) => reader.seek(offset),
        }
    }

    /// Changes when there may be something to poll, or the log is closed. Mark it as seen before a poll, and what comes
    /// after that poll changes it.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        match &self.cursor {
            Cursor::Embedded { end, .. } => end.clone(),
            Cursor::Kafka(reader) => reader.news(),
        }
    }

    /// The next records: at most `max_records`, and at most `max_bytes` of them as stored, but one whatever its size.
    /// Empty at the end, and on Kafka also while none have come yet. Does not wait for records. Fast from a few hundred
    /// records a call on.
    ///
    /// # Errors
    /// As [`crate::Log::read`], and [`LogError::Truncated`]; the position stays.
    pub fn poll(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<StoredRecord>, LogError> {
        match &mut self.cursor {
            Cursor::Embedded { log, position, .. } => {
                let span = Span { from: *position, max_records, max_bytes, in_a_row: true };
                let records = log.read(self.topic, self.partition, span)?;
                if let Some(last) = records.last() {
                    *position = last.offset + 1;
                }
                Ok(records)
            }
            Cursor::Kafka(reader) => reader.poll(max_records, max_bytes),
        }
    }

    /// Waits until there is something at the position or past it. Can be dropped at any time.
    ///
    /// # Errors
    /// [`LogError::Closed`] once the log is closed and all of it has been read; [`LogError::NoSuchPartition`].
    pub async fn wait(&mut self) -> Result<(), LogError> {
        match &mut self.cursor {
            Cursor::Embedded { log, position, end } => {
                let position = *position;
                let seen = end.wait_for(|end| *end > position || log.is_closed()).await.map(|end| *end);
                match seen {
                    Ok(end) if end > position => Ok(()),
                    Ok(_) => Err(LogError::Closed),
                    Err(_) => {
                        let last = log.partitions().saturating_sub(1);
                        Err(LogError::NoSuchPartition { partition: self.partition, last })
                    }
                }
            }
            Cursor::Kafka(reader) => reader.wait().await,
        }
    }
}
