//! How far a user's up-to reads are expanded.
//!
//! Key `[kind][conversation number u64][user]`, value: serde.

use receipt_domain::{id::UserId, state::Cursor};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "cursor";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, user: &UserId) -> Vec<u8> {
    Writer::new(Kind::Cursor).u64(conversation).last_text(user.as_str()).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, UserId), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Cursor, key)?;
    Ok((parser.u64()?, id(WHAT, parser.last_text()?)?))
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Cursor) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Cursor, Corrupt> {
    codec::decode(WHAT, value)
}
