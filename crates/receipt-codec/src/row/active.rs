//! A chunk of a group's active memberships.
//!
//! Key `[kind][conversation number u64][chunk u32]`, value: a bit an ordinal, in words of 64 bits, little-endian.

use receipt_domain::readers::{ActiveChunk, CHUNK_WORDS};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
};

const WHAT: &str = "active memberships";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, chunk: u32) -> Vec<u8> {
    Writer::new(Kind::Active).u64(conversation).u32(chunk).done()
}

/// What a key says: conversation number and chunk.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u32), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Active, key)?;
    let key = (parser.u64()?, parser.u32()?);
    parser.done().map(|()| key)
}

/// The row's value.
#[must_use]
pub fn encode(row: &ActiveChunk) -> Vec<u8> {
    let body: Vec<u8> = row.0.iter().flat_map(|word| word.to_le_bytes()).collect();
    codec::versioned(&body)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<ActiveChunk, Corrupt> {
    let (words, []) = codec::body(WHAT, value)?.as_chunks::<8>() else {
        return Err(Corrupt::new(WHAT, "no whole words"));
    };
    let words: Vec<u64> = words.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    let words: [u64; CHUNK_WORDS] = words.try_into().map_err(|_| Corrupt::new(WHAT, "another length"))?;
    Ok(ActiveChunk(words))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(u64, u32)> = proof::Key {
        kind: Kind::Active,
        encode: |(conversation, chunk)| key(*conversation, *chunk),
        decode: decode_key,
    };
    const VALUE: proof::Value<ActiveChunk> = proof::Value { what: WHAT, encode, decode };

    #[test]
    fn golden_bytes() {
        KEY.golden(&(0x0102_0304_0506_0708, 0x090a_0b0c), "13 0102030405060708 090a0b0c");
        let mut row = ActiveChunk::default();
        [0, 9, 63, 64, 1023].into_iter().for_each(|ordinal| row.insert(ordinal));
        VALUE.golden(&row, &format!("01 0102000000000080 0100000000000000 {} 0000000000000080", "00".repeat(13 * 8)));
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(
            key in (arbitrary::number(), arbitrary::small()), row in arbitrary::active(), damage in proof::damage(),
        ) {
            KEY.holds(&key, &damage);
            VALUE.holds(&row, &damage);
        }

        #[test]
        fn keys_are_in_order(
            a in (arbitrary::number(), arbitrary::small()), b in (arbitrary::number(), arbitrary::small()),
        ) {
            KEY.orders(&a, &b);
            KEY.orders(&a, &(a.0, b.1));
        }
    }
}
