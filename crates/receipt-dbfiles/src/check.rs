//! The files of a database in a directory.

use std::{
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use crate::{
    error::FileError,
    records::{Finding, Walked, walk},
};

/// Checks what RocksDB reads when it opens the database in a directory: CURRENT, the MANIFEST that it names, and every WAL
/// file. An end that a crash has cut short is no damage. A directory without a database passes.
///
/// # Errors
/// The first file that is damaged or cannot be read.
pub fn check_before_open(dir: &Path) -> Result<(), FileError> {
    check(dir, |walked| walked.damage)
}

/// As [`check_before_open`], of a database that was closed in order: an end that is cut short is damage too.
///
/// # Errors
/// The first file that is damaged or cannot be read.
pub fn check_closed(dir: &Path) -> Result<(), FileError> {
    check(dir, |walked| walked.damage.or(walked.tolerated))
}

/// As [`check_before_open`], without the WAL.
///
/// # Errors
/// The first file that is damaged or cannot be read.
pub fn check_manifest(dir: &Path) -> Result<(), FileError> {
    match manifest(dir, &wal_files(dir)?)? {
        Some(manifest) => check_file(&manifest, |walked| walked.damage),
        None => Ok(()),
    }
}

/// The WAL files of the database in a directory, oldest first.
///
/// # Errors
/// If the directory cannot be read.
pub fn wal_files(dir: &Path) -> Result<Vec<PathBuf>, FileError> {
    let unreadable = |source| FileError::Unreadable { file: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let (Some(number), true) = (number, has_extension(&path, "log")) {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

fn check(dir: &Path, wrong: impl Fn(Walked) -> Option<Finding>) -> Result<(), FileError> {
    if !dir.is_dir() {
        return Ok(());
    }
    let wals = wal_files(dir)?;
    if let Some(manifest) = manifest(dir, &wals)? {
        check_file(&manifest, &wrong)?;
    }
    for wal in wals {
        match check_file(&wal, &wrong) {
            // Of a database that is in use, one that was not needed any more.
            Err(FileError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            checked => checked?,
        }
    }
    Ok(())
}

/// The MANIFEST that CURRENT names. `None`: there is no database.
fn manifest(dir: &Path, wals: &[PathBuf]) -> Result<Option<PathBuf>, FileError> {
    let current = dir.join("CURRENT");
    let damaged = |at: usize, what: String| FileError::Damaged { file: current.clone(), at: at as u64, what };
    let bytes = match fs::read(&current) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            // RocksDB would begin a new database and delete the tables of the old one.
            let has_data = wals.iter().any(|wal| fs::metadata(wal).is_ok_and(|wal| wal.len() > 0)) || has_tables(dir);
            return if has_data { Err(damaged(0, "it is missing beside the data".to_owned())) } else { Ok(None) };
        }
        Err(source) => return Err(FileError::Unreadable { file: current, source }),
    };
    let prefix = b"MANIFEST-";
    let wrong = bytes.iter().enumerate().position(|(at, byte)| match prefix.get(at) {
        Some(expected) => byte != expected,
        None if at + 1 == bytes.len() => *byte != b'\n',
        None => !byte.is_ascii_digit(),
    });
    match (wrong, std::str::from_utf8(&bytes)) {
        (None, Ok(name)) if bytes.len() > prefix.len() + 1 => {
            let manifest = dir.join(name.trim_end());
            if manifest.is_file() {
                return Ok(Some(manifest));
            }
            Err(damaged(prefix.len(), format!("it names {}, and there is no such file", name.trim_end())))
        }
        (wrong, _) => Err(damaged(wrong.unwrap_or(bytes.len()), "it does not name a MANIFEST".to_owned())),
    }
}

fn has_tables(dir: &Path) -> bool {
    fs::read_dir(dir).into_iter().flatten().flatten().any(|file| has_extension(&file.path(), "sst"))
}

fn has_extension(path: &Path, expected: &str) -> bool {
    path.extension().is_some_and(|extension| extension == expected)
}

fn check_file(file: &Path, wrong: impl Fn(Walked) -> Option<Finding>) -> Result<(), FileError> {
    match wrong(walk_file(file)?) {
        None => Ok(()),
        Some(found) => Err(FileError::Damaged { file: file.to_owned(), at: found.at, what: found.what }),
    }
}

fn walk_file(file: &Path) -> Result<Walked, FileError> {
    let walked = File::open(file).and_then(|opened| walk(BufReader::new(opened)));
    walked.map_err(|source| FileError::Unreadable { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap());
        dir
    }

    fn wrong(written: &[(&str, &[u8])]) -> Option<(String, String)> {
        let error = check_before_open(files(written).path()).err()?;
        Some((error.file().file_name()?.to_str()?.to_owned(), error.why()))
    }

    #[test]
    fn a_directory_without_a_database_passes() {
        assert_eq!(wrong(&[]), None);
        assert_eq!(wrong(&[("LOCK", b""), ("MANIFEST-000001", b""), ("000002.log", b"")]), None);
        assert!(check_before_open(Path::new("/nowhere")).is_ok());
    }

    #[test]
    fn data_without_current_is_damage() {
        for data in ["000004.log", "000005.sst"] {
            let (file, why) = wrong(&[(data, b"data")]).unwrap();
            assert_eq!((file.as_str(), why.as_str()), ("CURRENT", "at byte 0, it is missing beside the data"));
        }
    }

    #[test]
    fn current_names_a_manifest_that_is_there() {
        let manifest: (&str, &[u8]) = ("MANIFEST-000005", b"");
        assert_eq!(wrong(&[manifest, ("CURRENT", b"MANIFEST-000005\n")]), None);
        for (current, expected) in [
            (&b"MANIFEST-000004\n"[..], "at byte 9, it names MANIFEST-000004, and there is no such file"),
            (b"MANIFEST-00000u\n", "at byte 14, it does not name a MANIFEST"),
            (b"MANIFEST-000005\x0b", "at byte 15, it does not name a MANIFEST"),
            (b"MANIFEST\xad000005\n", "at byte 8, it does not name a MANIFEST"),
            (b"MANIFEST-000005", "at byte 14, it does not name a MANIFEST"),
            (b"MANIFEST-\n", "at byte 10, it does not name a MANIFEST"),
            (b"", "at byte 0, it does not name a MANIFEST"),
        ] {
            let (file, why) = wrong(&[manifest, ("CURRENT", current)]).unwrap();
            assert_eq!((file.as_str(), why.as_str()), ("CURRENT", expected));
        }
    }

    #[test]
    fn an_end_that_is_cut_short_is_damage_of_a_closed_database_only() {
        let dir = files(&[("MANIFEST-000005", b"cut"), ("CURRENT", b"MANIFEST-000005\n")]);
        assert!(check_before_open(dir.path()).is_ok());
        let error = check_closed(dir.path()).unwrap_err();
        assert!(error.to_string().ends_with("at byte 0, the file's end cuts a record's head short"), "{error}");
    }

    #[test]
    fn wal_files_come_by_their_numbers() {
        let dir =
            files(&[("1000000.log", b""), ("000012.log", b""), ("LOG", b""), ("000011.sst", b""), ("x.log", b"")]);
        let names: Vec<_> =
            wal_files(dir.path()).unwrap().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["000012.log", "1000000.log"]);
    }
}
