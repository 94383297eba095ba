//! What a conversation knows of a message by its id.
//!
//! Key `[kind][conversation number u64][message]`, value: serde.

use receipt_domain::{id::MessageId, state::Stub};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "stub";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, message: &MessageId) -> Vec<u8> {
    Writer::new(Kind::Stub).u64(conversation).last_text(message.as_str()).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, MessageId), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Stub, key)?;
    Ok((parser.u64()?, id(WHAT, parser.last_text()?)?))
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Stub) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Stub, Corrupt> {
    codec::decode(WHAT, value)
}
