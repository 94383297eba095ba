//! Values of records in the embedded log's RocksDB.
//!
//! ```text
//! [version u8 = 1][CRC-32 u32, little-endian][which u8]
//! [timestamp varint]?  [key length varint][key]?  [headers varint]([name length varint][name][length varint][value])*?
//! [value, to the end]?
//! ```
//! `which` says which of them are there. The checksum is over the record's own key and all that follows it, so that
//! a record in another's place is noticed as well as a damaged one.

use std::ops::Range;

use bytes::Bytes;

use super::keys::RECORD_KEY_BYTES;
use crate::{NewRecord, StoredRecord};

const VERSION: u8 = 1;
/// Where the checksum ends and what it is over begins.
const SUMMED: usize = 5;

const HAS_TIMESTAMP: u8 = 1;
const HAS_KEY: u8 = 2;
const HAS_VALUE: u8 = 4;
const HAS_HEADERS: u8 = 8;

/// Writes a record's value into an empty or used buffer.
pub(super) fn encode(
    buffer: &mut Vec<u8>,
    place: &[u8; RECORD_KEY_BYTES],
    timestamp_ms: Option<u64>,
    record: &NewRecord,
) {
    buffer.clear();
    buffer.extend_from_slice(&[VERSION, 0, 0, 0, 0, 0]);
    let mut which = 0;
    if let Some(timestamp) = timestamp_ms {
        which |= HAS_TIMESTAMP;
        put_varint(buffer, timestamp);
    }
    if let Some(key) = &record.key {
        which |= HAS_KEY;
        put_bytes(buffer, key);
    }
    if !record.headers.is_empty() {
        which |= HAS_HEADERS;
        put_varint(buffer, record.headers.len() as u64);
        for (name, value) in &record.headers {
            put_bytes(buffer, name.as_bytes());
            put_bytes(buffer, value);
        }
    }
    if let Some(value) = &record.value {
        which |= HAS_VALUE;
        buffer.extend_from_slice(value);
    }
    buffer[SUMMED] = which;
    let sum = checksum(place, &buffer[SUMMED..]);
    buffer[1..SUMMED].copy_from_slice(&sum.to_le_bytes());
}

/// Reads the record's value that stands in this range of a buffer; what it holds are slices of the buffer.
///
/// # Errors
/// What is wrong, for whatever bytes `encode` did not write.
pub(super) fn decode(
    offset: u64,
    place: &[u8; RECORD_KEY_BYTES],
    buffer: &Bytes,
    range: Range<usize>,
) -> Result<StoredRecord, &'static str> {
    let bytes = buffer.get(range.clone()).ok_or("cut short")?;
    match bytes.first() {
        None => return Err("empty"),
        Some(&VERSION) => {}
        Some(_) => return Err("of a format that this version does not know"),
    }
    let (sum, summed) = bytes.get(1..).and_then(<[u8]>::split_first_chunk::<4>).ok_or("cut short")?;
    if u32::from_le_bytes(*sum) != checksum(place, summed) {
        return Err("its checksum is wrong");
    }
    parse(offset, buffer, range.start + SUMMED..range.end)
}

/// Reads what the checksum is over.
fn parse(offset: u64, buffer: &Bytes, range: Range<usize>) -> Result<StoredRecord, &'static str> {
    let mut cursor = Cursor { buffer, at: range.start, end: range.end };
    let which = cursor.byte().ok_or("cut short")?;
    if which & !(HAS_TIMESTAMP | HAS_KEY | HAS_VALUE | HAS_HEADERS) != 0 {
        return Err("of a format that this version does not know");
    }
    let has = |part| which & part != 0;
    let mut record =
        StoredRecord { offset, timestamp_ms: None, key: None, value: None, headers: Vec::new(), leader_epoch: None };
    if has(HAS_TIMESTAMP) {
        record.timestamp_ms = Some(cursor.varint().ok_or("its timestamp is damaged")?);
    }
    if has(HAS_KEY) {
        record.key = Some(cursor.bytes().ok_or("its key is damaged")?);
    }
    if has(HAS_HEADERS) {
        for _ in 0..cursor.varint().ok_or("its headers are damaged")? {
            record.headers.push(cursor.header().ok_or("its headers are damaged")?);
        }
    }
    if has(HAS_VALUE) {
        record.value = Some(buffer.slice(cursor.at..cursor.end));
    } else if cursor.at != cursor.end {
        return Err("followed by bytes that are not its own");
    }
    Ok(record)
}

