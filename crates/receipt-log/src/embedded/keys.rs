//! Keys of the embedded log's RocksDB. Numbers are big-endian, so that key order is offset order.
//!
//! - a record: `[topic u8, 1 to 4][partition u32][offset u64]`
//! - the log's own rows: `[0][which u8]`, and those of a partition `[0][which u8][topic u8][partition u32]`

use crate::Topic;

/// Bytes of a record's key.
pub(super) const RECORD_KEY_BYTES: usize = 13;

/// A partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic: Topic,
    pub(super) partition: u32,
}

impl Place {
    /// The key of its record at this offset.
    pub(super) fn record(self, offset: u64) -> [u8; RECORD_KEY_BYTES] {
        let mut key = [0; RECORD_KEY_BYTES];
        key[0] = self.topic.code();
        key[1..5].copy_from_slice(&self.partition.to_be_bytes());
        key[5..].copy_from_slice(&offset.to_be_bytes());
        key
    }

    /// The offset in a record's key; `None` where the key is another partition's, or no record's.
    pub(super) fn offset(self, key: &[u8]) -> Option<u64> {
        let (place, offset) = key.split_at_checked(5)?;
        (place == &self.record(0)[..5]).then_some(())?;
        Some(u64::from_be_bytes(offset.try_into().ok()?))
    }

    /// The key of its first offset's row: it outlives the records.
    pub(super) fn start(self) -> [u8; 7] {
        self.row(b's')
    }

    /// The key of its next offset's row: it outlives the records.
    pub(super) fn end(self) -> [u8; 7] {
        self.row(b'e')
    }

    fn row(self, which: u8) -> [u8; 7] {
        let [a, b, c, d] = self.partition.to_be_bytes();
        [0, which, self.topic.code(), a, b, c, d]
    }
}

/// The log's identity: 16 bytes.
pub(super) const ID: [u8; 2] = [0, b'i'];
/// The format of all rows: u32.
pub(super) const FORMAT: [u8; 2] = [0, b'f'];
/// The number of partitions: u32.
pub(super) const PARTITIONS: [u8; 2] = [0, b'p'];
/// The last arrival, in milliseconds since 1970: u64. None while the log has never had a record with one.
pub(super) const LAST_ARRIVAL: [u8; 2] = [0, b'a'];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_bytes() {
        let place = Place { topic: Topic::Reads, partition: 0x0102 };
        assert_eq!(place.record(0x0304), [2, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4]);
        assert_eq!(place.start(), [0, b's', 2, 0, 0, 1, 2]);
        assert_eq!(place.end(), [0, b'e', 2, 0, 0, 1, 2]);
    }

    #[test]
    fn a_key_of_another_partition_has_no_offset() {
        let place = Place { topic: Topic::Reads, partition: 7 };
        assert_eq!(place.offset(&Place { topic: Topic::Deltas, ..place }.record(1)), None);
        assert_eq!(place.offset(&Place { partition: 8, ..place }.record(1)), None);
        assert_eq!(place.offset(&ID), None);
        assert_eq!(place.offset(&[]), None);
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn keys_order_as_offsets_and_round_trip(partition: u32, a: u64, b: u64) {
            let place = Place { topic: Topic::Conversations, partition };
            prop_assert_eq!(place.offset(&place.record(a)), Some(a));
            prop_assert_eq!(place.record(a).cmp(&place.record(b)), a.cmp(&b));
        }
    }
}
