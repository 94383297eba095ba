//! A stretch of a large read set, by time: the index that pages of readers are taken from.
//!
//! Key `[kind][conversation number u64][position u64][first reader's time u32][its ordinal u32]`, value: log time at the
//! message, ms u64 (so that it expires by itself), then see [`crate::read_set`].

use receipt_domain::readers::Reader;

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
    read_set,
};

const WHAT: &str = "time chunk";

/// The row's key. `first` is at most the first reader in it.
#[must_use]
pub fn key(conversation: u64, position: u64, first: Reader) -> Vec<u8> {
    Writer::new(Kind::TimeChunk).u64(conversation).u64(position).u32(first.read_at_s).u32(first.ordinal).done()
}

/// What all keys of a message begin with.
#[must_use]
pub fn prefix(conversation: u64, position: u64) -> Vec<u8> {
    Writer::new(Kind::TimeChunk).u64(conversation).u64(position).done()
}

/// What a key says: conversation number, position and first reader.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u64, Reader), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::TimeChunk, key)?;
    let (conversation, position) = (parser.u64()?, parser.u64()?);
    let first = Reader { read_at_s: parser.u32()?, ordinal: parser.u32()? };
    parser.done().map(|()| (conversation, position, first))
}

/// The row's value, of a message of this log time.
#[must_use]
pub fn encode(log_time_ms: u64, readers: &[Reader]) -> Vec<u8> {
    let mut body = Vec::with_capacity(4 * readers.len() + 16);
    body.extend_from_slice(&log_time_ms.to_be_bytes());
    read_set::encode_by_time(readers, &mut body);
    codec::versioned(&body)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Vec<Reader>, Corrupt> {
    let (_, mut body) = codec::log_time(WHAT, value)?;
    let readers = read_set::decode_by_time(&mut body)?;
    if body.is_empty() { Ok(readers) } else { Err(Corrupt::new(WHAT, "bytes behind the readers")) }
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

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<(u64, u64, Reader)> = proof::Key {
        kind: Kind::TimeChunk,
        encode: |(conversation, position, first)| key(*conversation, *position, *first),
        decode: decode_key,
    };
    const VALUE: proof::Value<Vec<Reader>> =
        proof::Value { what: WHAT, encode: |row| encode(1_700_000_000_000, row), decode };

    fn keys() -> impl Strategy<Value = (u64, u64, Reader)> {
        (arbitrary::number(), arbitrary::number(), arbitrary::reader())
    }

    #[test]
    fn golden_bytes() {
        let reader = |read_at_s, ordinal| Reader { read_at_s, ordinal };
        KEY.golden(
            &(0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10, reader(0x1112_1314, 0x1516_1718)),
            "23 0102030405060708 090a0b0c0d0e0f10 11121314 15161718",
        );
        proof::golden(
            "prefix of TimeChunk",
            &prefix(0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10),
            "23 0102030405060708 090a0b0c0d0e0f10",
        );
        VALUE.golden(&Vec::new(), "01 0000018bcfe56800 00");
        let row = vec![reader(1_700_000_000, 7), reader(1_700_000_000, 300), reader(1_700_000_200, 2)];
        VALUE.golden(&row, "01 0000018bcfe56800 03 80e2cfaa06 07 00 a502 c801 02");
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(key in keys(), row in arbitrary::readers(), damage in proof::damage()) {
            KEY.holds(&key, &damage);
            VALUE.holds(&row, &damage);
        }

        #[test]
        fn log_times_come_back(log_time_ms in arbitrary::number(), row in arbitrary::readers()) {
            let value = encode(log_time_ms, &row);
            prop_assert_eq!(codec::log_time(WHAT, &value).unwrap().0, log_time_ms);
            prop_assert_eq!(decode(&value), Ok(row));
        }

        #[test]
        fn keys_are_in_order(a in keys(), b in keys()) {
            KEY.orders(&a, &b);
            KEY.orders(&a, &(a.0, b.1, b.2));
            KEY.orders(&a, &(a.0, a.1, b.2));
            KEY.orders(&a, &(a.0, a.1, Reader { read_at_s: a.2.read_at_s, ..b.2 }));
        }

        #[test]
        fn a_prefix_is_that_of_its_message_alone(a in keys(), b in keys()) {
            prop_assert!(key(a.0, a.1, b.2).starts_with(&prefix(a.0, a.1)));
            prop_assert_eq!(key(b.0, b.1, b.2).starts_with(&prefix(a.0, a.1)), (a.0, a.1) == (b.0, b.1));
        }
    }
}
