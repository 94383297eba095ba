//! What a sender is to be told of one message, at the offset of its latest delta. In the stores of the inbox projection.
//!
//! Key `[kind][sender id, with length][offset in receipts.deltas u64]`, value: serde.

use receipt_domain::{id::UserId, inbox::InboxEntry};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "inbox entry";

/// The row's key; a sender's rows are ordered by offset.
#[must_use]
pub fn key(sender: &UserId, offset: u64) -> Vec<u8> {
    Writer::new(Kind::InboxEntry).text(sender.as_str()).u64(offset).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(UserId, u64), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::InboxEntry, key)?;
    let key = (id(WHAT, parser.text()?)?, parser.u64()?);
    parser.done().map(|()| key)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &InboxEntry) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<InboxEntry, Corrupt> {
    codec::decode(WHAT, value)
}
