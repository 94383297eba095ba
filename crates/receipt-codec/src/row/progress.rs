//! How far the partition is folded. One row.
//!
//! Key `[kind]`, value: serde.

use receipt_domain::state::Progress;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Writer},
};

const WHAT: &str = "progress";

/// The row's key.
#[must_use]
pub fn key() -> Vec<u8> {
    Writer::new(Kind::Progress).done()
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Progress) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Progress, Corrupt> {
    codec::decode(WHAT, value)
}
