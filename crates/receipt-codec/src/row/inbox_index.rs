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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use receipt_domain::receipt::Receipt;

    use super::*;
    use crate::{arbitrary, proof};

    type Place = (UserId, ConversationId, Option<MessageId>);

    const KEY: proof::Key<Place> = proof::Key {
        kind: Kind::InboxIndex,
        encode: |(sender, conversation, message)| key(sender, conversation, message.as_ref()),
        decode: decode_key,
    };
    const VALUE: proof::Value<InboxIndex> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    fn ids() -> (UserId, ConversationId, MessageId) {
        (UserId::new("ann").unwrap(), ConversationId::new("room-é").unwrap(), MessageId::new("m1").unwrap())
    }

    #[test]
    fn golden_bytes() {
        let (sender, conversation, message) = ids();
        let key = "41 0003 616e6e 0007 726f6f6d2dc3a9";
        KEY.golden(&(sender.clone(), conversation.clone(), Some(message)), &format!("{key} 6d31"));
        KEY.golden(&(sender, conversation, None), key);
        VALUE.golden(&InboxIndex { offset: 300, log_time_ms: 1_700_000_000_000 }, "01 fb2c01 fd0068e5cf8b010000");
    }

    #[test]
    fn a_key_is_found_by_what_is_told() {
        let (sender, conversation, message) = ids();
        let receipt = Receipt {
            conversation: conversation.clone(),
            message: message.clone(),
            read_count: 1,
            unread_count: 2,
            audience_count: 0,
            read_left_count: 0,
            kept_until_ms: None,
            recalled: false,
            peer: None,
        };
        assert_eq!(key_of(&sender, &Told::Receipt(receipt)), key(&sender, &conversation, Some(&message)));
        let mark =
            Told::PeerReadMark { conversation: conversation.clone(), peer: UserId::new("bob").unwrap(), up_to_ms: 1 };
        assert_eq!(key_of(&sender, &mark), key(&sender, &conversation, None));
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(
            ids in (arbitrary::id(), arbitrary::id()), message in proptest::option::of(arbitrary::id()),
            row in arbitrary::inbox_index(), damage in proof::damage(),
        ) {
            KEY.holds(&(ids.0, ids.1, message), &damage);
            VALUE.holds(&row, &damage);
        }
    }
}
