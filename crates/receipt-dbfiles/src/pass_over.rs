//! Makes a damaged WAL readable: what is damaged is given a type that RocksDB passes over, and the rest stays.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use crate::{
    error::FileError,
    records::{BLOCK_BYTES, FIRST, FULL, Finding, HEAD_BYTES, LAST, MIDDLE, Part, head, part},
};

/// A type that RocksDB does not know and, as its highest bit is set, passes over.
const PASSED_OVER: u8 = 0xff;

/// Changes a WAL file, which is a copy, so that RocksDB reads all that is whole in it, and passes over what is damaged. What
/// that is, by the name of the `original`. Nothing is changed of a file that is whole.
///
/// # Errors
/// If the file cannot be read or written.
pub fn pass_over_damage(copy: &Path, original: &Path) -> Result<Vec<FileError>, FileError> {
    let unreadable = |source| FileError::Unreadable { file: copy.to_owned(), source };
    let file = File::options().read(true).write(true).open(copy).map_err(unreadable)?;
    let found = pass_over(&file).map_err(unreadable)?;
    let damaged = |Finding { at, what }| FileError::Damaged { file: original.to_owned(), at, what };
    Ok(found.into_iter().map(damaged).collect())
}

fn pass_over(file: &File) -> io::Result<Vec<Finding>> {
    let bytes = file.metadata()?.len();
    let mut passing = Passing::default();
    let mut block = vec![0; BLOCK_BYTES];
    while passing.base < bytes {
        let left = usize::try_from(bytes - passing.base).unwrap_or(usize::MAX);
        block.truncate(left.min(BLOCK_BYTES));
        file.read_exact_at(&mut block, passing.base)?;
        if passing.block(&mut block) {
            file.write_all_at(&block, passing.base)?;
        }
        passing.base += block.len() as u64;
    }
    Ok(passing.found)
}

#[derive(Debug, Default)]
struct Passing {
    /// Where the block begins.
    base: u64,
    /// A record has begun whose last part has not come yet.
    open: bool,
    /// Where zeros begin that go on to the end of the last block.
    zeros: Option<u64>,
    found: Vec<Finding>,
}

impl Passing {
    /// Changes a block; whether it did.
    fn block(&mut self, block: &mut [u8]) -> bool {
        let (mut from, mut changed) = (0, false);
        loop {
            let at = self.base + from as u64;
            let part = part(block, from);
            if let (Some(at), false) = (self.zeros, matches!(part, Part::Zeros | Part::Filling { .. } | Part::End)) {
                self.found.push(Finding { at, what: "zeros are where records were".to_owned() });
                (self.zeros, self.open) = (None, false);
            }
            match part {
                Part::End | Part::Filling { .. } | Part::CutShort(_) => return changed,
                Part::Zeros => {
                    self.zeros.get_or_insert(at);
                    return changed;
                }
                Part::Damaged(what) => {
                    self.found.push(Finding { at, what: what.to_owned() });
                    self.open = false;
                    from = cover(block, from, next(block, from));
                    changed = true;
                }
                Part::Whole { kind, bytes } => {
                    let next = from + HEAD_BYTES + bytes;
                    if !self.goes_on(kind) {
                        // A part of a record whose other parts are damaged.
                        cover(block, from, next);
                        changed = true;
                    }
                    from = next;
                }
            }
        }
    }

    /// Whether a part of a record has what must come before it.
    fn goes_on(&mut self, kind: u8) -> bool {
        let was_open = self.open;
        self.open = matches!((kind, was_open), (FIRST, _) | (MIDDLE, true));
        match kind {
            FULL | FIRST => true,
            MIDDLE | LAST => was_open,
            _ => false,
        }
    }
}

/// Where to go on after a damaged record: after the bytes that it claims to have, if a whole record follows there; else at
/// the end of its block.
fn next(block: &[u8], from: usize) -> usize {
    let claimed = match block.get(from..).and_then(<[u8]>::first_chunk::<HEAD_BYTES>) {
        Some([_, _, _, _, low, high, _]) => from + HEAD_BYTES + usize::from(u16::from_le_bytes([*low, *high])),
        None => block.len(),
    };
    let follows = claimed < block.len() && matches!(part(block, claimed), Part::Whole { .. } | Part::Filling { .. });
    if follows { claimed } else { block.len() }
}

