//! Whose an ordinal of a group is.
//!
//! Key `[kind][conversation number u64][ordinal u32]`, value: serde.

use receipt_domain::state::Member;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
};

const WHAT: &str = "member";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, ordinal: u32) -> Vec<u8> {
    Writer::new(Kind::Member).u64(conversation).u32(ordinal).done()
}

/// What a key says: conversation number and ordinal.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u32), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Member, key)?;
    let key = (parser.u64()?, parser.u32()?);
    parser.done().map(|()| key)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Member) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Member, Corrupt> {
    codec::decode(WHAT, value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use receipt_domain::id::UserId;

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(u64, u32)> = proof::Key {
        kind: Kind::Member,
        encode: |(conversation, ordinal)| key(*conversation, *ordinal),
        decode: decode_key,
    };
    const VALUE: proof::Value<Member> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    #[test]
    fn golden_bytes() {
        KEY.golden(&(0x0102_0304_0506_0708, 0x090a_0b0c), "12 0102030405060708 090a0b0c");
        let user = UserId::new("ann").unwrap();
        VALUE.golden(&Member { user: user.clone(), left_log_time_ms: None }, "01 03616e6e 00");
        VALUE.golden(&Member { user, left_log_time_ms: Some(1_700_000_000_000) }, "01 03616e6e 01 fd0068e5cf8b010000");
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(
            key in (arbitrary::number(), arbitrary::small()), row in arbitrary::member(), damage in proof::damage(),
        ) {
            KEY.holds(&key, &damage);
            VALUE.holds(&row, &damage);
        }

        #[test]
        fn keys_are_in_order(
            a in (arbitrary::number(), arbitrary::small()), b in (arbitrary::number(), arbitrary::small()),
        ) {
            KEY.orders(&a, &b);
            KEY.orders(&a, &(a.0, b.1));
        }
    }
}
