//! Whose an ordinal of a group is.
//!
//! Key `[kind][conversation number u64][ordinal u32]`, value: serde.

use receipt_domain::state::Member;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
};

const WHAT: &str = "member";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, ordinal: u32) -> Vec<u8> {
    Writer::new(Kind::Member).u64(conversation).u32(ordinal).done()
}

/// What a key says: conversation number and ordinal.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u32), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Member, key)?;
    let key = (parser.u64()?, parser.u32()?);
    parser.done().map(|()| key)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Member) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Member, Corrupt> {
    codec::decode(WHAT, value)
}
