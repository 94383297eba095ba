//! How far the partition is folded. One row.
//!
//! Key `[kind]`, value: serde.

use receipt_domain::state::Progress;

use crate::{
    codec,
    error::Corrupt,
    format1::Progress1,
    key::{Kind, Writer},
};

const WHAT: &str = "progress";
const VERSION: u8 = 2;

/// The row's key.
#[must_use]
pub fn key() -> Vec<u8> {
    Writer::new(Kind::Progress).done()
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Progress) -> Result<Vec<u8>, Corrupt> {
    codec::encode_as(VERSION, WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Progress, Corrupt> {
    match codec::version(value) {
        Some(1) => codec::decode::<Progress1>(WHAT, value).map(Into::into),
        _ => codec::decode_as(VERSION, WHAT, value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{arbitrary, proof};

    const VALUE: proof::Value<Progress> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    #[test]
    fn golden_bytes() {
        proof::golden("key of Progress", &key(), "01");
        let row = Progress {
            conversations_offset: 1,
            reads_offset: 251,
            log_time_ms: 1_700_000_000_000,
            next_conversation: 3,
            policies: 4,
            messages: 70_000,
            receipts: u64::MAX,
            releasing: None,
            conversations_epoch: None,
            reads_epoch: None,
        };
        let fields = "01 fbfb00 fd0068e5cf8b010000 03 04 fc70110100 fdffffffffffffffff";
        VALUE.golden(&row, &format!("02 {fields} 00 00 00"));
        assert_eq!(decode(&proof::bytes(&format!("01 {fields}"))), Ok(row.clone()), "format 1 is read");
        let row = Progress { releasing: Some(1), conversations_epoch: Some(7), reads_epoch: Some(300), ..row };
        VALUE.golden(&row, &format!("02 {fields} 0101 0107 01fb2c01"));
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(row in arbitrary::progress(), damage in proof::damage()) {
            VALUE.holds(&row, &damage);
        }
    }
}
