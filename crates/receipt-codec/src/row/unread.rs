//! A one-to-one message that is not read yet, by the time it was sent: what an up-to-time read looks at.
//!
//! Key `[kind][conversation number u64][reader's ordinal u32][time sent, ms u64][position u64]`, value: log time at the
//! message, serde.

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
};

const WHAT: &str = "unread";

/// The row's key; rows of one party are ordered by it.
#[must_use]
pub fn key(conversation: u64, ordinal: u32, (sent_at_ms, position): (u64, u64)) -> Vec<u8> {
    Writer::new(Kind::Unread).u64(conversation).u32(ordinal).u64(sent_at_ms).u64(position).done()
}

/// What a key says: conversation number, ordinal, and time and position.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u32, (u64, u64)), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Unread, key)?;
    let key = (parser.u64()?, parser.u32()?, (parser.u64()?, parser.u64()?));
    parser.done().map(|()| key)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(log_time_ms: u64) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, &log_time_ms)
}

/// The row in a value: log time in milliseconds.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<u64, Corrupt> {
    codec::decode(WHAT, value)
}
