//! A chunk of a large read set, by ordinal.
//!
//! Key `[kind][conversation number u64][position u64][chunk u32]`, value: log time at the message,
//! ms u64 (so that it expires by itself), then see [`crate::read_set`].

use receipt_domain::readers::ReadChunk;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
    read_set,
};

const WHAT: &str = "read chunk";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, position: u64, chunk: u32) -> Vec<u8> {
    Writer::new(Kind::ReadChunk).u64(conversation).u64(position).u32(chunk).done()
}

/// What a key says: conversation number, position and chunk.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u64, u32), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::ReadChunk, key)?;
    let key = (parser.u64()?, parser.u64()?, parser.u32()?);
    parser.done().map(|()| key)
}

/// The row's value, of a message of this log time.
#[must_use]
pub fn encode(log_time_ms: u64, row: &ReadChunk) -> Vec<u8> {
    let mut body = log_time_ms.to_be_bytes().to_vec();
    body.extend_from_slice(&read_set::encode_chunk(row));
    codec::versioned(&body)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<ReadChunk, Corrupt> {
    read_set::decode_chunk(codec::log_time(WHAT, value)?.1)
}
