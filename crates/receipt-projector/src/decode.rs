//! A record of the log as the fold takes it, or why it is poison (R8).

use receipt_domain::event::{Event, ReadEvent, Record, Rejection};
use receipt_log::{RECORD_HEADERS_MAX, RECORD_KEY_AND_HEADERS_MAX_BYTES, StoredRecord, headers_bytes, partition_for};
use receipt_proto::{decode_conversation_record, decode_read_record};

/// Decodes a record of receipts.conversations that stands in a partition of so many.
#[must_use]
pub fn conversations(partitions: u32, partition: u32, record: &StoredRecord) -> Record<Event> {
    let event = within_limits(record);
    let event = event.and_then(|()| decode_conversation_record(record.key.as_deref(), record.value.as_deref()));
    let event = event.and_then(|event| match event {
        // A policy or a tick has no key, and stands where it was put.
        Event::PolicyChanged(_) | Event::Tick => Ok(event),
        Event::Conversation(_) => in_its_partition(partitions, partition, record).map(|()| event),
    });
    Record { offset: record.offset, arrival_ms: record.timestamp_ms.unwrap_or_default(), event }
}

/// Decodes a record of receipts.reads that stands in a partition of so many.
#[must_use]
pub fn reads(partitions: u32, partition: u32, record: &StoredRecord) -> Record<ReadEvent> {
    let event = within_limits(record);
    let event = event.and_then(|()| decode_read_record(record.key.as_deref(), record.value.as_deref()));
    let event = event.and_then(|event| in_its_partition(partitions, partition, record).map(|()| event));
    Record { offset: record.offset, arrival_ms: record.timestamp_ms.unwrap_or_default(), event }
}

/// Others' producers know nothing of the log's limits (S39). That of the value is looked at where it is decoded.
fn within_limits(record: &StoredRecord) -> Result<(), Rejection> {
    let headers = record.headers.len();
    if headers > RECORD_HEADERS_MAX {
        return Err(Rejection(format!("the record has {headers} headers, at most {RECORD_HEADERS_MAX} are allowed")));
    }
    let bytes = record.key.as_ref().map_or(0, |key| key.len()) + headers_bytes(&record.headers);
    if bytes <= RECORD_KEY_AND_HEADERS_MAX_BYTES {
        return Ok(());
    }
    Err(Rejection(format!(
        "key and headers have {bytes} bytes, at most {RECORD_KEY_AND_HEADERS_MAX_BYTES} are allowed"
    )))
}

fn in_its_partition(partitions: u32, partition: u32, record: &StoredRecord) -> Result<(), Rejection> {
    let right = partition_for(record.key.as_deref().unwrap_or_default(), partitions);
    if right == partition {
        return Ok(());
    }
    Err(Rejection(format!(
        "the record is in partition {partition}, and its key belongs in {right}: the producer must partition by murmur2 \
         (in librdkafka partitioner=murmur2_random)"
    )))
}
