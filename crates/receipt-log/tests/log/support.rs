//! What the tests share.

use std::path::Path;

use receipt_log::{Clock, EmbeddedOptions, Log, LogError, NewRecord, StoredRecord, Topic};

/// A day, in milliseconds.
pub(crate) const DAY: u64 = 24 * 3_600_000;

/// Four partitions, nothing expires, and it is always 1970 and one second.
pub(crate) fn options(dir: &Path) -> EmbeddedOptions {
    let (clock, _) = Clock::manual(1_000);
    receipt_test_engine::options(dir, clock)
}

/// Opens it with [`options`], on either engine.
pub(crate) async fn open(dir: &Path) -> Log {
    receipt_test_engine::open(options(dir)).await
}

/// Opens it with [`options`], embedded: for what only that engine can show.
pub(crate) fn open_embedded(dir: &Path) -> Log {
    Log::open_embedded(options(dir)).unwrap()
}

/// A record whose key and value say which it is.
pub(crate) fn record(n: u64) -> NewRecord {
    NewRecord::new(format!("key {n}"), format!("value {n}"))
}

/// Records of these numbers.
pub(crate) fn records(numbers: std::ops::Range<u64>) -> Vec<NewRecord> {
    numbers.map(record).collect()
}

/// Everything from an offset on.
pub(crate) fn read_all(log: &Log, topic: Topic, partition: u32, from: u64) -> Result<Vec<StoredRecord>, LogError> {
    let mut all: Vec<StoredRecord> = Vec::new();
    loop {
        let from = all.last().map_or(from, |last| last.offset + 1);
        let read = log.read(topic, partition, from, usize::MAX, usize::MAX)?;
        if read.is_empty() {
            return Ok(all);
        }
        all.extend(read);
    }
}

/// The value as text.
pub(crate) fn text(record: &StoredRecord) -> String {
    String::from_utf8(record.value.as_ref().unwrap().to_vec()).unwrap()
}
