//! The records of a MANIFEST or a WAL, which have the same format (RocksDB's `db/log_format.h`).
//!
//! A file is a row of blocks of 32 KiB. A block holds records, each with a head of 7 bytes: a masked CRC-32C of all that
//! follows it, the length of the data (2 bytes), and the type. No record goes past its block; what does not fit is cut into
//! a first, middle ones and a last. Where less than a head is left in a block, zeros fill it.
//!
//! Other types (recyclable records, whose head has 11 bytes; compression; sizes of timestamps) are written only with options
//! that no database here has. They are damage here.

use std::io::{self, Read};

use crc_fast::{CrcAlgorithm, Digest};

pub(crate) const BLOCK_BYTES: usize = 32 * 1024;
pub(crate) const HEAD_BYTES: usize = 7;

pub(crate) const FULL: u8 = 1;
pub(crate) const FIRST: u8 = 2;
pub(crate) const MIDDLE: u8 = 3;
pub(crate) const LAST: u8 = 4;

const ZEROS_WITHIN: &str = "zeros are where records were";

/// What a walk through a file has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walked {
    /// The bytes up to the end of the last record that is whole, with all before it.
    pub(crate) whole_bytes: u64,
    /// Bytes that were written and are not what they were.
    pub(crate) damage: Option<Finding>,
    /// What RocksDB passes over with reason: the end of a file that a crash cut short.
    pub(crate) tolerated: Option<Finding>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Bytes from the file's beginning.
    pub(crate) at: u64,
    pub(crate) what: String,
}

