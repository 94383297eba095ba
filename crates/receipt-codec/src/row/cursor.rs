//! How far a user's up-to reads are expanded.
//!
//! Key `[kind][conversation number u64][user]`, value: serde.

use receipt_domain::{id::UserId, state::Cursor};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "cursor";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, user: &UserId) -> Vec<u8> {
    Writer::new(Kind::Cursor).u64(conversation).last_text(user.as_str()).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, UserId), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Cursor, key)?;
    Ok((parser.u64()?, id(WHAT, parser.last_text()?)?))
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Cursor) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Cursor, Corrupt> {
    codec::decode(WHAT, value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(u64, UserId)> =
        proof::Key { kind: Kind::Cursor, encode: |(conversation, user)| key(*conversation, user), decode: decode_key };
    const VALUE: proof::Value<Cursor> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    #[test]
    fn golden_bytes() {
        KEY.golden(&(258, UserId::new("ann").unwrap()), "24 0000000000000102 616e6e");
        VALUE.golden(
            &Cursor { position: 300, latest_read_s: 1_700_000_000, log_time_ms: 1_700_000_000_000 },
            "01 fb2c01 fc00f15365 fd0068e5cf8b010000",
        );
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(
            key in (arbitrary::number(), arbitrary::id()), row in arbitrary::cursor(), damage in proof::damage(),
        ) {
            KEY.holds(&key, &damage);
            VALUE.holds(&row, &damage);
        }
    }
}
