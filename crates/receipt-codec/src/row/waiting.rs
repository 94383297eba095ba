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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use receipt_domain::id::UserId;

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(ConversationId, MessageId, ReadKey)> = proof::Key {
        kind: Kind::Waiting,
        encode: |(conversation, message, read)| key(conversation, message, *read),
        decode: decode_key,
    };
    const VALUE: proof::Value<WaitingRead> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    fn ids() -> impl Strategy<Value = (ConversationId, MessageId)> {
        (arbitrary::id(), arbitrary::id())
    }

    fn read() -> impl Strategy<Value = ReadKey> {
        (arbitrary::number(), arbitrary::number())
    }

    #[test]
    fn golden_bytes() {
        let (conversation, message) = (ConversationId::new("room-é").unwrap(), MessageId::new("m1").unwrap());
        KEY.golden(
            &(conversation, message, (0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10)),
            "30 0007 726f6f6d2dc3a9 0002 6d31 0102030405060708 090a0b0c0d0e0f10",
        );
        let reader = UserId::new("ann").unwrap();
        let row = WaitingRead { reader, read_at_ms: 1_700_000_000_000, arrival_ms: 1_700_000_000_300, up_to: true };
        VALUE.golden(&row, "01 03616e6e fd0068e5cf8b010000 fd2c69e5cf8b010000 01");
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(ids in ids(), read in read(), row in arbitrary::waiting(), damage in proof::damage()) {
            KEY.holds(&(ids.0, ids.1, read), &damage);
            VALUE.holds(&row, &damage);
        }

        #[test]
        fn keys_of_one_message_are_in_order(ids in ids(), a in read(), b in read()) {
            let key = |read| (ids.0.clone(), ids.1.clone(), read);
            KEY.orders(&key(a), &key(b));
            KEY.orders(&key(a), &key((a.0, b.1)));
        }

        #[test]
        fn keys_of_one_message_stand_together((a, b) in (ids(), ids()), other in read()) {
            // Also where one id begins with the other: the lengths in front of them tell them apart.
            let other = key(&b.0, &b.1, other);
            let all = key(&a.0, &a.1, (0, 0))..=key(&a.0, &a.1, (u64::MAX, u64::MAX));
            prop_assert_eq!(all.contains(&other), a == b);
        }
    }
}
