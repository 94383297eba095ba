//! The end of a MANIFEST. RocksDB checks each of its records, but takes a last one that goes past the file's end for one
//! that was being written, and leaves it out, and says nothing.
//!
//! The format (RocksDB's `db/log_format.h`): blocks of 32 KiB, in them records, each with a checksum of four bytes, its
//! length of two, and a type; no record goes past its block.

use std::{fs, io, path::Path};

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;

/// What is wrong with the end of a directory's MANIFEST; its name.
pub(crate) fn damage(dir: &Path) -> io::Result<Option<(String, String)>> {
    let name = fs::read_to_string(dir.join("CURRENT"))?.trim_end().to_owned();
    let why = damage_of(&fs::read(dir.join(&name))?);
    Ok(why.map(|why| (name, why.to_owned())))
}

fn damage_of(file: &[u8]) -> Option<&'static str> {
    let mut at = 0;
    while at < file.len() {
        let left_in_block = BLOCK_BYTES - at % BLOCK_BYTES;
        if left_in_block < HEADER_BYTES {
            at += left_in_block;
            continue;
        }
        let Some([_, _, _, _, low, high, kind]) = file.get(at..at + HEADER_BYTES) else {
            return Some("its end is cut off");
        };
        let bytes = usize::from(u16::from_le_bytes([*low, *high]));
        // Whole, first, middle, last.
        if !(1..=4).contains(kind) || HEADER_BYTES + bytes > left_in_block {
            return Some("a record's head is damaged");
        }
        at += HEADER_BYTES + bytes;
    }
    (at != file.len()).then_some("its last record goes past its end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_end_where_the_file_does() {
        let record = |bytes: u8| [&[0, 0, 0, 0, bytes, 0, 1][..], &vec![7; bytes.into()]].concat();
        let file = [record(3), record(0), record(5)].concat();
        assert_eq!(damage_of(&file), None);
        assert_eq!(damage_of(&file[..file.len() - 1]), Some("its last record goes past its end"));
        assert_eq!(damage_of(&file[..14]), Some("its end is cut off"));
        let mut longer = file.clone();
        longer[4] = 2;
        assert!(damage_of(&longer).is_some());
    }
}
