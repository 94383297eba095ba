//! A read that waits for its message (S16).
//!
//! Key `[kind][conversation id, with length][message id, with length][offset in receipts.reads u64][place in the record u64]`, value: serde.
//! By text, as only receipts.conversations gives out numbers.

use receipt_domain::{
    id::{ConversationId, MessageId},
    state::WaitingRead,
    working_set::ReadKey,
};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "waiting read";

/// The row's key.
#[must_use]
pub fn key(conversation: &ConversationId, message: &MessageId, read: ReadKey) -> Vec<u8> {
    Writer::new(Kind::Waiting).text(conversation.as_str()).text(message.as_str()).u64(read.0).u64(read.1).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(ConversationId, MessageId, ReadKey), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Waiting, key)?;
    let (conversation, message) = (id(WHAT, parser.text()?)?, id(WHAT, parser.text()?)?);
    let read = (parser.u64()?, parser.u64()?);
    parser.done().map(|()| (conversation, message, read))
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &WaitingRead) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<WaitingRead, Corrupt> {
    codec::decode(WHAT, value)
}
