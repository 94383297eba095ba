//! A group's pass over its messages that is not done.
//!
//! Key `[kind][conversation number u64]`, value: serde.

use receipt_domain::state::Sweep;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
};

const WHAT: &str = "sweep";

/// The row's key.
#[must_use]
pub fn key(conversation: u64) -> Vec<u8> {
    Writer::new(Kind::Sweep).u64(conversation).done()
}

/// What a key says: the conversation number.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<u64, Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Sweep, key)?;
    let number = parser.u64()?;
    parser.done().map(|()| number)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Sweep) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Sweep, Corrupt> {
    codec::decode(WHAT, value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use receipt_domain::id::ConversationId;

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<u64> =
        proof::Key { kind: Kind::Sweep, encode: |conversation| key(*conversation), decode: decode_key };
    const VALUE: proof::Value<Sweep> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    #[test]
    fn golden_bytes() {
        KEY.golden(&0x0102_0304_0506_0708, "15 0102030405060708");
        let conversation = ConversationId::new("g").unwrap();
        let row = Sweep { conversation, next: 300, leaves: 7, looked_at: 1, quiet: true };
        VALUE.golden(&row, "01 0167 fb2c01 07 01 01");
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(key in arbitrary::number(), row in arbitrary::sweep(), damage in proof::damage()) {
            KEY.holds(&key, &damage);
            VALUE.holds(&row, &damage);
        }

        #[test]
        fn keys_are_in_order(a in arbitrary::number(), b in arbitrary::number()) {
            KEY.orders(&a, &b);
        }
    }
}
