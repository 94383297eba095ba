//! A one-to-one message that is not read yet, by the time it was sent: what an up-to-time read looks at.
//!
//! Key `[kind][conversation number u64][reader's ordinal u32][time sent, ms u64][position u64]`, value: log time at the
//! message, serde.

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
};

const WHAT: &str = "unread";

/// The row's key; rows of one party are ordered by it.
#[must_use]
pub fn key(conversation: u64, ordinal: u32, (sent_at_ms, position): (u64, u64)) -> Vec<u8> {
    Writer::new(Kind::Unread).u64(conversation).u32(ordinal).u64(sent_at_ms).u64(position).done()
}

/// What a key says: conversation number, ordinal, and time and position.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u32, (u64, u64)), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Unread, key)?;
    let key = (parser.u64()?, parser.u32()?, (parser.u64()?, parser.u64()?));
    parser.done().map(|()| key)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(log_time_ms: u64) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, &log_time_ms)
}

/// The row in a value: log time in milliseconds.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<u64, Corrupt> {
    codec::decode(WHAT, value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(u64, u32, (u64, u64))> = proof::Key {
        kind: Kind::Unread,
        encode: |(conversation, ordinal, sent)| key(*conversation, *ordinal, *sent),
        decode: decode_key,
    };
    const VALUE: proof::Value<u64> = proof::Value { what: WHAT, encode: |row| encode(*row).unwrap(), decode };

    fn keys() -> impl Strategy<Value = (u64, u32, (u64, u64))> {
        (arbitrary::number(), arbitrary::small(), (arbitrary::number(), arbitrary::number()))
    }

    #[test]
    fn golden_bytes() {
        let sent = (0x0d0e_0f10_1112_1314, 0x1516_1718_191a_1b1c);
        KEY.golden(
            &(0x0102_0304_0506_0708, 0x090a_0b0c, sent),
            "25 0102030405060708 090a0b0c 0d0e0f1011121314 15161718191a1b1c",
        );
        VALUE.golden(&1_700_000_000_000, "01 fd0068e5cf8b010000");
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(key in keys(), row in arbitrary::number(), damage in proof::damage()) {
            KEY.holds(&key, &damage);
            VALUE.holds(&row, &damage);
        }

        #[test]
        fn keys_are_in_order(a in keys(), b in keys()) {
            KEY.orders(&a, &b);
            KEY.orders(&a, &(a.0, b.1, b.2));
            KEY.orders(&a, &(a.0, a.1, b.2));
            KEY.orders(&a, &(a.0, a.1, (a.2.0, b.2.1)));
        }
    }
}
