//! What a conversation knows of a message by its id.
//!
//! Key `[kind][conversation number u64][message]`, value: serde.

use receipt_domain::{id::MessageId, state::Stub};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "stub";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, message: &MessageId) -> Vec<u8> {
    Writer::new(Kind::Stub).u64(conversation).last_text(message.as_str()).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, MessageId), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Stub, key)?;
    Ok((parser.u64()?, id(WHAT, parser.last_text()?)?))
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Stub) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Stub, Corrupt> {
    codec::decode(WHAT, value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(u64, MessageId)> = proof::Key {
        kind: Kind::Stub,
        encode: |(conversation, message)| key(*conversation, message),
        decode: decode_key,
    };
    const VALUE: proof::Value<Stub> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    #[test]
    fn golden_bytes() {
        KEY.golden(&(258, MessageId::new("m1").unwrap()), "20 0000000000000102 6d31");
        let sender = receipt_domain::id::UserId::new("ann").unwrap();
        VALUE.golden(
            &Stub { position: 3, log_time_ms: 1_700_000_000_000, asks: true, sender },
            "01 03 fd0068e5cf8b010000 01 03616e6e",
        );
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(
            key in (arbitrary::number(), arbitrary::id()), row in arbitrary::stub(), damage in proof::damage(),
        ) {
            KEY.holds(&key, &damage);
            VALUE.holds(&row, &damage);
        }
    }
}
