//! A cursor over one partition.

use tokio::sync::watch;

use crate::embedded::Span;
use crate::{Log, LogError, StoredRecord, Topic};

/// Reads a partition in order and remembers how far it is.
#[derive(Debug)]
pub struct Reader {
    log: Log,
    topic: Topic,
    partition: u32,
    position: u64,
    end: watch::Receiver<u64>,
}

impl Reader {
    pub(crate) fn new(log: Log, topic: Topic, partition: u32, position: u64) -> Reader {
        let end = log.watch_end(topic, partition);
        Reader { log, topic, partition, position, end }
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

    /// The offset that the next poll starts from.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes on from another offset.
    pub fn seek(&mut self, offset: u64) {
        self.position = offset;
    }

    /// The next records: at most `max_records`, and at most `max_bytes` of them as stored, but one whatever its size.
    /// Empty at the end. Does not wait for records. Fast from a few hundred records a call on.
    ///
    /// # Errors
    /// As [`Log::read`]; the position stays.
    pub fn poll(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<StoredRecord>, LogError> {
        let span = Span { from: self.position, max_records, max_bytes, in_a_row: true };
        let records = self.log.read_span(self.topic, self.partition, span)?;
        if let Some(last) = records.last() {
            self.position = last.offset + 1;
        }
        Ok(records)
    }

    /// Waits until there is something at the position or past it. Can be dropped at any time.
    ///
    /// # Errors
    /// [`LogError::Closed`] once the log is closed and all of it has been read; [`LogError::NoSuchPartition`].
    pub async fn wait(&mut self) -> Result<(), LogError> {
        let (position, log) = (self.position, &self.log);
        let seen = self.end.wait_for(|end| *end > position || log.is_closed()).await.map(|end| *end);
        match seen {
            Ok(end) if end > position => Ok(()),
            Ok(_) => Err(LogError::Closed),
            Err(_) => {
                let last = self.log.partitions().saturating_sub(1);
                Err(LogError::NoSuchPartition { partition: self.partition, last })
            }
        }
    }
}
