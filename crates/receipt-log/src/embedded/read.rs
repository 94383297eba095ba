//! Reads of the embedded log.

use bytes::Bytes;

use super::keys::Place;
use super::shared::Shared;
use super::{options, value};
use crate::{LogError, StoredRecord};

/// Bytes of a read's buffer to begin with: a few small records must not take more memory than they have.
const BUFFER_BYTES: usize = 4 * 1024;

/// Where to read, and how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The first offset.
    pub(crate) from: u64,
    /// Records, at most.
    pub(crate) max_records: usize,
    /// Bytes of stored records, at most; the first one is read whatever its size.
    pub(crate) max_bytes: usize,
    /// This read goes on where another ended.
    pub(crate) in_a_row: bool,
}

/// Reads what is durable; nothing at the end.
pub(super) fn read(shared: &Shared, place: Place, span: Span) -> Result<Vec<StoredRecord>, LogError> {
    let slot = shared.slot(place)?;
    let (topic, partition, from) = (place.topic, place.partition, span.from);
    let end = shared.end(slot);
    if from > end {
        return Err(LogError::PastEnd { topic, partition, from, end });
    }
    let trimmed = || {
        let start = shared.start(slot);
        if from < start { Err(LogError::Trimmed { topic, partition, from, start }) } else { Ok(()) }
    };
    trimmed()?;
    if from == end || span.max_records == 0 {
        return Ok(Vec::new());
    }
    // Offsets are dense: the last one is known, and nothing is read to find that none follows, as it may be damaged.
    let max_records = span.max_records.min(usize::try_from(end - from).unwrap_or(usize::MAX));
    let chunk = Chunk::read(shared, place, Span { max_records, ..span }, end)?;
    if chunk.ends.is_empty() {
        // Nothing at an offset that must be there: a trim came between, or else it is lost.
        trimmed()?;
        return Err(LogError::Corrupt { topic, partition, offset: from, detail: "it is missing" });
    }
    chunk.decode(place, from)
}

/// Stored records one after another, copied out of the database into one buffer.
struct Chunk {
    buffer: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

impl Chunk {
    /// Reads dense offsets from the span's first on; none where that one is missing.
    fn read(shared: &Shared, place: Place, span: Span, end: u64) -> Result<Chunk, LogError> {
        let mut chunk = Chunk { buffer: Vec::with_capacity(BUFFER_BYTES), ends: Vec::new() };
        let end_key = place.record(end);
        let mut rows = shared.db.raw_iterator_opt(options::read_below(&end_key, span.in_a_row));
        rows.seek(place.record(span.from));
        let mut offset = span.from;
        while let Some((key, stored)) = rows.item() {
            if place.offset(key) != Some(offset) {
                if chunk.ends.is_empty() {
                    break;
                }
                let Place { topic, partition } = place;
                return Err(LogError::Corrupt { topic, partition, offset, detail: "it is missing" });
            }
            let full = chunk.buffer.len().saturating_add(stored.len()) > span.max_bytes;
            if full && !chunk.ends.is_empty() {
                return Ok(chunk);
            }
            chunk.buffer.extend_from_slice(stored);
            chunk.ends.push(chunk.buffer.len());
            if chunk.ends.len() == span.max_records {
                return Ok(chunk);
            }
            offset += 1;
            rows.next();
        }
        rows.status().map_err(|error| LogError::reading(&error))?;
        if offset != end && !chunk.ends.is_empty() {
            let Place { topic, partition } = place;
            return Err(LogError::Corrupt { topic, partition, offset, detail: "it is missing" });
        }
        Ok(chunk)
    }

    fn decode(self, place: Place, from: u64) -> Result<Vec<StoredRecord>, LogError> {
        let Place { topic, partition } = place;
        let buffer = Bytes::from(self.buffer);
        let mut records = Vec::with_capacity(self.ends.len());
        let mut begin = 0;
        for (offset, end) in (from..).zip(self.ends) {
            let record = value::decode(offset, &place.record(offset), &buffer, begin..end)
                .map_err(|detail| LogError::Corrupt { topic, partition, offset, detail })?;
            records.push(record);
            begin = end;
        }
        Ok(records)
    }
}
