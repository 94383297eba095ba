//! The receipt policies of the partition, each by its number from 0; the last is in force.
//!
//! Key `[kind][number u64]`, value: serde.

use receipt_domain::event::Policy;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
};

const WHAT: &str = "policy";

/// The row's key.
#[must_use]
pub fn key(number: u64) -> Vec<u8> {
    Writer::new(Kind::Policy).u64(number).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<u64, Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Policy, key)?;
    let number = parser.u64()?;
    parser.done().map(|()| number)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Policy) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Policy, Corrupt> {
    codec::decode(WHAT, value)
}
