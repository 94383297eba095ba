//! The blocks of a table file that RocksDB needs for no answer: its bloom filter and its properties. RocksDB goes on
//! without a filter whose checksum is wrong, and says nothing; here it is found. All others it checks itself when they are
//! read.
//!
//! The format (RocksDB's `table/format.cc`, version 6): blocks, each with a byte for its compression and a checksum over
//! both; the metaindex, which says where those blocks are; a footer, which says where the metaindex is.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use twox_hash::XxHash3_64;

const FOOTER_BYTES: usize = 53;
const TRAILER_BYTES: usize = 5;
const MAGIC: u64 = 0x88e2_41b7_85f4_cff7;
const FORMAT_VERSION: u32 = 6;
/// The only checksum that our files have.
const XXH3: u8 = 4;
const LAST_BYTE_PRIME: u32 = 0x6b90_83d9;

/// What is wrong with a table file's own blocks; `None`: nothing, or the file is of a format that is not known here. Reads
/// nothing else of it.
pub(crate) fn damage(path: &Path) -> io::Result<Option<String>> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let Some(offset) = bytes.checked_sub(FOOTER_BYTES as u64) else { return Ok(Some("it is cut off".to_owned())) };
    let mut footer = [0; FOOTER_BYTES];
    file.read_exact_at(&mut footer, offset)?;
    if is_of_another_format(&footer) {
        return Ok(None);
    }
    let Some(footer) = Footer::of(&footer, offset) else { return Ok(Some("its footer is damaged".to_owned())) };
    let metaindex = match footer.block(&file, footer.metaindex)? {
        Ok(metaindex) => metaindex,
        Err(why) => return Ok(Some(format!("its metaindex {why}"))),
    };
    let Some(entries) = entries(&metaindex) else { return Ok(Some("its metaindex is damaged".to_owned())) };
    for (name, handle) in entries {
        if let Err(why) = footer.block(&file, handle)? {
            return Ok(Some(format!("its block {name} at {} {why}", handle.0)));
        }
    }
    Ok(None)
}

/// Whether a file says that it is of a format that is not known here, as of another version of RocksDB or with other
/// options. Where a flipped bit says so, RocksDB does not open the file: it checks the footer's own checksum.
fn is_of_another_format(footer: &[u8; FOOTER_BYTES]) -> bool {
    let [first, .., a, b, c, d, _, _, _, _, _, _, _, _] = footer;
    footer.ends_with(&MAGIC.to_le_bytes()) && ([*a, *b, *c, *d] != FORMAT_VERSION.to_le_bytes() || *first != XXH3)
}

/// Offset and bytes of a block, without its trailer.
type Handle = (u64, usize);

struct Footer {
    /// What each block's checksum is mixed with, and its offset.
    base: u32,
    metaindex: Handle,
    /// Where it stands: blocks end before it.
    offset: u64,
}

impl Footer {
    fn of(footer: &[u8; FOOTER_BYTES], offset: u64) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(footer.get(at..at + 4)?.try_into().ok()?));
        let magic = u64::from_le_bytes(footer.get(45..)?.try_into().ok()?);
        if (magic, word(41)?, footer[0]) != (MAGIC, FORMAT_VERSION, XXH3) {
            return None;
        }
        let (stored, base, metaindex_bytes) = (word(5)?, word(9)?, word(13)?);
        let mut without = *footer;
        without.get_mut(5..9)?.fill(0);
        let (last, rest) = without.split_last()?;
        if checksum(rest, *last).wrapping_add(modifier(base, offset)) != stored {
            return None;
        }
        let metaindex = offset.checked_sub(TRAILER_BYTES as u64)?.checked_sub(metaindex_bytes.into())?;
        Some(Self { base, metaindex: (metaindex, usize::try_from(metaindex_bytes).ok()?), offset })
    }

    /// A block's bytes, if its checksum is right.
    fn block(&self, file: &File, (offset, bytes): Handle) -> io::Result<Result<Vec<u8>, &'static str>> {
        let with_trailer = bytes.checked_add(TRAILER_BYTES);
        let end = with_trailer.and_then(|bytes| offset.checked_add(u64::try_from(bytes).ok()?));
        let (Some(with_trailer), true) = (with_trailer, end.is_some_and(|end| end <= self.offset)) else {
            return Ok(Err("is past the file's end"));
        };
        let mut block = vec![0; with_trailer];
        file.read_exact_at(&mut block, offset)?;
        let trailer = block.split_off(bytes);
        let [compression, stored @ ..] = trailer.as_slice() else { return Ok(Err("has no trailer")) };
        let stored = stored.try_into().map_or(0, u32::from_le_bytes);
        let computed = checksum(&block, *compression).wrapping_add(modifier(self.base, offset));
        Ok(if computed == stored { Ok(block) } else { Err("has a wrong checksum") })
    }
}

/// Of a block and the byte after it.
fn checksum(block: &[u8], last: u8) -> u32 {
    low(XxHash3_64::oneshot(block)) ^ u32::from(last).wrapping_mul(LAST_BYTE_PRIME)
}

/// So that a block at another place, or of another file, has another checksum.
fn modifier(base: u32, offset: u64) -> u32 {
    if base == 0 { 0 } else { base ^ low(offset).wrapping_add(low(offset >> 32)) }
}

#[allow(clippy::cast_possible_truncation)]
fn low(word: u64) -> u32 {
    word as u32
}

/// The names and places in a metaindex. `None`: it is none.
fn entries(block: &[u8]) -> Option<Vec<(String, Handle)>> {
    let (_, restarts) = block.split_last_chunk::<4>()?;
    let restarts = usize::try_from(u32::from_le_bytes(*restarts)).ok()?;
    let mut rest = block.get(..block.len().checked_sub(restarts.checked_add(1)?.checked_mul(4)?)?)?;
    let (mut entries, mut name) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let (shared, own, bytes) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
        if shared > name.len() {
            return None;
        }
        name.truncate(shared);
        let (key, more) = rest.split_at_checked(own)?;
        name.extend_from_slice(key);
        let (mut value, more) = more.split_at_checked(bytes)?;
        rest = more;
        entries.push((String::from_utf8_lossy(&name).into_owned(), (number(&mut value)? as u64, number(&mut value)?)));
    }
    Some(entries)
}

/// A number of seven bits a byte.
fn number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return usize::try_from(number).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage_of(bytes: &[u8]) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        damage(file.path()).unwrap()
    }

    fn file(version: u32, magic: u64) -> Vec<u8> {
        let mut footer = vec![0; FOOTER_BYTES];
        footer[0] = XXH3;
        footer[41..45].copy_from_slice(&version.to_le_bytes());
        footer[45..].copy_from_slice(&magic.to_le_bytes());
        footer
    }

    #[test]
    fn only_files_of_a_known_format_are_called_damaged() {
        assert_eq!(damage_of(&file(FORMAT_VERSION + 1, MAGIC)), None);
        assert!(damage_of(&file(FORMAT_VERSION, MAGIC)).is_some_and(|why| why.contains("footer")));
        assert!(damage_of(&file(FORMAT_VERSION, MAGIC ^ 1)).is_some());
        assert!(damage_of(&[]).is_some());
    }
}
