//! Bytes of read sets: who has read a message, and when, in a few bytes a reader.
//!
//! By time: the count, then for each reader the seconds since the one before and, where those are 0, the ordinals since
//! the one before, else the ordinal; all as LEB128. Byte-aligned on purpose: the readers of neighbouring messages are
//! mostly the same, with the same distances, which the block compression below finds.
//!
//! By ordinal, a chunk: the lowest time, the width of a time in bits, a bitmap of the ordinals, then their times above
//! the lowest, packed.

use receipt_domain::readers::{CHUNK_ORDINALS, CHUNK_WORDS, ReadChunk, Reader};

use crate::error::Corrupt;

const WHAT: &str = "read set";
const BITMAP_BYTES: usize = CHUNK_WORDS * 8;

fn put_varint(mut n: u32, bytes: &mut Vec<u8>) {
    while n >= 0x80 {
        bytes.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    bytes.push(n.to_le_bytes()[0]);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u32, Corrupt> {
    let mut n = 0_u64;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(|| Corrupt::new(WHAT, "cut short"))?;
        *bytes = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(n).map_err(|_| Corrupt::new(WHAT, "a number over 32 bits"));
        }
    }
    Err(Corrupt::new(WHAT, "a number over 32 bits"))
}

/// Appends readers, which rise by time and ordinal.
pub fn encode_by_time(readers: &[Reader], bytes: &mut Vec<u8>) {
    put_varint(u32::try_from(readers.len()).unwrap_or(u32::MAX), bytes);
    let mut before = Reader { read_at_s: 0, ordinal: 0 };
    for (index, reader) in readers.iter().enumerate() {
        let seconds = reader.read_at_s - before.read_at_s;
        put_varint(seconds, bytes);
        let same_second = index > 0 && seconds == 0;
        put_varint(if same_second { reader.ordinal - before.ordinal } else { reader.ordinal }, bytes);
        before = *reader;
    }
}

/// Takes what [`encode_by_time`] wrote from the front.
///
/// # Errors
/// If it is cut short, or does not rise.
pub fn decode_by_time(bytes: &mut &[u8]) -> Result<Vec<Reader>, Corrupt> {
    let count = take_varint(bytes)? as usize;
    // Each reader has two bytes at least, so that a damaged count reserves no more than there is.
    let mut readers = Vec::with_capacity(count.min(bytes.len() / 2));
    let mut before = Reader { read_at_s: 0, ordinal: 0 };
    let high = || Corrupt::new(WHAT, "a number over 32 bits");
    for index in 0..count {
        let seconds = take_varint(bytes)?;
        let number = take_varint(bytes)?;
        let read_at_s = before.read_at_s.checked_add(seconds).ok_or_else(high)?;
        let same_second = index > 0 && seconds == 0;
        let ordinal = if same_second { before.ordinal.checked_add(number).ok_or_else(high)? } else { number };
        let reader = Reader { read_at_s, ordinal };
        if index > 0 && reader <= before {
            return Err(Corrupt::new(WHAT, "out of order"));
        }
        readers.push(reader);
        before = reader;
    }
    Ok(readers)
}

/// A chunk by ordinal.
#[must_use]
pub fn encode_chunk(chunk: &ReadChunk) -> Vec<u8> {
    let readers: Vec<Reader> = chunk.readers(0).collect();
    let lowest = readers.iter().map(|r| r.read_at_s).min().unwrap_or_default();
    let highest = readers.iter().map(|r| r.read_at_s).max().unwrap_or_default();
    let width = u32::BITS - (highest - lowest).leading_zeros();
    let mut bytes = Vec::with_capacity(5 + BITMAP_BYTES + readers.len() * width as usize / 8 + 8);
    bytes.extend_from_slice(&lowest.to_le_bytes());
    bytes.push(width.to_le_bytes()[0]);
    let mut bitmap = [0_u8; BITMAP_BYTES];
    for reader in &readers {
        bitmap[reader.ordinal as usize / 8] |= 1 << (reader.ordinal % 8);
    }
    bytes.extend_from_slice(&bitmap);
    let (mut word, mut filled) = (0_u64, 0);
    for reader in &readers {
        word |= u64::from(reader.read_at_s - lowest) << filled;
        filled += width;
        while filled >= 8 {
            bytes.push(word.to_le_bytes()[0]);
            word >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        bytes.push(word.to_le_bytes()[0]);
    }
    bytes
}

/// What [`encode_chunk`] wrote.
///
/// # Errors
/// If its length is not what its bitmap says, or a time is out of range.
pub fn decode_chunk(bytes: &[u8]) -> Result<ReadChunk, Corrupt> {
    let short = || Corrupt::new(WHAT, "cut short");
    let (head, rest) = bytes.split_at_checked(5).ok_or_else(short)?;
    let lowest = head[..4].iter().rev().fold(0_u32, |n, byte| n << 8 | u32::from(*byte));
    let width = u32::from(head[4]);
    let (bitmap, mut packed) = rest.split_at_checked(BITMAP_BYTES).ok_or_else(short)?;
    let count: u32 = bitmap.iter().map(|byte| byte.count_ones()).sum();
    if width > u32::BITS || packed.len() != (count * width).div_ceil(8) as usize {
        return Err(Corrupt::new(WHAT, "a length that its bitmap does not have"));
    }
    let mask = (1_u64 << width) - 1;
    let (mut word, mut filled) = (0_u64, 0);
    let mut chunk = ReadChunk::default();
    for ordinal in (0..CHUNK_ORDINALS).filter(|i| bitmap[*i as usize / 8] & (1 << (i % 8)) != 0) {
        while filled < width {
            let (byte, rest) = packed.split_first().ok_or_else(short)?;
            word |= u64::from(*byte) << filled;
            filled += 8;
            packed = rest;
        }
        let above = u32::try_from(word & mask).map_err(|_| short())?;
        word >>= width;
        filled -= width;
        let read_at_s = lowest.checked_add(above).filter(|time| *time != u32::MAX);
        let read_at_s = read_at_s.ok_or_else(|| Corrupt::new(WHAT, "a time over 32 bits"))?;
        chunk.join(Reader { read_at_s, ordinal });
    }
    Ok(chunk)
}

#[cfg(test)]
mod sizes;
#[cfg(test)]
mod tests;
