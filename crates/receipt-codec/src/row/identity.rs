//! What a store was created for, checked at each start (R7). One row.
//!
//! Key `[kind]`, value: serde.

use receipt_domain::settings::Settings;
use serde::{Deserialize, Serialize};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Writer},
};

/// What a store was created for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The log that it is folded from.
    pub log_id: [u8; 16],
    /// The partition.
    pub partition: u32,
    /// Of so many.
    pub partitions: u32,
    /// The settings it is folded by.
    pub settings: Settings,
    /// The log, for people: parts with commas between, so that it can be told which of them is another.
    pub origin: String,
}

const WHAT: &str = "identity";

/// The row's key.
#[must_use]
pub fn key() -> Vec<u8> {
    Writer::new(Kind::Identity).done()
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Identity) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Identity, Corrupt> {
    codec::decode(WHAT, value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{arbitrary, proof};

    const VALUE: proof::Value<Identity> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    #[test]
    fn golden_bytes() {
        proof::golden("key of Identity", &key(), "00");
        let settings = Settings { retention_ms: 1 << 40, early_window_ms: 300, max_group_members: 100_000 };
        let row = Identity {
            log_id: *b"0123456789abcdef",
            partition: 5,
            partitions: 64,
            settings,
            origin: "log A".to_owned(),
        };
        let golden = "01 30313233343536373839616263646566 05 40 fd0000000000010000 fb2c01 fca0860100 05 6c6f672041";
        VALUE.golden(&row, golden);
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(row in arbitrary::identity(), damage in proof::damage()) {
            VALUE.holds(&row, &damage);
        }
    }
}
