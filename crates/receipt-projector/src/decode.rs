//! A record of the log as the fold takes it, or why it is poison (R8).

use receipt_domain::event::{Event, ReadEvent, Record, Rejection};
use receipt_log::{Log, StoredRecord};
use receipt_proto::{decode_conversation_record, decode_read_record};

/// Decodes a record of receipts.conversations.
pub(crate) fn conversations(log: &Log, partition: u32, record: &StoredRecord) -> Record<Event> {
    let event = decode_conversation_record(record.key.as_deref(), record.value.as_deref());
    let event = event.and_then(|event| match event {
        // A policy or a tick has no key, and stands where it was put.
        Event::PolicyChanged(_) | Event::Tick => Ok(event),
        Event::Conversation(_) => in_its_partition(log, partition, record).map(|()| event),
    });
    Record { offset: record.offset, arrival_ms: record.timestamp_ms.unwrap_or_default(), event }
}

/// Decodes a record of receipts.reads.
pub(crate) fn reads(log: &Log, partition: u32, record: &StoredRecord) -> Record<ReadEvent> {
    let event = decode_read_record(record.key.as_deref(), record.value.as_deref());
    let event = event.and_then(|event| in_its_partition(log, partition, record).map(|()| event));
    Record { offset: record.offset, arrival_ms: record.timestamp_ms.unwrap_or_default(), event }
}

fn in_its_partition(log: &Log, partition: u32, record: &StoredRecord) -> Result<(), Rejection> {
    let right = log.partition_for(record.key.as_deref().unwrap_or_default());
    if right == partition {
        return Ok(());
    }
    Err(Rejection(format!(
        "the record is in partition {partition}, and its key belongs in {right}: the producer must partition by murmur2 \
         (in librdkafka partitioner=murmur2_random)"
    )))
}
