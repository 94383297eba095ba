//! Read sets against a map of ordinals to times, and a Roaring bitmap.

use std::collections::BTreeMap;

use proptest::{collection::btree_map, prelude::*};
use receipt_domain::readers::{INLINE_READERS_MAX, chunk_of};
use roaring::RoaringBitmap;

use super::*;
use crate::{arbitrary, proof};

const LATEST: u32 = u32::MAX - 1;

const CHUNK: proof::Value<ReadChunk> = proof::Value { what: WHAT, encode: encode_chunk, decode: decode_chunk };

fn reader(read_at_s: u32, ordinal: u32) -> Reader {
    Reader { read_at_s, ordinal }
}

fn bytes_by_time(readers: &[Reader]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_by_time(readers, &mut bytes);
    bytes
}

fn all_by_time(mut bytes: &[u8]) -> Result<Vec<Reader>, Corrupt> {
    let readers = decode_by_time(&mut bytes)?;
    if bytes.is_empty() { Ok(readers) } else { Err(Corrupt::new(WHAT, "bytes behind the readers")) }
}

const BY_TIME: proof::Value<Vec<Reader>> =
    proof::Value { what: WHAT, encode: |readers| bytes_by_time(readers), decode: all_by_time };

#[test]
fn golden_bytes_by_time() {
    let readers =
        [reader(0, 3), reader(0, 131), reader(127, 0), reader(128, u32::MAX), reader(LATEST, 0), reader(LATEST, 1)];
    let bytes = bytes_by_time(&readers);
    proof::golden("readers by time", &bytes, "06 00 03 00 8001 7f 00 01 ffffffff0f fefeffff0f 00 00 01");
    assert_eq!(all_by_time(&bytes), Ok(readers.to_vec()));
    proof::golden("no readers by time", &bytes_by_time(&[]), "00");
}

#[test]
fn golden_bytes_by_ordinal() {
    let mut chunk = ReadChunk::default();
    proof::golden("empty chunk", &encode_chunk(&chunk), &format!("00000000 00 {}", "00".repeat(128)));
    chunk.join(reader(1_700_000_000, 8));
    proof::golden("one reader", &encode_chunk(&chunk), &format!("00f15365 00 0001{}", "00".repeat(126)));
    [reader(1_700_000_001, 9), reader(1_700_000_003, 10), reader(1_700_000_002, 11), reader(1_700_000_003, 1023)]
        .into_iter()
        .for_each(|reader| _ = chunk.join(reader));
    proof::golden("five readers", &encode_chunk(&chunk), &format!("00f15365 02 000f{}80 b403", "00".repeat(125)));
}

#[test]
fn chunks_take_the_extremes() {
    let full = |time: fn(u32) -> u32| arbitrary::chunk(&(0..CHUNK_ORDINALS).map(|i| (i, time(i))).collect());
    let empty = ReadChunk::default();
    for (chunk, width, bytes) in [
        (empty, 0, 133),
        (full(|_| 0), 0, 133),
        (full(|_| LATEST), 0, 133),
        (full(|i| LATEST - i % 2), 1, 133 + 128),
        (full(|i| if i % 2 == 0 { 0 } else { LATEST }), 32, 133 + 4096),
        (full(|i| if i == 1023 { LATEST } else { 1 }), 32, 133 + 4096),
        (full(|i| if i == 0 { LATEST >> 1 } else { 0 }), 31, 133 + 31 * 128),
    ] {
        let encoded = encode_chunk(&chunk);
        assert_eq!((encoded[4], encoded.len()), (width, bytes));
        assert_eq!(decode_chunk(&encoded), Ok(chunk));
        CHUNK.refuses(&encoded[..bytes - 1]);
        CHUNK.refuses(&[&encoded[..], &[0]].concat());
    }
}

#[test]
fn chunks_that_no_encoder_made_are_refused() {
    // One reader, whose time is all of the packed bytes.
    let chunk = |lowest: u32, width: u8, packed: &[u8]| {
        let mut bitmap = [0; BITMAP_BYTES];
        bitmap[0] = 1;
        [&lowest.to_le_bytes()[..], &[width], &bitmap, packed].concat()
    };
    let time = |bytes: &[u8]| decode_chunk(bytes).map(|chunk| chunk.read_at_s(0));
    assert_eq!(time(&chunk(0, 32, &LATEST.to_le_bytes())), Ok(Some(LATEST)));
    assert_eq!(time(&chunk(1, 32, &(LATEST - 1).to_le_bytes())), Ok(Some(LATEST)));
    assert!(time(&chunk(1, 32, &LATEST.to_le_bytes())).is_err(), "the time that says that there is none");
    assert!(time(&chunk(u32::MAX, 0, &[])).is_err(), "the time that says that there is none");
    assert!(time(&chunk(2, 32, &LATEST.to_le_bytes())).is_err(), "over 32 bits");
    assert!(time(&chunk(u32::MAX, 32, &u32::MAX.to_le_bytes())).is_err(), "over 32 bits");
    for width in 33..=u8::MAX {
        assert!(time(&chunk(0, width, &vec![0; usize::from(width).div_ceil(8)])).is_err(), "width {width}");
    }
}

#[test]
fn lists_take_the_extremes() {
    let equal_times: Vec<Reader> = (0..1000).map(|i| reader(LATEST, u32::MAX - 999 + i)).collect();
    for readers in [vec![], vec![reader(0, 0)], vec![reader(LATEST, u32::MAX)], equal_times] {
        assert_eq!(all_by_time(&bytes_by_time(&readers)), Ok(readers));
    }
}

