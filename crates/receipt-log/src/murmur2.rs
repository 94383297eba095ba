//! The hash that decides a key's partition: murmur2 as Kafka's Java client has it (librdkafka: `murmur2_random`).

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The hash of a key. Java shows the same bits as a signed number.
#[must_use]
pub fn murmur2(key: &[u8]) -> u32 {
    // Java's arrays have fewer than 2^31 bytes; of a longer key only the low bits of the length would count.
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let (words, rest) = key.as_chunks::<4>();
    let mut hash = words.iter().fold(SEED ^ length, |hash, word| {
        let word = u32::from_le_bytes(*word).wrapping_mul(M);
        hash.wrapping_mul(M) ^ (word ^ (word >> R)).wrapping_mul(M)
    });
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key: the hash without its sign, modulo the partitions. 0 where there are none.
#[must_use]
pub fn partition(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff).checked_rem(partitions).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        let vectors: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn partitions_are_those_of_a_broker() {
        let partitions: Vec<_> = (1..=4).map(|n| partition(format!("my_key_{n}").as_bytes(), 6)).collect();
        assert_eq!(partitions, [0, 4, 5, 2]);
    }

    #[test]
    fn no_partitions_divide_by_nothing() {
        assert_eq!(partition(b"key", 0), 0);
    }
}
