//! A directory of files becomes a snapshot.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    Facts, FileEntry, Manifest, Place, Snapshot, SnapshotError,
    error::{at, go_on},
    manifest::{MANIFEST, is_plain},
    objects::CHUNK_BYTES,
};

/// A snapshot that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Which one.
    pub snapshot: Snapshot,
    /// It was there before: nothing has changed.
    pub was_there: bool,
    /// How many files it has.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that were put there now. The others had been, by an attempt that was interrupted.
    pub put_bytes: u64,
}

/// Makes a snapshot of a directory's files, which nobody changes meanwhile. `told` is told of bytes as they are dealt with,
/// and says whether to go on. Interrupted, the same call goes on. Of two that make the same one, one does, and the other
/// is answered that it is there. Where the snapshot of that name is damaged, it is made again.
///
/// # Errors
/// [`SnapshotError::Stopped`] as `told` said; [`SnapshotError::Refused`] where the one that is there is of a newer format; else if the directory can't be read, or the place fails.
pub fn create(
    place: &Place,
    facts: &Facts,
    dir: &Path,
    told: &mut dyn FnMut(u64) -> bool,
) -> Result<Created, SnapshotError> {
    let snapshot = Snapshot { log_id: facts.log_id.clone(), unit: facts.unit, name: facts.name() };
    if place.get(&snapshot.key(MANIFEST))?.is_some() {
        match there(place, &snapshot) {
            // Only a manifest that can be read stands in the way of the same snapshot.
            Err(SnapshotError::Corrupt { .. }) => place.delete(&snapshot.key(MANIFEST))?,
            answer => return answer,
        }
    }
    let files = entries(dir, told)?;
    let before = place.list(&snapshot.prefix())?;
    let before: BTreeMap<_, _> = before.into_iter().map(|object| (object.key, object.bytes)).collect();
    let mut put_bytes = 0;
    for file in &files {
        let key = snapshot.key(&file.object());
        if before.get(&key) == Some(&file.bytes) && is_right(place, &key, &file.blake3)? {
            go_on(told(file.bytes))?;
            continue;
        }
        place.put(&key, &dir.join(&file.name), told)?;
        put_bytes += file.bytes;
    }
    let created_at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let created_at_ms = u64::try_from(created_at_ms).unwrap_or(u64::MAX);
    let manifest = Manifest { facts: facts.clone(), created_at_ms, files };
    if !place.create(&snapshot.key(MANIFEST), &manifest.encode()?)? {
        return there(place, &snapshot);
    }
    let (files, bytes) = (manifest.files.len(), manifest.bytes());
    Ok(Created { snapshot, was_there: false, files, bytes, put_bytes })
}

fn there(place: &Place, snapshot: &Snapshot) -> Result<Created, SnapshotError> {
    let manifest = snapshot.manifest(place)?;
    let (files, bytes) = (manifest.files.len(), manifest.bytes());
    let snapshot = snapshot.clone();
    Ok(Created { snapshot, was_there: true, files, bytes, put_bytes: 0 })
}

/// Whether an object of the right name and length has the right content. An object store has checked that when it took
/// it, and shows nothing that is not whole.
fn is_right(place: &Place, key: &str, blake3: &str) -> Result<bool, SnapshotError> {
    if !place.is_folder() {
        return Ok(true);
    }
    let mut hasher = blake3::Hasher::new();
    place.read(key, &mut |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    Ok(hasher.finalize().to_hex().as_str() == blake3)
}

/// The files of a directory, with their hashes, by name.
fn entries(dir: &Path, told: &mut dyn FnMut(u64) -> bool) -> Result<Vec<FileEntry>, SnapshotError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let path = entry.map_err(at(dir))?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(is_chatter) {
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_plain(name));
        let Some(name) = name.filter(|_| path.is_file()).map(str::to_owned) else {
            return Err(SnapshotError::Invalid(format!("{} is no file of a store", path.display())));
        };
        let (bytes, blake3) = hash(&path, told)?;
        files.push(FileEntry { name, bytes, blake3 });
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// RocksDB's lock, and its own log lines.
fn is_chatter(name: &str) -> bool {
    name == "LOCK" || name == "LOG" || name.starts_with("LOG.old.")
}

/// Length and hash of a file. Hashing is quick, so that `told` is only asked whether to go on.
pub(crate) fn hash(path: &Path, told: &mut dyn FnMut(u64) -> bool) -> Result<(u64, String), SnapshotError> {
    let mut file = File::open(path).map_err(at(path))?;
    let (mut hasher, mut bytes, mut buffer) = (blake3::Hasher::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        let read = file.read(&mut buffer).map_err(at(path))?;
        if read == 0 {
            return Ok((bytes, hasher.finalize().to_hex().to_string()));
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
        go_on(told(0))?;
    }
}
