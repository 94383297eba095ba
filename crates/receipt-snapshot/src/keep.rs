//! Old snapshots are deleted, and what is left of unfinished ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use crate::{Place, Snapshot, SnapshotError, Unit, manifest::MANIFEST, objects::Object};

/// After so long without a new file, whoever was making a snapshot has given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What was deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Snapshots, the oldest ones of their unit.
    pub deleted: Vec<Snapshot>,
    /// Bytes of unfinished snapshots that nobody goes on with, and of files that no manifest names.
    pub leftover_bytes: u64,
}

/// Deletes the snapshots of a unit that are older than its newest `count` whole ones, at least one. A snapshot is whole if
/// its manifest can be read and each of its files is there with its length. One that is not whole does not count, and is
/// deleted by its age only, so that a damaged snapshot never takes the place of a whole one. Where no snapshot is whole,
/// none is deleted. The manifest is deleted first, so that a snapshot is complete at any time; a deletion that is
/// interrupted is finished by a later call.
///
/// # Errors
/// If the place fails.
pub fn keep(place: &Place, log_id: &str, unit: Unit, count: usize) -> Result<Kept, SnapshotError> {
    let mut by_snapshot = Objects::new();
    for object in place.list(&format!("{log_id}/{unit}"))? {
        if let Some((snapshot, name)) = Snapshot::of(&object.key) {
            let name = name.to_owned();
            by_snapshot.entry(snapshot).or_default().push((name, object));
        }
    }
    let complete: Vec<_> = by_snapshot
        .iter()
        .filter(|(_, objects)| objects.iter().any(|(name, _)| name == MANIFEST))
        .map(|(snapshot, _)| snapshot.clone())
        .collect();
    let (deleted, kept) = complete.split_at(first_kept(place, &complete, &by_snapshot, count.max(1))?);
    let mut done = Kept::default();
    for (snapshot, objects) in &by_snapshot {
        if deleted.contains(snapshot) {
            place.delete(&snapshot.key(MANIFEST))?;
            for (_, object) in objects {
                place.delete(&object.key)?;
            }
            done.deleted.push(snapshot.clone());
        } else {
            done.leftover_bytes += leftovers(place, snapshot, objects, kept.contains(snapshot))?;
        }
    }
    Ok(done)
}

type Objects = BTreeMap<Snapshot, Vec<(String, Object)>>;

/// The index of the oldest snapshot that stays, of those with a manifest in the order of their names.
fn first_kept(
    place: &Place,
    complete: &[Snapshot],
    by_snapshot: &Objects,
    count: usize,
) -> Result<usize, SnapshotError> {
    let mut whole = 0;
    for (at, snapshot) in complete.iter().enumerate().rev() {
        let objects = by_snapshot.get(snapshot).map(Vec::as_slice).unwrap_or_default();
        whole += usize::from(is_whole(place, snapshot, objects)?);
        if whole == count {
            return Ok(at);
        }
    }
    Ok(0)
}

/// Looks at names and lengths only: reading every byte is what `verify` is for.
fn is_whole(place: &Place, snapshot: &Snapshot, objects: &[(String, Object)]) -> Result<bool, SnapshotError> {
    let manifest = match snapshot.manifest(place) {
        Err(error) if error.is_of_one_snapshot() => return Ok(false),
        read => read?,
    };
    let is_there = |file: &crate::FileEntry| {
        objects.iter().any(|(name, object)| *name == file.object() && object.bytes == file.bytes)
    };
    Ok(manifest.files.iter().all(is_there))
}

/// Deletes what belongs to no snapshot, if nobody has come by for long.
fn leftovers(
    place: &Place,
    snapshot: &Snapshot,
    objects: &[(String, Object)],
    is_complete: bool,
) -> Result<u64, SnapshotError> {
    let newest = objects.iter().map(|(_, object)| object.modified).max();
    let age = newest.and_then(|newest| SystemTime::now().duration_since(newest).ok());
    if age.is_none_or(|age| age < GIVEN_UP_AFTER) {
        return Ok(0);
    }
    let mut named = BTreeSet::from([MANIFEST.to_owned()]);
    if is_complete {
        let manifest = match snapshot.manifest(place) {
            // Which files are its, only a newer version, or nobody, can say.
            Err(error) if error.is_of_one_snapshot() => return Ok(0),
            read => read?,
        };
        named.extend(manifest.files.iter().map(crate::FileEntry::object));
    }
    let mut bytes = 0;
    for (_, object) in objects.iter().filter(|(name, _)| !named.contains(name)) {
        place.delete(&object.key)?;
        bytes += object.bytes;
    }
    Ok(bytes)
}
