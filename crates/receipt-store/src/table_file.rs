//! The blocks of a table file that RocksDB needs for no answer: its bloom filter and its properties. RocksDB goes on
//! without a filter whose checksum is wrong, and says nothing; here it is found. All others it checks itself when they are
//! read.
//!
//! The format (RocksDB's `table/format.cc`, version 6): blocks, each with a byte for its compression and a checksum over
//! both; the metaindex, which says where those blocks are; a footer, which says where the metaindex is.

use std::{fs, io, path::Path};

use twox_hash::XxHash3_64;

const FOOTER_BYTES: usize = 53;
const TRAILER_BYTES: usize = 5;
const MAGIC: u64 = 0x88e2_41b7_85f4_cff7;
const FORMAT_VERSION: u32 = 6;
/// The only checksum that our files have.
const XXH3: u8 = 4;
const LAST_BYTE_PRIME: u32 = 0x6b90_83d9;

/// What is wrong with a table file's own blocks; `None`: nothing, or the file is of a format that is not known here.
pub(crate) fn damage(path: &Path) -> io::Result<Option<String>> {
    Ok(damage_of(&fs::read(path)?))
}

fn damage_of(file: &[u8]) -> Option<String> {
    if is_of_another_format(file) {
        return None;
    }
    let Some(footer) = Footer::of(file) else { return Some("its footer is damaged".to_owned()) };
    let metaindex = match footer.block(file, footer.metaindex) {
        Ok(metaindex) => metaindex,
        Err(why) => return Some(format!("its metaindex {why}")),
    };
    let Some(entries) = entries(metaindex) else { return Some("its metaindex is damaged".to_owned()) };
    entries.into_iter().find_map(|(name, handle)| {
        let why = footer.block(file, handle).err()?;
        Some(format!("its block {name} at {} {why}", handle.0))
    })
}

/// Whether a file says that it is of a format that is not known here, as of another version of RocksDB or with other
/// options. Where a flipped bit says so, RocksDB does not open the file: it checks the footer's own checksum.
fn is_of_another_format(file: &[u8]) -> bool {
    let footer = file.len().checked_sub(FOOTER_BYTES).and_then(|offset| file.get(offset..));
    let Some((first, rest)) = footer.and_then(|footer| footer.split_first()) else { return false };
    let Some((version, magic)) = rest.get(40..).and_then(|end| end.split_at_checked(4)) else { return false };
    magic == MAGIC.to_le_bytes() && (version != FORMAT_VERSION.to_le_bytes() || *first != XXH3)
}

/// Offset and bytes of a block, without its trailer.
type Handle = (usize, usize);

struct Footer {
    /// What each block's checksum is mixed with, and its offset.
    base: u32,
    metaindex: Handle,
}

impl Footer {
    fn of(file: &[u8]) -> Option<Self> {
        let offset = file.len().checked_sub(FOOTER_BYTES)?;
        let footer: &[u8; FOOTER_BYTES] = file.get(offset..)?.try_into().ok()?;
        let word = |at: usize| Some(u32::from_le_bytes(footer.get(at..at + 4)?.try_into().ok()?));
        let magic = u64::from_le_bytes(footer.get(45..)?.try_into().ok()?);
        if (magic, word(41)?, footer[0]) != (MAGIC, FORMAT_VERSION, XXH3) {
            return None;
        }
        let (stored, base, metaindex_bytes) = (word(5)?, word(9)?, usize::try_from(word(13)?).ok()?);
        let mut without = *footer;
        without.get_mut(5..9)?.fill(0);
        let (last, rest) = without.split_last()?;
        if checksum(rest, *last).wrapping_add(modifier(base, offset)) != stored {
            return None;
        }
        let metaindex = offset.checked_sub(TRAILER_BYTES)?.checked_sub(metaindex_bytes)?;
        Some(Self { base, metaindex: (metaindex, metaindex_bytes) })
    }

    /// A block's bytes, if its checksum is right.
    fn block<'a>(&self, file: &'a [u8], (offset, bytes): Handle) -> Result<&'a [u8], &'static str> {
        let with_trailer = bytes.checked_add(TRAILER_BYTES).and_then(|bytes| offset.checked_add(bytes));
        let block = with_trailer.and_then(|end| file.get(offset..end)).ok_or("is past the file's end")?;
        let (block, trailer) = block.split_at(bytes);
        let [compression, stored @ ..] = trailer else { return Err("has no trailer") };
        let stored = stored.try_into().map_or(0, u32::from_le_bytes);
        let computed = checksum(block, *compression).wrapping_add(modifier(self.base, offset));
        if computed == stored { Ok(block) } else { Err("has a wrong checksum") }
    }
}

/// Of a block and the byte after it.
fn checksum(block: &[u8], last: u8) -> u32 {
    low(XxHash3_64::oneshot(block)) ^ u32::from(last).wrapping_mul(LAST_BYTE_PRIME)
}

/// So that a block at another place, or of another file, has another checksum.
fn modifier(base: u32, offset: usize) -> u32 {
    let offset = offset as u64;
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
        entries.push((String::from_utf8_lossy(&name).into_owned(), (number(&mut value)?, number(&mut value)?)));
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
