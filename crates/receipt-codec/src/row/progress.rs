//! How far the partition is folded. One row.
//!
//! Key `[kind]`, value: serde; in version 2, which is of a log on Kafka, with the leader epochs behind it.

use receipt_domain::state::Progress;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Writer},
};

const WHAT: &str = "progress";
const WITH_EPOCHS: u8 = 2;

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
    match (row.conversations_epoch, row.reads_epoch) {
        // As it was before there were epochs.
        (None, None) => codec::encode(WHAT, row),
        epochs => codec::encode_as(WITH_EPOCHS, WHAT, &(row, epochs)),
    }
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Progress, Corrupt> {
    match codec::decode_as::<(Progress, _)>(WITH_EPOCHS, WHAT, value)? {
        None => codec::decode(WHAT, value),
        Some((row, (conversations_epoch, reads_epoch))) => Ok(Progress { conversations_epoch, reads_epoch, ..row }),
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
            conversations_epoch: None,
            reads_epoch: None,
        };
        VALUE.golden(&row, "01 01 fbfb00 fd0068e5cf8b010000 03 04 fc70110100 fdffffffffffffffff");
        let fields = "01 fbfb00 fd0068e5cf8b010000 03 04 fc70110100 fdffffffffffffffff";
        let row = Progress { conversations_epoch: Some(7), reads_epoch: Some(300), ..row };
        VALUE.golden(&row, &format!("02 {fields} 01 07 01 fb2c01"));
        VALUE.golden(&Progress { conversations_epoch: None, ..row }, &format!("02 {fields} 00 01 fb2c01"));
    }

    proptest! {
        #[test]
        fn rows_round_trip(row in arbitrary::progress(), damage in proof::damage()) {
            VALUE.holds(&row, &damage);
        }
    }
}