/// Makes one record that is passed over of a stretch of a block.
fn cover(block: &mut [u8], from: usize, to: usize) -> usize {
    let data = block.get(from + HEAD_BYTES..to).unwrap_or_default();
    let head = head(PASSED_OVER, data).unwrap_or_default();
    if let Some(place) = block.get_mut(from..from + HEAD_BYTES) {
        place.copy_from_slice(&head);
    }
    to
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;
    use crate::records::tests::Writer;

    /// Records that are told apart by their first byte; some are in several blocks.
    fn file() -> Vec<u8> {
        let mut writer = Writer::default();
        for (number, bytes) in [(1, 100), (2, 0), (3, 70_000), (4, 20), (5, 30)] {
            writer.record(&[&[number][..], &vec![7; bytes]].concat());
        }
        writer.0
    }

    /// The first bytes of all records that are whole, read as RocksDB reads.
    fn readable(bytes: &[u8]) -> Result<BTreeSet<u8>, Part> {
        let (mut found, mut open) = (BTreeSet::new(), None);
        for block in bytes.chunks(BLOCK_BYTES) {
            let mut from = 0;
            while let Part::Whole { kind, bytes } = part(block, from) {
                let first = block.get(from + HEAD_BYTES).copied();
                match kind {
                    FULL => found.extend(first),
                    FIRST => open = first,
                    MIDDLE => assert!(open.is_some(), "a middle without a beginning"),
                    LAST => found.extend(open.take()),
                    _ => open = None,
                }
                from += HEAD_BYTES + bytes;
            }
            match part(block, from) {
                Part::End | Part::Filling { .. } => {}
                other => return Err(other),
            }
        }
        Ok(found)
    }

    fn passed_over(bytes: &[u8]) -> (Vec<u8>, Vec<FileError>) {
        let copy = tempfile::NamedTempFile::new().unwrap();
        fs::write(copy.path(), bytes).unwrap();
        let found = pass_over_damage(copy.path(), Path::new("000012.log")).unwrap();
        (fs::read(copy.path()).unwrap(), found)
    }

    #[test]
    fn a_whole_file_stays_as_it_is() {
        let (bytes, found) = passed_over(&file());
        assert!(bytes == file() && found.is_empty());
        assert_eq!(readable(&bytes), Ok(BTreeSet::from([1, 2, 3, 4, 5])));
    }

    #[test]
    fn around_a_flipped_bit_all_else_can_be_read() {
        let file = file();
        // Of each record a byte of its checksum, its type, and its data; of the long one in each of its blocks.
        let heads = [0, 108, 116, BLOCK_BYTES, 2 * BLOCK_BYTES, file.len() - 38 - 28, file.len() - 38];
        for (head, record) in heads.into_iter().zip([1, 2, 3, 3, 3, 4, 5]) {
            for at in [head, head + 6, head + 7] {
                let mut damaged = file.clone();
                damaged[at] ^= 4;
                let (bytes, found) = passed_over(&damaged);
                let expected: BTreeSet<u8> = (1..=5).filter(|number| *number != record).collect();
                assert_eq!(readable(&bytes), Ok(expected), "at {at}: {found:?}");
                assert_eq!(found.len(), 1, "{found:?}");
                assert_eq!(
                    found[0].to_string(),
                    format!("000012.log is damaged: at byte {head}, a record's checksum is wrong")
                );
            }
        }
    }

    #[test]
    fn after_a_damaged_length_all_from_the_next_block_on_can_be_read() {
        for bit in 0..8 {
            let mut damaged = file();
            damaged[4] ^= 1 << bit;
            let (bytes, found) = passed_over(&damaged);
            let readable = readable(&bytes).unwrap();
            // A length that grew by just the next record leads on to the one after it.
            assert!(readable.is_superset(&BTreeSet::from([4, 5])) && !readable.contains(&1), "bit {bit}: {readable:?}");
            assert_eq!(found.len(), 1);
        }
    }

    #[test]
    fn zeros_within_are_found_and_those_at_the_end_are_not() {
        let mut hole = file();
        hole[BLOCK_BYTES..2 * BLOCK_BYTES].fill(0);
        let (_, found) = passed_over(&hole);
        assert!(found.len() == 1 && found[0].why().contains("zeros"), "{found:?}");
        let (bytes, found) = passed_over(&[file(), vec![0; 40_000]].concat());
        assert!(found.is_empty() && bytes.len() == file().len() + 40_000);
    }
}
