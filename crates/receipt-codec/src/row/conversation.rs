//! A conversation, by its id.
//!
//! Key `[kind][conversation id]`, value: serde.

use receipt_domain::{id::ConversationId, state::Conversation};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "conversation";

/// The row's key.
#[must_use]
pub fn key(conversation: &ConversationId) -> Vec<u8> {
    Writer::new(Kind::Conversation).last_text(conversation.as_str()).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<ConversationId, Corrupt> {
    id(WHAT, Parser::new(WHAT, Kind::Conversation, key)?.last_text()?)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Conversation) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Conversation, Corrupt> {
    codec::decode(WHAT, value)
}
