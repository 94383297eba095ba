//! What a sender is to be told of one message, at the offset of its latest delta. In the stores of the inbox projection.
//!
//! Key `[kind][sender id, with length][offset in receipts.deltas u64]`, value: serde.

use receipt_domain::{id::UserId, inbox::InboxEntry};

use crate::{
    codec,
    error::Corrupt,
    format1::InboxEntry1,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "inbox entry";
const VERSION: u8 = 2;

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
    codec::encode_as(VERSION, WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<InboxEntry, Corrupt> {
    match codec::version(value) {
        Some(1) => codec::decode::<InboxEntry1>(WHAT, value).map(Into::into),
        _ => codec::decode_as(VERSION, WHAT, value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use receipt_domain::{
        id::{ConversationId, MessageId},
        inbox::{InboxReader, Told},
        receipt::{Peer, Receipt},
    };

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(UserId, u64)> =
        proof::Key { kind: Kind::InboxEntry, encode: |(sender, offset)| key(sender, *offset), decode: decode_key };
    const VALUE: proof::Value<InboxEntry> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[test]
    fn golden_bytes() {
        KEY.golden(&(user("ann"), 258), "42 0003 616e6e 0000000000000102");
        let receipt = Receipt {
            conversation: ConversationId::new("c").unwrap(),
            message: MessageId::new("m1").unwrap(),
            read_count: 300,
            unread_count: 2,
            audience_count: 303,
            read_left_count: 4,
            kept_until_ms: Some(1_700_000_000_000),
            recalled: true,
            peer: Some(Peer { user: user("bob"), read_at_ms: Some(1_700_000_000_500) }),
        };
        let entry = InboxEntry {
            log_time_ms: 1_700_000_000_000,
            told: Told::Receipt(receipt.clone()),
            readers: vec![InboxReader { user: user("bob"), read_at_ms: 1_700_000_000_500, offset: 300 }],
            unnamed_offset: Some(7),
            token: "tok".to_owned(),
        };
        VALUE.golden(
            &entry,
            "02 fd0068e5cf8b010000 00 0163 026d31 fb2c01 02 fb2f01 04 01fd0068e5cf8b010000 01 01 03626f62 \
             01 fdf469e5cf8b010000 01 03626f62 fdf469e5cf8b010000 fb2c01 0107 03746f6b",
        );
        let format_1 = proof::bytes(
            "01 fd0068e5cf8b010000 00 0163 026d31 fb2c01 02 01 01 03626f62 01 fc00f15365 \
             01 03626f62 fc00f15365 fb2c01 0107 03746f6b",
        );
        let bob = InboxReader { user: user("bob"), read_at_ms: 1_700_000_000_000, offset: 300 };
        let peer = Some(Peer { user: user("bob"), read_at_ms: Some(1_700_000_000_000) });
        let told = Receipt { audience_count: 0, read_left_count: 0, kept_until_ms: None, peer, ..receipt.clone() };
        let row = InboxEntry { told: Told::Receipt(told), readers: vec![bob], ..entry.clone() };
        assert_eq!(decode(&format_1), Ok(row), "format 1 is read");
        let receipt = Receipt { recalled: false, peer: None, kept_until_ms: None, ..receipt };
        let entry = InboxEntry { told: Told::Receipt(receipt), readers: Vec::new(), unnamed_offset: None, ..entry };
        VALUE.golden(&entry, "02 fd0068e5cf8b010000 00 0163 026d31 fb2c01 02 fb2f01 04 00 00 00 00 00 03746f6b");
        let conversation = ConversationId::new("c").unwrap();
        let told = Told::PeerReadMark { conversation, peer: user("bob"), up_to_ms: 1_700_000_000_300 };
        VALUE.golden(
            &InboxEntry { told, ..entry },
            "02 fd0068e5cf8b010000 01 0163 03626f62 fd2c69e5cf8b010000 00 00 03746f6b",
        );
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(
            key in (arbitrary::id(), arbitrary::number()), row in arbitrary::inbox_entry(), damage in proof::damage(),
        ) {
            KEY.holds(&key, &damage);
            VALUE.holds(&row, &damage);
        }

        #[test]
        fn entries_of_one_sender_are_in_order(
            sender in arbitrary::id(), (a, b) in (arbitrary::number(), arbitrary::number()),
        ) {
            KEY.orders(&(sender.clone(), a), &(sender, b));
        }
    }
}