#[test]
fn lists_that_no_encoder_made_are_refused() {
    let list = |hex: &[u8]| all_by_time(hex);
    assert_eq!(list(&[1, 0, 5]), Ok(vec![reader(0, 5)]));
    assert!(list(&[2, 0, 5, 0, 0]).is_err(), "the same reader twice");
    assert!(list(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 5]).is_err(), "fewer readers than it says");
    let highest = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(list(&[&[2][..], &highest, &[0, 1, 0]].concat()).is_err(), "a time over 32 bits");
    assert!(list(&[&[2, 0][..], &highest, &[0, 1]].concat()).is_err(), "an ordinal over 32 bits");
    assert!(list(&[1, 0xff, 0xff, 0xff, 0xff, 0x10, 0]).is_err(), "a number over 32 bits");
    assert!(list(&[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0]).is_err(), "a number in too many bytes");
}

/// A large set as the store keeps it: chunks by ordinal, and stretches in time order.
type Stored = (Vec<(u32, Vec<u8>)>, Vec<Vec<u8>>);

fn stored(times: &BTreeMap<u32, u32>, stretch: usize) -> Stored {
    let mut chunks: BTreeMap<u32, ReadChunk> = BTreeMap::new();
    for (ordinal, read_at_s) in times {
        chunks.entry(chunk_of(*ordinal)).or_default().join(reader(*read_at_s, *ordinal));
    }
    let readers = arbitrary::by_time(times.clone());
    (
        chunks.iter().map(|(number, chunk)| (*number, encode_chunk(chunk))).collect(),
        readers.chunks(stretch).map(bytes_by_time).collect(),
    )
}

proptest! {
    #![proptest_config(receipt_test_seed::config())]

    #[test]
    fn lists_round_trip(readers in arbitrary::readers(), damage in proof::damage()) {
        BY_TIME.holds(&readers, &damage);
    }

    #[test]
    fn lists_leave_what_is_behind_them(readers in arbitrary::readers(), behind: Vec<u8>) {
        let bytes = [bytes_by_time(&readers), behind.clone()].concat();
        let mut rest = &bytes[..];
        prop_assert_eq!(decode_by_time(&mut rest), Ok(readers));
        prop_assert_eq!(rest, &behind[..]);
    }

    #[test]
    fn chunks_round_trip(times in arbitrary::chunk_times(), damage in proof::damage()) {
        let chunk = arbitrary::chunk(&times);
        CHUNK.holds(&chunk, &damage);
        let decoded = decode_chunk(&encode_chunk(&chunk)).unwrap();
        for ordinal in 0..CHUNK_ORDINALS {
            prop_assert_eq!(decoded.read_at_s(ordinal), times.get(&ordinal).copied());
        }
    }

    #[test]
    fn chunks_are_as_long_as_their_times_are_apart(times in arbitrary::chunk_times()) {
        let apart = times.values().max().unwrap_or(&0) - times.values().min().unwrap_or(&0);
        let width = (0..=32).find(|width| u64::from(apart) < 1 << width).unwrap();
        let len = encode_chunk(&arbitrary::chunk(&times)).len();
        prop_assert_eq!(len, 5 + BITMAP_BYTES + (times.len() * width).div_ceil(8));
    }

    #[test]
    fn a_chunks_bitmap_is_the_set(times in arbitrary::chunk_times()) {
        let set: RoaringBitmap = times.keys().copied().collect();
        let bytes = encode_chunk(&arbitrary::chunk(&times));
        let bitmap = &bytes[5..5 + BITMAP_BYTES];
        prop_assert_eq!(RoaringBitmap::from_lsb0_bytes(0, bitmap), set);
    }

    #[test]
    fn both_orders_hold_the_same_set(
        times in btree_map(0..5000_u32, arbitrary::time(), INLINE_READERS_MAX..1500), stretch in 1..1200_usize,
    ) {
        let (chunks, stretches) = stored(&times, stretch);
        let set: RoaringBitmap = times.keys().copied().collect();
        let mut by_ordinal = Vec::new();
        for (number, bytes) in &chunks {
            by_ordinal.extend(decode_chunk(bytes).unwrap().readers(*number));
        }
        let mut by_time = Vec::new();
        for bytes in &stretches {
            by_time.extend(all_by_time(bytes).unwrap());
        }
        prop_assert!(by_time.is_sorted());
        prop_assert_eq!(by_time.len() as u64, set.len());
        prop_assert_eq!(by_ordinal.iter().map(|r| r.ordinal).collect::<RoaringBitmap>(), set);
        let map = |readers: Vec<Reader>| readers.iter().map(|r| (r.ordinal, r.read_at_s)).collect::<BTreeMap<_, _>>();
        prop_assert_eq!(map(by_ordinal), times.clone());
        prop_assert_eq!(map(by_time), times);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, width in 0..40_u8, bits in 0..64_usize) {
        CHUNK.survives(&bytes);
        BY_TIME.survives(&bytes);
        // With a length that its bitmap has, so that the times are reached.
        let mut chunk = [&[0xfe, 0xff, 0xff, 0x7f, width][..], &[0; BITMAP_BYTES], &bytes].concat();
        (0..bits).for_each(|bit| chunk[5 + bit / 4] |= 1 << (bit % 4));
        chunk.resize(5 + BITMAP_BYTES + (bits * usize::from(width)).div_ceil(8), 0xff);
        CHUNK.survives(&chunk);
    }
}
