//! Where a message's entry stands in its sender's inbox.
//!
//! Key `[kind][sender id, with length][conversation id, with length][message id; of a peer's marks: nothing]`, value:
//! offset and log time, serde.

use receipt_domain::{
    id::{ConversationId, MessageId, UserId},
    inbox::Told,
};
use serde::{Deserialize, Serialize};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "inbox index";

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxIndex {
    /// The offset in its key.
    pub offset: u64,
    /// Its log time, in milliseconds.
    pub log_time_ms: u64,
}

/// The key of a message's row, or of the row of the peer's marks in a one-to-one conversation.
#[must_use]
pub fn key(sender: &UserId, conversation: &ConversationId, message: Option<&MessageId>) -> Vec<u8> {
    let key = Writer::new(Kind::InboxIndex).text(sender.as_str()).text(conversation.as_str());
    key.last_text(message.map_or("", MessageId::as_str)).done()
}

/// The key of the row that finds an entry that says this.
#[must_use]
pub fn key_of(sender: &UserId, told: &Told) -> Vec<u8> {
    match told {
        Told::Receipt(receipt) => key(sender, &receipt.conversation, Some(&receipt.message)),
        Told::PeerReadMark { conversation, .. } => key(sender, conversation, None),
    }
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(UserId, ConversationId, Option<MessageId>), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::InboxIndex, key)?;
    let (sender, conversation) = (id(WHAT, parser.text()?)?, id(WHAT, parser.text()?)?);
    let message = match parser.last_text()? {
        "" => None,
        text => Some(id(WHAT, text)?),
    };
    Ok((sender, conversation, message))
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &InboxIndex) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<InboxIndex, Corrupt> {
    codec::decode(WHAT, value)
}
