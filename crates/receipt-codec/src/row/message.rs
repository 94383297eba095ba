//! A message that asks for receipts, with its readers where those are few.
//!
//! Key `[kind][conversation number u64][position u64]`, value: serde, then a small read set by time.

use receipt_domain::{readers::Readers, state::Message};

use crate::{
    codec,
    error::Corrupt,
    format1::Message1,
    key::{Kind, Parser, Writer},
    read_set,
};

const WHAT: &str = "message";
const VERSION: u8 = 2;

/// The row's key.
#[must_use]
pub fn key(conversation: u64, position: u64) -> Vec<u8> {
    Writer::new(Kind::Message).u64(conversation).u64(position).done()
}

/// What a key says: conversation number and position.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u64), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Message, key)?;
    let key = (parser.u64()?, parser.u64()?);
    parser.done().map(|()| key)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Message) -> Result<Vec<u8>, Corrupt> {
    let mut bytes = codec::encode_as(VERSION, WHAT, row)?;
    if let Readers::Inline(readers) = &row.readers {
        read_set::encode_by_time(readers, &mut bytes);
    }
    Ok(bytes)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Message, Corrupt> {
    let (mut row, mut rest) = match codec::version(value) {
        Some(1) => {
            let (row, rest) = codec::decode_prefix::<Message1>(WHAT, value)?;
            (row.into(), rest)
        }
        _ => codec::decode_prefix_as::<Message>(VERSION, WHAT, value)?,
    };
    if let Readers::Inline(readers) = &mut row.readers {
        *readers = read_set::decode_by_time(&mut rest)?;
    }
    if rest.is_empty() { Ok(row) } else { Err(Corrupt::new(WHAT, "bytes behind the readers")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use receipt_domain::{
        id::{MessageId, UserId},
        readers::Reader,
        state::Audience,
    };

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(u64, u64)> = proof::Key {
        kind: Kind::Message,
        encode: |(conversation, position)| key(*conversation, *position),
        decode: decode_key,
    };
    const VALUE: proof::Value<Message> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    fn example(audience: Audience, readers: Readers) -> Message {
        Message {
            id: MessageId::new("m1").unwrap(),
            sender: UserId::new("ann").unwrap(),
            log_time_ms: 1_700_000_000_000,
            occurred_at_ms: 1_699_999_999_000,
            audience,
            audience_size: 299,
            recalled: true,
            leaves_applied: 4,
            left_unread: 3,
            read_left: Some(2),
            readers,
        }
    }

    const HEAD: &str = "02 026d31 03616e6e fd0068e5cf8b010000 fd1864e5cf8b010000";

    #[test]
    fn golden_bytes() {
        KEY.golden(&(0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10), "21 0102030405060708 090a0b0c0d0e0f10");
        let reader = |read_at_s, ordinal| Reader { read_at_s, ordinal };
        let readers = vec![reader(1_700_000_000, 7), reader(1_700_000_000, 300), reader(1_700_000_200, 2)];
        let members = Audience::Members { next_ordinal: 300, sender: Some(5) };
        VALUE.golden(
            &example(members, Readers::Inline(readers)),
            &format!("{HEAD} 00 fb2c01 0105 fb2b01 01 04 03 0102 00 03 80e2cfaa06 07 00 a502 c801 02"),
        );
        let members = Audience::Members { next_ordinal: 300, sender: None };
        VALUE.golden(&example(members, Readers::default()), &format!("{HEAD} 00 fb2c01 00 fb2b01 01 04 03 0102 00 00"));
        VALUE.golden(
            &example(Audience::Listed(vec![1, 300]), Readers::Chunked(257)),
            &format!("{HEAD} 01 02 01 fb2c01 fb2b01 01 04 03 0102 01 fb0101"),
        );
    }

    #[test]
    fn format_1_is_read() {
        let reader = |read_at_s, ordinal| Reader { read_at_s, ordinal };
        let readers = vec![reader(1_700_000_000, 7), reader(1_700_000_000, 300), reader(1_700_000_200, 2)];
        let row = example(Audience::Members { next_ordinal: 300, sender: Some(5) }, Readers::Inline(readers));
        let value = proof::bytes(
            "01 026d31 03616e6e fd0068e5cf8b010000 fd1864e5cf8b010000 00 fb2c01 0105 fb2b01 01 04 03 00 03 80e2cfaa06 07 \
             00 a502 c801 02",
        );
        assert_eq!(decode(&value), Ok(Message { read_left: None, ..row }));
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(
            key in (arbitrary::number(), arbitrary::number()), row in arbitrary::message(), damage in proof::damage(),
        ) {
            KEY.holds(&key, &damage);
            VALUE.holds(&row, &damage);
        }

        #[test]
        fn keys_are_in_order(
            a in (arbitrary::number(), arbitrary::number()), b in (arbitrary::number(), arbitrary::number()),
        ) {
            KEY.orders(&a, &b);
            KEY.orders(&a, &(a.0, b.1));
        }
    }
}
