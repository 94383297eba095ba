//! Records that can't be applied, on their way to receipts.dead-letter (R8).

use bytes::Bytes;
use receipt_domain::event::Rejection;
use receipt_log::{NewRecord, StoredRecord, Topic};

/// Header: the topic the record came from.
const TOPIC: &str = "receipts.topic";
/// Header: its partition.
const PARTITION: &str = "receipts.partition";
/// Header: its offset.
const OFFSET: &str = "receipts.offset";
/// Header: why it was not applied.
const REASON: &str = "receipts.reason";

/// The dead letter of a record: its own key, value and headers, and where it came from and why.
pub(crate) fn of(topic: Topic, partition: u32, record: &StoredRecord, why: &Rejection) -> NewRecord {
    let text = |text: String| Bytes::from(text.into_bytes());
    let mut headers = record.headers.clone();
    headers.push((TOPIC.to_owned(), text(topic.name().to_owned())));
    headers.push((PARTITION.to_owned(), text(partition.to_string())));
    headers.push((OFFSET.to_owned(), text(record.offset.to_string())));
    headers.push((REASON.to_owned(), text(why.to_string())));
    NewRecord { key: record.key.clone(), value: record.value.clone(), headers }
}
