//! Appends to Kafka: what is refused before anything is sent, and which answer is which batch's.

use std::sync::Arc;

use super::Kafka;
use super::consumers::number;
use super::producer::Outgoing;
use crate::{Appended, Batch, CopiedRecord, LogError, NewRecord, Topic, is_far_ahead};

/// How many records of a call are one batch's.
struct Size {
    topic: Topic,
    partition: u32,
    records: usize,
}

impl Kafka {
    /// Appends from async code: a batch an answer, in the order given.
    pub(crate) async fn append(&self, batches: Vec<Batch>) -> Result<Vec<Vec<Appended>>, LogError> {
        let (sizes, records) = self.check(batches)?;
        let appended = if records.is_empty() { Vec::new() } else { self.appender.append(records).await? };
        Ok(self.appended(&sizes, appended))
    }

    /// Appends from a thread that may wait.
    pub(crate) fn append_blocking(&self, batches: Vec<Batch>) -> Result<Vec<Vec<Appended>>, LogError> {
        let (sizes, records) = self.check(batches)?;
        let appended = if records.is_empty() { Vec::new() } else { self.appender.append_blocking(records)? };
        Ok(self.appended(&sizes, appended))
    }

    /// Appends records with the timestamps of another log.
    pub(crate) async fn append_copied(
        &self,
        topic: Topic,
        partition: u32,
        copied: Vec<CopiedRecord>,
    ) -> Result<Vec<Appended>, LogError> {
        let records = self.check_copied(topic, partition, copied)?;
        let size = Size { topic, partition, records: records.len() };
        let appended = if records.is_empty() { Vec::new() } else { self.appender.append(records).await? };
        Ok(self.appended(&[size], appended).pop().unwrap_or_default())
    }

    fn check(&self, batches: Vec<Batch>) -> Result<(Vec<Size>, Vec<Outgoing>), LogError> {
        let timestamp_ms = Some(self.options.clock.now_ms());
        let mut sizes = Vec::with_capacity(batches.len());
        let mut all = Vec::new();
        for (topic, partition, records) in batches {
            sizes.push(Size { topic, partition, records: records.len() });
            for record in records {
                all.push(self.outgoing(topic, partition, record, timestamp_ms)?);
            }
        }
        self.check_open()?;
        Ok((sizes, all))
    }

    fn check_copied(&self, topic: Topic, partition: u32, copied: Vec<CopiedRecord>) -> Result<Vec<Outgoing>, LogError> {
        self.check_open()?;
        let now_ms = self.options.clock.now_ms();
        let far = |copied: &CopiedRecord| copied.timestamp_ms.is_some_and(|ms| is_far_ahead(ms, now_ms));
        if let Some(index) = copied.iter().position(far) {
            let timestamp_ms = copied[index].timestamp_ms.unwrap_or_default();
            return Err(LogError::ArrivalAhead { index, timestamp_ms, now_ms });
        }
        let copied = copied.into_iter();
        copied
            .map(|copied| {
                let timestamp_ms = Some(copied_timestamp_ms(copied.timestamp_ms));
                self.outgoing(topic, partition, copied.record, timestamp_ms)
            })
            .collect()
    }

    fn outgoing(
        &self,
        topic: Topic,
        partition: u32,
        record: NewRecord,
        timestamp_ms: Option<u64>,
    ) -> Result<Outgoing, LogError> {
        self.check_partition(partition)?;
        record.check()?;
        Ok(Outgoing { topic: Arc::clone(self.name(topic)), partition: number(partition), record, timestamp_ms })
    }

    /// Cuts what was appended into the batches it came in.
    fn appended(&self, sizes: &[Size], appended: Vec<Appended>) -> Vec<Vec<Appended>> {
        let mut appended = appended.into_iter();
        let batch = |size: &Size| {
            let batch: Vec<_> = appended.by_ref().take(size.records).collect();
            if let Some(last) = batch.iter().map(|appended| appended.offset).max() {
                self.saw_end(size.topic, size.partition, last + 1);
            }
            batch
        };
        sizes.iter().map(batch).collect()
    }
}

/// The timestamp of a copied record. Without one, and at 0, librdkafka would give it the time of now, and so another
/// meaning.
pub(crate) fn copied_timestamp_ms(timestamp_ms: Option<u64>) -> u64 {
    timestamp_ms.unwrap_or(0).max(1)
}
