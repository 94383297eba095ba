//! A user's memberships of a group, rising by ordinal.
//!
//! Key `[kind][conversation number u64][user]`, value: serde.

use receipt_domain::{id::UserId, state::Membership};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "memberships";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, user: &UserId) -> Vec<u8> {
    Writer::new(Kind::Memberships).u64(conversation).last_text(user.as_str()).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, UserId), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Memberships, key)?;
    Ok((parser.u64()?, id(WHAT, parser.last_text()?)?))
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &[Membership]) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, &row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Vec<Membership>, Corrupt> {
    codec::decode(WHAT, value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use receipt_domain::state::Leave;

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(u64, UserId)> = proof::Key {
        kind: Kind::Memberships,
        encode: |(conversation, user)| key(*conversation, user),
        decode: decode_key,
    };
    const VALUE: proof::Value<Vec<Membership>> =
        proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    #[test]
    fn golden_bytes() {
        KEY.golden(&(258, UserId::new("ann").unwrap()), "11 0000000000000102 616e6e");
        let left = Some(Leave { position: 20, log_time_ms: 1_700_000_000_000 });
        let stays = [
            Membership { ordinal: 7, joined_position: 9, left },
            Membership { ordinal: 300, joined_position: 21, left: None },
        ];
        VALUE.golden(&stays.to_vec(), "01 02 07 09 01 14 fd0068e5cf8b010000 fb2c01 15 00");
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(
            key in (arbitrary::number(), arbitrary::id()), row in arbitrary::memberships(), damage in proof::damage(),
        ) {
            KEY.holds(&key, &damage);
            VALUE.holds(&row, &damage);
        }
    }
}
