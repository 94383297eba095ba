//! A snapshot becomes a directory of files again, or is only looked through.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use crate::{
    FileEntry, Manifest, Place, Snapshot, SnapshotError,
    create::hash,
    error::{at, go_on},
    folder::create_durably,
};

/// A snapshot that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its manifest.
    pub manifest: Manifest,
    /// Bytes that were fetched now. The others had been, by an attempt that was interrupted.
    pub fetched_bytes: u64,
}

/// Writes a snapshot's files into a directory, which has nothing else afterwards, each one checked against its hash, and
/// syncs them. `told` is told of bytes as they are dealt with, and says whether to go on. Interrupted, the same call goes
/// on: files that are right already stay.
///
/// # Errors
/// [`SnapshotError::Corrupt`] where a file is missing or is another; [`SnapshotError::Stopped`] as `told` said; those of
/// [`Snapshot::manifest`]; else if the place or the directory fails.
pub fn restore(
    place: &Place,
    snapshot: &Snapshot,
    into: &Path,
    told: &mut dyn FnMut(u64) -> bool,
) -> Result<Restored, SnapshotError> {
    let manifest = snapshot.manifest(place)?;
    create_durably(into).map_err(at(into))?;
    let names: BTreeSet<_> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    for entry in fs::read_dir(into).map_err(at(into))? {
        let path = entry.map_err(at(into))?.path();
        if path.file_name().and_then(|name| name.to_str()).is_none_or(|name| !names.contains(name)) {
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    let mut fetched_bytes = 0;
    for file in &manifest.files {
        let path = into.join(&file.name);
        if is_there(&path, file, told)? {
            go_on(told(file.bytes))?;
            continue;
        }
        let mut to = File::create(&path).map_err(at(&path))?;
        fetch(place, snapshot, file, &mut |chunk| {
            to.write_all(chunk).map_err(at(&path))?;
            go_on(told(chunk.len() as u64))
        })?;
        to.sync_all().map_err(at(&path))?;
        fetched_bytes += file.bytes;
    }
    File::open(into).and_then(|dir| dir.sync_all()).map_err(at(into))?;
    Ok(Restored { manifest, fetched_bytes })
}

fn is_there(path: &Path, file: &FileEntry, told: &mut dyn FnMut(u64) -> bool) -> Result<bool, SnapshotError> {
    if !path.metadata().is_ok_and(|metadata| metadata.len() == file.bytes) {
        return Ok(false);
    }
    Ok(hash(path, told)?.1 == file.blake3)
}

/// Reads all of a snapshot and holds it against its manifest.
///
/// # Errors
/// As [`restore`].
pub fn verify(
    place: &Place,
    snapshot: &Snapshot,
    told: &mut dyn FnMut(u64) -> bool,
) -> Result<Manifest, SnapshotError> {
    let manifest = snapshot.manifest(place)?;
    for file in &manifest.files {
        fetch(place, snapshot, file, &mut |chunk| go_on(told(chunk.len() as u64)))?;
    }
    Ok(manifest)
}

/// Reads a file of a snapshot, chunk by chunk. An error after the last chunk says that it was another one.
fn fetch(
    place: &Place,
    snapshot: &Snapshot,
    file: &FileEntry,
    each: &mut dyn FnMut(&[u8]) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    let corrupt = |what| Err(SnapshotError::Corrupt { snapshot: format!("{place}/{snapshot}"), what });
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0_u64);
    let is_there = place.read(&snapshot.key(&file.object()), &mut |chunk| {
        hasher.update(chunk);
        bytes += chunk.len() as u64;
        each(chunk)
    })?;
    if !is_there {
        return corrupt(format!("its file {} is missing", file.object()));
    }
    let found = hasher.finalize().to_hex();
    if (bytes, found.as_str()) != (file.bytes, file.blake3.as_str()) {
        return corrupt(format!(
            "its file {} should have {} bytes and the hash {}, and has {bytes} bytes and the hash {found}",
            file.object(),
            file.bytes,
            file.blake3,
        ));
    }
    Ok(())
}
