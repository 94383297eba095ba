//! Directories of files.

use std::{collections::BTreeMap, fs, path::Path};

/// Copies a directory with all that is in it into another one, which is made where there is none.
///
/// # Panics
/// If something cannot be copied.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(|file| file.unwrap().path()) {
        let to = to.join(file.file_name().unwrap());
        if file.is_dir() {
            copy(&file, &to);
        } else {
            fs::copy(&file, to).unwrap();
        }
    }
}

/// The files of a directory by their names, with what is in them.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(file).unwrap())).collect()
}

/// Flips one bit of a file.
///
/// # Panics
/// If it is shorter.
pub fn flip(file: &Path, at: usize, bit: u8) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1 << bit;
    fs::write(file, bytes).unwrap();
}
