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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(ConversationId, UserId, ReadKey)> = proof::Key {
        kind: Kind::TimeMark,
        encode: |(conversation, reader, read)| key(conversation, reader, *read),
        decode: decode_key,
    };
    const VALUE: proof::Value<TimeMark> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    fn ids() -> impl Strategy<Value = (ConversationId, UserId)> {
        (arbitrary::id(), arbitrary::id())
    }

    fn read() -> impl Strategy<Value = ReadKey> {
        (arbitrary::number(), arbitrary::number())
    }

    #[test]
    fn golden_bytes() {
        let (conversation, reader) = (ConversationId::new("room-é").unwrap(), UserId::new("ann").unwrap());
        KEY.golden(
            &(conversation, reader, (0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10)),
            "31 0007 726f6f6d2dc3a9 0003 616e6e 0102030405060708 090a0b0c0d0e0f10",
        );
        VALUE.golden(
            &TimeMark { read_at_ms: 1_700_000_000_000, arrival_ms: 1_700_000_000_300 },
            "01 fd0068e5cf8b010000 fd2c69e5cf8b010000",
        );
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(ids in ids(), read in read(), row in arbitrary::time_mark(), damage in proof::damage()) {
            KEY.holds(&(ids.0, ids.1, read), &damage);
            VALUE.holds(&row, &damage);
        }

        #[test]
        fn keys_of_one_reader_are_in_order(ids in ids(), a in read(), b in read()) {
            let key = |read| (ids.0.clone(), ids.1.clone(), read);
            KEY.orders(&key(a), &key(b));
            KEY.orders(&key(a), &key((a.0, b.1)));
        }

        #[test]
        fn keys_of_one_reader_stand_together((a, b) in (ids(), ids()), other in read()) {
            // Also where one id begins with the other: the lengths in front of them tell them apart.
            let other = key(&b.0, &b.1, other);
            let all = key(&a.0, &a.1, (0, 0))..=key(&a.0, &a.1, (u64::MAX, u64::MAX));
            prop_assert_eq!(all.contains(&other), a == b);
        }
    }
}
