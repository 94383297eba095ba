//! A stretch of a large read set, by time: the index that pages of readers are taken from.
//!
//! Key `[kind][conversation number u64][position u64][first reader's time u32][its ordinal u32]`, value: log time at the
//! message, ms u64 (so that it expires by itself), then see [`crate::read_set`].

use receipt_domain::readers::Reader;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
    read_set,
};

const WHAT: &str = "time chunk";

/// The row's key. `first` is at most the first reader in it.
#[must_use]
pub fn key(conversation: u64, position: u64, first: Reader) -> Vec<u8> {
    Writer::new(Kind::TimeChunk).u64(conversation).u64(position).u32(first.read_at_s).u32(first.ordinal).done()
}

/// What all keys of a message begin with.
#[must_use]
pub fn prefix(conversation: u64, position: u64) -> Vec<u8> {
    Writer::new(Kind::TimeChunk).u64(conversation).u64(position).done()
}

/// What a key says: conversation number, position and first reader.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u64, Reader), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::TimeChunk, key)?;
    let (conversation, position) = (parser.u64()?, parser.u64()?);
    let first = Reader { read_at_s: parser.u32()?, ordinal: parser.u32()? };
    parser.done().map(|()| (conversation, position, first))
}

/// The row's value, of a message of this log time.
#[must_use]
pub fn encode(log_time_ms: u64, readers: &[Reader]) -> Vec<u8> {
    let mut body = Vec::with_capacity(4 * readers.len() + 16);
    body.extend_from_slice(&log_time_ms.to_be_bytes());
    read_set::encode_by_time(readers, &mut body);
    codec::versioned(&body)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Vec<Reader>, Corrupt> {
    let (_, mut body) = codec::log_time(WHAT, value)?;
    let readers = read_set::decode_by_time(&mut body)?;
    if body.is_empty() { Ok(readers) } else { Err(Corrupt::new(WHAT, "bytes behind the readers")) }
}