fn checksum(place: &[u8; RECORD_KEY_BYTES], bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(place);
    hasher.update(bytes);
    hasher.finalize()
}

fn put_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(buffer, bytes.len() as u64);
    buffer.extend_from_slice(bytes);
}

/// Seven bits a byte, the lowest first; the high bit says that more follow.
fn put_varint(buffer: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        buffer.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    buffer.push(number.to_le_bytes()[0]);
}

/// Reads on through a range of a buffer, and never past its end.
struct Cursor<'a> {
    buffer: &'a Bytes,
    at: usize,
    end: usize,
}

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.buffer.get(self.at..self.end)?.first()?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.varint()?).ok()?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.end)?;
        let bytes = self.buffer.slice(self.at..end);
        self.at = end;
        Some(bytes)
    }

    fn header(&mut self) -> Option<(String, Bytes)> {
        let name = String::from_utf8(self.bytes()?.to_vec()).ok()?;
        Some((name, self.bytes()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::Topic;
    use crate::embedded::keys::Place;

    fn key(offset: u64) -> [u8; RECORD_KEY_BYTES] {
        Place { topic: Topic::Reads, partition: 3 }.record(offset)
    }

    fn decode_all(offset: u64, bytes: Vec<u8>) -> Result<StoredRecord, &'static str> {
        let range = 0..bytes.len();
        decode(offset, &key(offset), &Bytes::from(bytes), range)
    }

    fn records() -> impl Strategy<Value = (Option<u64>, NewRecord)> {
        let bytes = || vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let headers = vec(("[a-z]{0,8}", bytes()), 0..4);
        (any::<Option<u64>>(), option::of(bytes()), option::of(bytes()), headers)
            .prop_map(|(timestamp, key, value, headers)| (timestamp, NewRecord { key, value, headers }))
    }

    #[test]
    fn golden_bytes() {
        let mut bytes = Vec::new();
        let headers = vec![("h".to_owned(), Bytes::from_static(b"x"))];
        encode(&mut bytes, &key(5), Some(300), &NewRecord { headers, ..NewRecord::new("k", "value") });
        assert_eq!(bytes[0], 1);
        assert_eq!(bytes[5..], *b"\x0f\xac\x02\x01k\x01\x01h\x01xvalue");
        encode(&mut bytes, &key(5), None, &NewRecord::default());
        assert_eq!(bytes[5..], [0]);
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn records_round_trip((timestamp, record) in records(), offset: u64) {
            let mut bytes = Vec::new();
            encode(&mut bytes, &key(offset), timestamp, &record);
            let NewRecord { key, value, headers } = record;
            let stored = StoredRecord { offset, timestamp_ms: timestamp, key, value, headers, leader_epoch: None };
            prop_assert_eq!(decode_all(offset, bytes), Ok(stored));
        }

        #[test]
        fn a_changed_byte_is_noticed((timestamp, record) in records(), at: prop::sample::Index, flip in 1..=u8::MAX) {
            let mut bytes = Vec::new();
            encode(&mut bytes, &key(1), timestamp, &record);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(decode_all(1, bytes).is_err());
        }

        #[test]
        fn a_record_in_anothers_place_is_noticed((timestamp, record) in records()) {
            let mut bytes = Vec::new();
            encode(&mut bytes, &key(1), timestamp, &record);
            prop_assert_eq!(decode_all(2, bytes), Err("its checksum is wrong"));
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes in vec(any::<u8>(), 0..64)) {
            let _ = decode_all(1, bytes);
        }

        #[test]
        fn any_summed_bytes_decode_or_are_refused(which in 0..0x20u8, rest in vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from([vec![which], rest].concat());
            let _ = parse(1, &bytes, 0..bytes.len());
        }

        #[test]
        fn cut_anywhere_is_refused((timestamp, record) in records(), at: prop::sample::Index) {
            let mut bytes = Vec::new();
            encode(&mut bytes, &key(1), timestamp, &record);
            bytes.truncate(at.index(bytes.len()));
            prop_assert!(decode_all(1, bytes).is_err());
        }
    }
}
