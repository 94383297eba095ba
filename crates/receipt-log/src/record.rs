//! What goes into the log and what comes out of it.

use bytes::Bytes;

use crate::{LogError, Topic};

/// Bytes of a record's value, at most (S39).
pub const RECORD_VALUE_MAX_BYTES: usize = 1_000_000;
/// Bytes of a record's key and headers together, at most. Ids are at most 256 bytes and reasons a line of text, so
/// whatever is longer is a mistake.
pub const RECORD_KEY_AND_HEADERS_MAX_BYTES: usize = 65_536;

/// Headers of a record, at most (S39). An empty header has no bytes, and takes memory all the same.
pub const RECORD_HEADERS_MAX: usize = 1_000;
/// Bytes that a header takes in memory beside its name and value, about.
pub(crate) const HEADER_BYTES: usize = 64;

/// What one request appends to one partition, in this order.
pub type Batch = (Topic, u32, Vec<NewRecord>);

/// A record to append. Its offset and its timestamp are the log's to give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// Decides the partition ([`crate::Log::partition_for`]); none for what stands in every partition.
    pub key: Option<Bytes>,
    /// A bare protobuf message, at most [`RECORD_VALUE_MAX_BYTES`].
    pub value: Option<Bytes>,
    /// Names and values, in order; a name may stand twice.
    pub headers: Vec<(String, Bytes)>,
}

impl NewRecord {
    /// A record with a key and a value, and no headers.
    #[must_use]
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> NewRecord {
        NewRecord { key: Some(key.into()), value: Some(value.into()), headers: Vec::new() }
    }

    /// Bytes that it takes in memory, about. Empty headers count too.
    #[must_use]
    pub fn bytes(&self) -> usize {
        memory_bytes(self.key.as_ref(), self.value.as_ref(), &self.headers)
    }

    /// Refuses what is over a limit.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        check_limits(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}

impl StoredRecord {
    /// Bytes that it takes in memory, about. Empty headers count too.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        memory_bytes(self.key.as_ref(), self.value.as_ref(), &self.headers)
    }
}

fn memory_bytes(key: Option<&Bytes>, value: Option<&Bytes>, headers: &[(String, Bytes)]) -> usize {
    key.map_or(0, Bytes::len) + value.map_or(0, Bytes::len) + headers_bytes(headers) + HEADER_BYTES * headers.len()
}

/// Refuses a record, new or stored, that is over a limit of the log (S39).
///
/// # Errors
/// [`LogError::RecordTooLarge`], [`LogError::TooManyHeaders`].
pub fn check_limits(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(String, Bytes)]) -> Result<(), LogError> {
    if headers.len() > RECORD_HEADERS_MAX {
        return Err(LogError::TooManyHeaders { headers: headers.len(), max: RECORD_HEADERS_MAX });
    }
    let bytes = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    let parts = [
        ("value", bytes(value), RECORD_VALUE_MAX_BYTES),
        ("key and headers", bytes(key) + headers_bytes(headers), RECORD_KEY_AND_HEADERS_MAX_BYTES),
    ];
    match parts.into_iter().find(|(_, bytes, max)| bytes > max) {
        None => Ok(()),
        Some((part, bytes, max)) => Err(LogError::RecordTooLarge { part, bytes, max }),
    }
}

/// Bytes of names and values, as [`RECORD_KEY_AND_HEADERS_MAX_BYTES`] counts them.
#[must_use]
pub fn headers_bytes(headers: &[(String, Bytes)]) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// A record that keeps the timestamp it had in another log, or the lack of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopiedRecord {
    /// Key, value and headers.
    pub record: NewRecord,
    /// Milliseconds since 1970; `None` where the other log had none.
    pub timestamp_ms: Option<u64>,
}

/// Where an appended record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its offset in its partition.
    pub offset: u64,
    /// Its arrival, in milliseconds since 1970; 0 for a copied record without a timestamp.
    pub timestamp_ms: u64,
}

/// A record as the log has it.
///
/// Key, value and header values are slices of one buffer that all records of a read share. Who keeps a few of them for
/// long copies those, or the whole buffer stays in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its offset in its partition.
    pub offset: u64,
    /// Its arrival, in milliseconds since 1970; `None` where a record was copied from a log that had none.
    pub timestamp_ms: Option<u64>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers, in the order they were given.
    pub headers: Vec<(String, Bytes)>,
    /// On Kafka, the leader epoch that it was written under: with its offset it names this record, even where the partition
    /// loses its end and grows again. `None` where there is none, as in the embedded log.
    pub leader_epoch: Option<u32>,
}

impl StoredRecord {
    /// Bytes of key, value and headers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        bytes(&self.key) + bytes(&self.value) + headers_bytes(&self.headers)
    }
}
