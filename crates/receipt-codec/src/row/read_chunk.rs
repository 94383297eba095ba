//! A chunk of a large read set, by ordinal.
//!
//! Key `[kind][conversation number u64][position u64][chunk u32]`, value: log time at the message,
//! ms u64 (so that it expires by itself), then see [`crate::read_set`].

use receipt_domain::readers::ReadChunk;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
    read_set,
};

const WHAT: &str = "read chunk";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, position: u64, chunk: u32) -> Vec<u8> {
    Writer::new(Kind::ReadChunk).u64(conversation).u64(position).u32(chunk).done()
}

/// What a key says: conversation number, position and chunk.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u64, u32), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::ReadChunk, key)?;
    let key = (parser.u64()?, parser.u64()?, parser.u32()?);
    parser.done().map(|()| key)
}

/// The row's value, of a message of this log time.
#[must_use]
pub fn encode(log_time_ms: u64, row: &ReadChunk) -> Vec<u8> {
    let mut body = log_time_ms.to_be_bytes().to_vec();
    body.extend_from_slice(&read_set::encode_chunk(row));
    codec::versioned(&body)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<ReadChunk, Corrupt> {
    read_set::decode_chunk(codec::log_time(WHAT, value)?.1)
}

/// Log time at the message, by a value.
///
/// # Errors
/// If it is no such row.
pub fn log_time_ms(value: &[u8]) -> Result<u64, Corrupt> {
    codec::log_time(WHAT, value).map(|(log_time_ms, _)| log_time_ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use receipt_domain::readers::Reader;

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(u64, u64, u32)> = proof::Key {
        kind: Kind::ReadChunk,
        encode: |(conversation, position, chunk)| key(*conversation, *position, *chunk),
        decode: decode_key,
    };
    const VALUE: proof::Value<ReadChunk> =
        proof::Value { what: WHAT, encode: |row| encode(1_700_000_000_000, row), decode };

    fn keys() -> impl Strategy<Value = (u64, u64, u32)> {
        (arbitrary::number(), arbitrary::number(), arbitrary::small())
    }

    #[test]
    fn golden_bytes() {
        KEY.golden(
            &(0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10, 0x1112_1314),
            "22 0102030405060708 090a0b0c0d0e0f10 11121314",
        );
        let mut row = ReadChunk::default();
        for (ordinal, read_at_s) in [(0, 1_700_000_000), (9, 1_700_000_005), (1023, 1_700_000_003)] {
            row.join(Reader { read_at_s, ordinal });
        }
        VALUE.golden(&row, &format!("01 0000018bcfe56800 00f15365 03 0102{}80 e800", "00".repeat(125)));
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(key in keys(), row in arbitrary::read_chunk(), damage in proof::damage()) {
            KEY.holds(&key, &damage);
            VALUE.holds(&row, &damage);
        }

        #[test]
        fn log_times_come_back(log_time_ms in arbitrary::number(), row in arbitrary::read_chunk()) {
            let value = encode(log_time_ms, &row);
            prop_assert_eq!(codec::log_time(WHAT, &value).unwrap().0, log_time_ms);
            prop_assert_eq!(decode(&value), Ok(row));
        }

        #[test]
        fn keys_are_in_order(a in keys(), b in keys()) {
            KEY.orders(&a, &b);
            KEY.orders(&a, &(a.0, b.1, b.2));
            KEY.orders(&a, &(a.0, a.1, b.2));
        }
    }
}
