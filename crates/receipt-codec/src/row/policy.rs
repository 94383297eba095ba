//! The receipt policies of the partition, each by its number from 0; the last is in force.
//!
//! Key `[kind][number u64]`, value: serde.

use receipt_domain::event::Policy;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
};

const WHAT: &str = "policy";

/// The row's key.
#[must_use]
pub fn key(number: u64) -> Vec<u8> {
    Writer::new(Kind::Policy).u64(number).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<u64, Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Policy, key)?;
    let number = parser.u64()?;
    parser.done().map(|()| number)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Policy) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Policy, Corrupt> {
    codec::decode(WHAT, value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use receipt_domain::id::GroupType;

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<u64> = proof::Key { kind: Kind::Policy, encode: |number| key(*number), decode: decode_key };
    const VALUE: proof::Value<Policy> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    #[test]
    fn golden_bytes() {
        KEY.golden(&0x0102_0304_0506_0708, "02 0102030405060708");
        VALUE.golden(&Policy::EveryGroupType, "01 00");
        VALUE.golden(
            &Policy::GroupTypes(vec![GroupType::new("team").unwrap(), GroupType::new("é").unwrap()]),
            "01 01 02 047465616d 02c3a9",
        );
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(number in arbitrary::number(), row in arbitrary::policy(), damage in proof::damage()) {
            KEY.holds(&number, &damage);
            VALUE.holds(&row, &damage);
        }

        #[test]
        fn keys_are_in_order(a in arbitrary::number(), b in arbitrary::number()) {
            KEY.orders(&a, &b);
        }
    }
}
