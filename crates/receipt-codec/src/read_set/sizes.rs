//! What a reader costs, over sizes of group, shares of it that have read, and how their reads lie in time.
//!
//! `cargo test --release -p receipt-codec bytes_a_reader -- --nocapture` prints the table.

use std::collections::BTreeMap;

use receipt_domain::readers::{INLINE_READERS_MAX, ReadChunk, Reader, chunk_of};
use roaring::RoaringBitmap;

use super::encode_by_time;
use crate::{
    arbitrary,
    row::{read_chunk, time_chunk},
};

/// Readers in one stretch of the index by time, as the store fills it where reads come in time order.
const STRETCH_READERS: usize = 1024;
const LOG_TIME_MS: u64 = 1_700_000_000_000;

/// Reads of `readers` out of `members`, with times spread evenly over `seconds`: drawn, but always the same.
fn draw(members: u32, readers: u32, seconds: u64) -> BTreeMap<u32, u32> {
    let mut state = u64::from(members) << 32 | u64::from(readers);
    // SplitMix64.
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut below = |limit: u64| u32::try_from(random() % limit).unwrap();
    let mut times = BTreeMap::new();
    // Whoever is left when there are as many to choose as there are: each member is taken with the share that is due.
    for ordinal in 0..members {
        let wanted = u64::from(readers) - times.len() as u64;
        if u64::from(below(u64::from(members - ordinal))) < wanted {
            times.insert(ordinal, 1_700_000_000 + below(seconds));
        }
    }
    times
}

#[derive(Default)]
struct Bytes {
    by_time: usize,
    by_ordinal: usize,
    keys: usize,
}

impl Bytes {
    fn all(&self) -> usize {
        self.by_time + self.by_ordinal + self.keys
    }
}

/// A small set is in its message's row; a large one is in rows of its own.
fn measure(times: &BTreeMap<u32, u32>) -> Bytes {
    let mut bytes = Bytes::default();
    let readers = arbitrary::by_time(times.clone());
    if readers.len() <= INLINE_READERS_MAX {
        let mut list = Vec::new();
        encode_by_time(&readers, &mut list);
        return Bytes { by_time: list.len(), ..bytes };
    }
    for stretch in readers.chunks(STRETCH_READERS) {
        bytes.keys += time_chunk::key(1, 1, stretch[0]).len();
        bytes.by_time += time_chunk::encode(LOG_TIME_MS, stretch).len();
    }
    let mut chunks: BTreeMap<u32, ReadChunk> = BTreeMap::new();
    for (ordinal, read_at_s) in times {
        chunks.entry(chunk_of(*ordinal)).or_default().join(Reader { read_at_s: *read_at_s, ordinal: *ordinal });
    }
    for (number, chunk) in &chunks {
        bytes.keys += read_chunk::key(1, 1, *number).len();
        bytes.by_ordinal += read_chunk::encode(LOG_TIME_MS, chunk).len();
    }
    bytes
}

#[test]
fn bytes_a_reader() {
    println!(" members  read  reads within  by time  by ordinal   keys    all   | a Roaring set and 4-byte times");
    for (name, seconds) in [("60 s", 60), ("a day", 86_400), ("a week", 604_800)] {
        for members in [10_u32, 100, 1_000, 100_000] {
            for percent in [1, 50, 99] {
                let readers = (members * percent).div_ceil(100);
                let times = draw(members, readers, seconds);
                assert_eq!(times.len(), readers as usize);
                let bytes = measure(&times);
                let each = |bytes: usize| bytes as f64 / f64::from(readers);
                let roaring = times.keys().copied().collect::<RoaringBitmap>().serialized_size() + 4 * times.len();
                println!(
                    "{members:>8} {percent:>4}% {name:>13} {:>8.2} {:>11.2} {:>6.2} {:>6.2}   | {:>6.2}",
                    each(bytes.by_time),
                    each(bytes.by_ordinal),
                    each(bytes.keys),
                    each(bytes.all()),
                    each(roaring),
                );
                let most = most_bytes_a_reader(members, readers, seconds);
                assert!(each(bytes.all()) <= most, "{members} members, {percent} %, {name}: more than {most}");
            }
        }
    }
}

/// Generous bounds: what is over them is another format, not another draw.
fn most_bytes_a_reader(members: u32, readers: u32, seconds: u64) -> f64 {
    let small = readers as usize <= INLINE_READERS_MAX;
    match (small, readers * 10 < members, seconds) {
        // The first reader's whole time, and the count.
        (true, _, _) => 4.5 + 8.0 / f64::from(readers),
        // Few readers in each chunk have its bitmap to share.
        (false, true, _) => 25.0,
        (false, false, 60) => 4.0,
        (false, false, _) => 7.0,
    }
}
