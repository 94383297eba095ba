//! What a store was created for, checked at each start (R7). One row.
//!
//! Key `[kind]`, value: serde.

use receipt_domain::settings::Settings;
use serde::{Deserialize, Serialize};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Writer},
};

/// What a store was created for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The log that it is folded from.
    pub log_id: [u8; 16],
    /// The partition.
    pub partition: u32,
    /// Of so many.
    pub partitions: u32,
    /// The settings it is folded by.
    pub settings: Settings,
}

const WHAT: &str = "identity";

/// The row's key.
#[must_use]
pub fn key() -> Vec<u8> {
    Writer::new(Kind::Identity).done()
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Identity) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Identity, Corrupt> {
    codec::decode(WHAT, value)
}
