//! How far a partition of receipts.deltas is folded. One row, in a store of the inbox projection.
//!
//! Key `[kind]`, value: serde; in version 2, which is of a log on Kafka, with the leader epoch behind it.

use receipt_domain::inbox::InboxProgress;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Writer},
};

const WHAT: &str = "inbox progress";
const WITH_EPOCH: u8 = 2;

/// The row's key.
#[must_use]
pub fn key() -> Vec<u8> {
    Writer::new(Kind::InboxProgress).done()
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &InboxProgress) -> Result<Vec<u8>, Corrupt> {
    match row.epoch {
        // As it was before there were epochs.
        None => codec::encode(WHAT, row),
        Some(epoch) => codec::encode_as(WITH_EPOCH, WHAT, &(row, epoch)),
    }
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<InboxProgress, Corrupt> {
    match codec::version(value) {
        Some(WITH_EPOCH) => codec::decode_as::<(InboxProgress, u32)>(WITH_EPOCH, WHAT, value)
            .map(|(row, epoch)| InboxProgress { epoch: Some(epoch), ..row }),
        _ => codec::decode(WHAT, value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{arbitrary, proof};

    const VALUE: proof::Value<InboxProgress> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    #[test]
    fn golden_bytes() {
        proof::golden("key of InboxProgress", &key(), "40");
        let row = InboxProgress { offset: 300, log_time_ms: 1_700_000_000_000, epoch: None };
        VALUE.golden(&row, "01 fb2c01 fd0068e5cf8b010000");
        VALUE.golden(&InboxProgress { epoch: Some(9), ..row }, "02 fb2c01 fd0068e5cf8b010000 09");
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(row in arbitrary::inbox_progress(), damage in proof::damage()) {
            VALUE.holds(&row, &damage);
        }
    }
}
