//! An up-to-time read that may cover a message that is yet to come (S19).
//!
//! Key `[kind][conversation id, with length][reader id, with length][up-to time, ms u64][offset in receipts.reads u64]`, value: serde.
//! By text, as only receipts.conversations gives out numbers.

use receipt_domain::{
    id::{ConversationId, UserId},
    state::TimeMark,
    working_set::ReadKey,
};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "time mark";

/// The row's key.
#[must_use]
pub fn key(conversation: &ConversationId, reader: &UserId, read: ReadKey) -> Vec<u8> {
    Writer::new(Kind::TimeMark).text(conversation.as_str()).text(reader.as_str()).u64(read.0).u64(read.1).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(ConversationId, UserId, ReadKey), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::TimeMark, key)?;
    let (conversation, reader) = (id(WHAT, parser.text()?)?, id(WHAT, parser.text()?)?);
    let read = (parser.u64()?, parser.u64()?);
    parser.done().map(|()| (conversation, reader, read))
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &TimeMark) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<TimeMark, Corrupt> {
    codec::decode(WHAT, value)
}
