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

/// Deletes a unit's snapshots but for the newest `count`, at least one. A manifest goes first, so that what is there is
/// whole at any time; a deletion that is interrupted is ended by a later one.
///
/// # Errors
/// If the place fails.
pub fn keep(place: &Place, log_id: &str, unit: Unit, count: usize) -> Result<Kept, SnapshotError> {
    let mut by_snapshot: BTreeMap<Snapshot, Vec<(String, Object)>> = BTreeMap::new();
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
    let (deleted, kept) = complete.split_at(complete.len().saturating_sub(count.max(1)));
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
            Err(SnapshotError::Refused(_) | SnapshotError::Corrupt { .. }) => return Ok(0),
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