impl Finding {
    fn new(at: u64, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// Walks through a file up to its end, or to the first damage.
pub(crate) fn walk(mut file: impl Read) -> io::Result<Walked> {
    let mut walk = Walk::default();
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    loop {
        block.clear();
        (&mut file).take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        match walk.block(&block) {
            Err(damage) => return Ok(walk.found(Some(damage))),
            Ok(()) if block.len() < BLOCK_BYTES => return Ok(walk.found(None)),
            Ok(()) => walk.base += BLOCK_BYTES as u64,
        }
    }
}

#[derive(Debug, Default)]
struct Walk {
    /// Where the block begins.
    base: u64,
    /// Where the record begins whose last part has not come yet, and the bytes of it so far.
    open: Option<(u64, usize)>,
    whole_bytes: u64,
    /// Where zeros begin that go on to the end of what was read so far.
    zeros: Option<u64>,
    tolerated: Option<Finding>,
}

impl Walk {
    fn found(self, damage: Option<Finding>) -> Walked {
        let Self { whole_bytes, open, zeros, tolerated, .. } = self;
        let zeros = zeros.map(|at| Finding::new(at, "zeros go on to the file's end"));
        let open = open.map(|(at, _)| Finding::new(at, "the file's end cuts a record short"));
        Walked { whole_bytes, damage, tolerated: tolerated.or(zeros).or(open) }
    }

    /// A block, which is shorter than others at the file's end only.
    fn block(&mut self, block: &[u8]) -> Result<(), Finding> {
        if let Some(at) = self.zeros {
            return all_zero(block).then_some(()).ok_or_else(|| Finding::new(at, ZEROS_WITHIN));
        }
        let mut from = 0;
        loop {
            let at = self.base + from as u64;
            match part(block, from) {
                Part::End => return Ok(()),
                Part::Filling { zero } => {
                    if !zero {
                        self.tolerated.get_or_insert(Finding::new(at, "the filling of a block is not zero"));
                    }
                    return Ok(());
                }
                Part::CutShort(what) => {
                    self.tolerated = Some(Finding::new(at, what));
                    return Ok(());
                }
                Part::Zeros => {
                    self.zeros = Some(at);
                    return Ok(());
                }
                Part::Damaged(what) => return Err(Finding::new(at, what)),
                Part::Whole { kind, bytes } => {
                    from += HEAD_BYTES + bytes;
                    self.record(at, kind, bytes, self.base + from as u64)?;
                }
            }
        }
    }

    /// A record whose bytes are whole: a part of one, or all of it.
    fn record(&mut self, at: u64, kind: u8, bytes: usize, end: u64) -> Result<(), Finding> {
        match (kind, self.open) {
            // Old versions of RocksDB have left an empty beginning at the end of a block.
            (FULL | FIRST, Some((at, 1..))) => return Err(Finding::new(at, "a record has no end")),
            (MIDDLE | LAST, None) => return Err(Finding::new(at, "a record has no beginning")),
            (FULL, _) | (LAST, Some(_)) => {
                self.open = None;
                self.whole_bytes = end;
            }
            (FIRST, _) => self.open = Some((at, bytes)),
            (MIDDLE, Some((first, so_far))) => self.open = Some((first, so_far + bytes)),
            _ => return Err(Finding::new(at, format!("a record has the type {kind}, which is not written here"))),
        }
        Ok(())
    }
}

/// What stands at a place in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Nothing: the block ends.
    End,
    /// What fills a block where no head has room.
    Filling { zero: bool },
    /// Zeros up to the end of the block.
    Zeros,
    /// The file ends in the middle of a record that a crash cut short.
    CutShort(&'static str),
    /// A record, or a part of one, that cannot be what was written.
    Damaged(&'static str),
    /// A record, or a part of one, whose checksum is right.
    Whole { kind: u8, bytes: usize },
}

/// Looks at what stands in a block at a place; only the file's last block is shorter than others.
pub(crate) fn part(block: &[u8], from: usize) -> Part {
    let rest = block.get(from..).unwrap_or_default();
    if rest.is_empty() {
        return Part::End;
    }
    if BLOCK_BYTES - from < HEAD_BYTES {
        return Part::Filling { zero: all_zero(rest) };
    }
    let Some((&[a, b, c, d, low, high, kind], data)) = rest.split_first_chunk::<HEAD_BYTES>() else {
        return Part::CutShort("the file's end cuts a record's head short");
    };
    let (stored, bytes) = (u32::from_le_bytes([a, b, c, d]), usize::from(u16::from_le_bytes([low, high])));
    if (stored, bytes, kind) == (0, 0, 0) {
        return if all_zero(data) { Part::Zeros } else { Part::Damaged(ZEROS_WITHIN) };
    }
    if from + HEAD_BYTES + bytes > BLOCK_BYTES {
        return Part::Damaged("a record goes past its block");
    }
    let summed = rest.get(HEAD_BYTES - 1..).unwrap_or_default();
    match summed.get(..1 + bytes) {
        None if begins_whole(unmasked(stored), summed) => Part::Damaged("a record's length is damaged"),
        None => Part::CutShort("the file's end cuts a record short"),
        Some(summed) if crc_fast::crc32_iscsi(summed) != unmasked(stored) => {
            Part::Damaged("a record's checksum is wrong")
        }
        Some(_) => Part::Whole { kind, bytes },
    }
}

/// Whether a record that goes past the file's end is there all the same: its checksum is over its type and its data, and is
/// right for what is there, or for a beginning of it.
fn begins_whole(stored: u32, summed: &[u8]) -> bool {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    summed.iter().any(|byte| {
        digest.update(&[*byte]);
        digest.finalize() == u64::from(stored)
    })
}

/// RocksDB stores checksums so that one over bytes that hold checksums is no weaker.
fn unmasked(stored: u32) -> u32 {
    stored.wrapping_sub(0xa282_ead8).rotate_left(15)
}

/// The head of a record with this type and data.
pub(crate) fn head(kind: u8, data: &[u8]) -> Option<[u8; HEAD_BYTES]> {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&[kind]);
    digest.update(data);
    let sum = u32::try_from(digest.finalize()).ok()?.rotate_right(15).wrapping_add(0xa282_ead8);
    let ([a, b, c, d], [low, high]) = (sum.to_le_bytes(), u16::try_from(data.len()).ok()?.to_le_bytes());
    Some([a, b, c, d, low, high, kind])
}

fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes records as RocksDB does.
    #[derive(Default)]
    pub(crate) struct Writer(pub(crate) Vec<u8>);

    impl Writer {
        pub(crate) fn record(&mut self, mut data: &[u8]) {
            let mut first = true;
            loop {
                let left = BLOCK_BYTES - self.0.len() % BLOCK_BYTES;
                if left < HEAD_BYTES {
                    self.0.extend(vec![0; left]);
                    continue;
                }
                let (part, rest) = data.split_at(data.len().min(left - HEAD_BYTES));
                let kind = match (first, rest.is_empty()) {
                    (true, true) => FULL,
                    (true, false) => FIRST,
                    (false, false) => MIDDLE,
                    (false, true) => LAST,
                };
                self.part(kind, part);
                (first, data) = (false, rest);
                if data.is_empty() {
                    return;
                }
            }
        }

        pub(crate) fn part(&mut self, kind: u8, data: &[u8]) {
            self.0.extend(head(kind, data).unwrap());
            self.0.extend(data);
        }
    }

    /// Records of several sizes: some in several blocks, one that ends 3 bytes before its block does.
    fn file() -> Vec<u8> {
        let mut writer = Writer::default();
        for bytes in [100_usize, 0, 80_000, 7] {
            writer.record(&(0..=250).cycle().take(bytes).map(|n: u8| n | 1).collect::<Vec<_>>());
        }
        let left = BLOCK_BYTES - writer.0.len() % BLOCK_BYTES;
        writer.record(&vec![9; left - HEAD_BYTES - 3]);
        writer.record(&[5; 50]);
        writer.0
    }

    fn of(bytes: &[u8]) -> Walked {
        walk(bytes).unwrap()
    }

    fn damage(bytes: &[u8]) -> Option<String> {
        of(bytes).damage.map(|found| found.what)
    }

    #[test]
    fn a_whole_file_is_whole() {
        let file = file();
        assert_eq!(of(&file), Walked { whole_bytes: file.len() as u64, damage: None, tolerated: None });
        assert_eq!(of(&[]), Walked { whole_bytes: 0, damage: None, tolerated: None });
    }

    /// Each bit of heads and of bytes around the ends of blocks; of the others, one in 97.
    #[test]
    fn a_flipped_bit_is_damage_or_in_the_filling() {
        let mut file = file();
        for at in 0..file.len() {
            let near_an_end = (at + 20) % BLOCK_BYTES < 40 || at < 150 || at + 80 > file.len();
            if !near_an_end && at % 97 != 0 {
                continue;
            }
            let filling = at % BLOCK_BYTES >= BLOCK_BYTES - 3 && file[at] == 0;
            for bit in 0..8 {
                file[at] ^= 1 << bit;
                let found = of(&file);
                assert_eq!(found.damage.is_none(), filling, "bit {bit} of byte {at}: {found:?}");
                let named = found.damage.or(found.tolerated).unwrap();
                assert!(named.at <= at as u64 && found.whole_bytes <= file.len() as u64, "{named:?}");
                file[at] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_whole_up_to_its_last_whole_record() {
        let file = file();
        let ends: Vec<u64> = [107_u64, 114, 114 + 80_000 + 3 * 7]
            .into_iter()
            .chain([of(&file[..file.len() - 1]).whole_bytes, file.len() as u64])
            .collect();
        for cut in (0..file.len()).filter(|at| at % 61 == 0 || at + 60 > file.len() || *at < 200) {
            let found = of(&file[..cut]);
            assert_eq!(found.damage, None, "cut at {cut}");
            let last = ends.iter().rfind(|end| **end <= cut as u64).copied().unwrap_or(0);
            assert!(found.whole_bytes >= last && found.whole_bytes <= cut as u64, "cut at {cut}: {found:?}");
            assert_eq!(of(&file[..usize::try_from(found.whole_bytes).unwrap()]).tolerated, None, "cut at {cut}");
        }
    }

    #[test]
    fn zeros_are_tolerated_at_the_end_only() {
        let file = file();
        let end = [file.clone(), vec![0; 70_000]].concat();
        assert_eq!((of(&end).damage, of(&end).whole_bytes), (None, file.len() as u64));
        assert!(of(&end).tolerated.is_some());
        let mut hole = file.clone();
        hole[107..BLOCK_BYTES].fill(0);
        assert_eq!(damage(&hole).unwrap(), "zeros are where records were");
        let mut before = end;
        *before.last_mut().unwrap() = 1;
        assert_eq!(damage(&before).unwrap(), "zeros are where records were");
    }

    #[test]
    fn parts_without_the_others_and_other_types_are_damage() {
        let parts = |parts: &[u8]| {
            let mut writer = Writer::default();
            parts.iter().for_each(|kind| writer.part(*kind, b"data"));
            damage(&writer.0)
        };
        assert_eq!(parts(&[FULL, FIRST, MIDDLE, MIDDLE, LAST, FULL]), None);
        assert_eq!(parts(&[FULL, MIDDLE]).unwrap(), "a record has no beginning");
        assert_eq!(parts(&[FULL, LAST]).unwrap(), "a record has no beginning");
        assert_eq!(parts(&[FIRST, FULL]).unwrap(), "a record has no end");
        assert_eq!(parts(&[FIRST, FIRST]).unwrap(), "a record has no end");
        for kind in [0, 5, 8, 9, 10, 11, 130, 131, 255] {
            assert_eq!(
                parts(&[FULL, kind]).unwrap(),
                format!("a record has the type {kind}, which is not written here")
            );
        }
    }
}
