//! A folder as a place: whatever is there under its name is whole, and on the disk.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    SnapshotError,
    error::{at, go_on},
    objects::{CHUNK_BYTES, Object},
};

/// What an unfinished file's name begins with. Such a file is no object.
const UNFINISHED: &str = ".unfinished-";

/// Names of this process's unfinished files.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    fn path(&self, key: &str) -> PathBuf {
        self.0.join(key)
    }

    /// Copies a file in, by another name until it is whole.
    pub(crate) fn put(&self, key: &str, file: &Path, told: &mut dyn FnMut(u64) -> bool) -> Result<(), SnapshotError> {
        let path = self.path(key);
        let mut from = File::open(file).map_err(at(file))?;
        let unfinished = self.unfinished(&path, |to| copy(&mut from, file, to, told))?;
        fs::rename(&unfinished, &path).map_err(at(&path))?;
        sync_parent(&path)
    }

    /// Makes a file, unless there is one of that name. Answers whether it was made.
    pub(crate) fn create(&self, key: &str, bytes: &[u8]) -> Result<bool, SnapshotError> {
        let path = self.path(key);
        let unfinished = self.unfinished(&path, |to| to.write_all(bytes).map_err(at(&path)))?;
        // Unlike a rename, a link takes nothing's place.
        let linked = fs::hard_link(&unfinished, &path);
        fs::remove_file(&unfinished).map_err(at(&unfinished))?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(at(&path)(error)),
            Ok(()) => sync_parent(&path).map(|()| true),
        }
    }

    /// Writes a file of no name that counts, and syncs it.
    fn unfinished(
        &self,
        path: &Path,
        write: impl FnOnce(&mut File) -> Result<(), SnapshotError>,
    ) -> Result<PathBuf, SnapshotError> {
        let dir = path.parent().unwrap_or(&self.0);
        create_durably(dir).map_err(at(dir))?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unfinished = dir.join(format!("{UNFINISHED}{}-{number}", std::process::id()));
        let mut file = File::create(&unfinished).map_err(at(&unfinished))?;
        let written = write(&mut file).and_then(|()| file.sync_all().map_err(at(&unfinished)));
        if written.is_err() {
            // What is left of it is deleted with the snapshot.
            let _ = fs::remove_file(&unfinished);
        }
        written.map(|()| unfinished)
    }

    /// Reads an object, chunk by chunk; `false` where there is none.
    pub(crate) fn read(
        &self,
        key: &str,
        each: &mut dyn FnMut(&[u8]) -> Result<(), SnapshotError>,
    ) -> Result<bool, SnapshotError> {
        let path = self.path(key);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(at(&path))?,
        };
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match file.read(&mut buffer).map_err(at(&path))? {
                0 => return Ok(true),
                read => each(&buffer[..read])?,
            }
        }
    }

    /// All objects below a prefix that is a folder; nothing where there is none.
    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<Object>, SnapshotError> {
        let mut found = Vec::new();
        let mut left = vec![prefix.to_owned()];
        while let Some(key) = left.pop() {
            let dir = self.path(&key);
            let entries = match fs::read_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(at(&dir))?,
            };
            for entry in entries {
                let entry = entry.map_err(at(&dir))?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let key = if key.is_empty() { name.clone() } else { format!("{key}/{name}") };
                let metadata = match entry.metadata() {
                    // It has gone since.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    read => read.map_err(at(&dir))?,
                };
                if metadata.is_dir() {
                    left.push(key);
                } else {
                    let modified = metadata.modified().map_err(at(&dir))?;
                    found.push(Object { key, bytes: metadata.len(), modified });
                }
            }
        }
        Ok(found)
    }

    /// Deletes an object, if there is one, and its folders as far as they are empty then.
    pub(crate) fn delete(&self, key: &str) -> Result<(), SnapshotError> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            // Its folder may be gone too, with what else was deleted of the snapshot.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(&path)(error)),
            Ok(()) => {}
        }
        sync_parent(&path)?;
        for dir in path.ancestors().skip(1).take_while(|dir| *dir != self.0) {
            // Not empty: then neither are those above it.
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn copy(from: &mut File, file: &Path, to: &mut File, told: &mut dyn FnMut(u64) -> bool) -> Result<(), SnapshotError> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut buffer).map_err(at(file))?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).map_err(at(file))?;
        go_on(told(read as u64))?;
    }
}

/// Makes a directory and those above it, each synced into its parent.
pub(crate) fn create_durably(dir: &Path) -> io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_durably(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

fn sync_parent(path: &Path) -> Result<(), SnapshotError> {
    let dir = path.parent().unwrap_or(path);
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}
