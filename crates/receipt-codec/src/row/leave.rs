//! One entry of a group's leave log.
//!
//! Key `[kind][conversation number u64][index u32]`, value: serde.

use receipt_domain::state::LeaveEntry;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
};

const WHAT: &str = "leave";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, index: u32) -> Vec<u8> {
    Writer::new(Kind::Leave).u64(conversation).u32(index).done()
}

/// What a key says: conversation number and index.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u32), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Leave, key)?;
    let key = (parser.u64()?, parser.u32()?);
    parser.done().map(|()| key)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &LeaveEntry) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<LeaveEntry, Corrupt> {
    codec::decode(WHAT, value)
}
