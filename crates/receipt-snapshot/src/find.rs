//! Which snapshots there are.

use std::fmt;

use crate::{Manifest, Place, SnapshotError, Unit, manifest::MANIFEST};

/// A complete snapshot, by where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Snapshot {
    /// The log's identity.
    pub log_id: String,
    /// Of what.
    pub unit: Unit,
    /// How far it is: later ones of a unit have greater names.
    pub name: String,
}

impl Snapshot {
    /// What its objects' keys begin with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}/{}/{}", self.log_id, self.unit, self.name)
    }

    pub(crate) fn key(&self, object: &str) -> String {
        format!("{}/{object}", self.prefix())
    }

    /// The snapshot that an object belongs to, and the object's name in it.
    pub(crate) fn of(key: &str) -> Option<(Self, &str)> {
        let mut parts = key.split('/');
        let mut next = || parts.next();
        let (log_id, unit, name, object) = (next()?, Unit::parse(next()?)?, next()?, next()?);
        if next().is_some() {
            return None;
        }
        Some((Self { log_id: log_id.to_owned(), unit, name: name.to_owned() }, object))
    }

    /// Reads its manifest.
    ///
    /// # Errors
    /// [`SnapshotError::Refused`] where there is none, or it is of a newer format; [`SnapshotError::Corrupt`] where it is
    /// none, or of something else than its place says.
    pub fn manifest(&self, place: &Place) -> Result<Manifest, SnapshotError> {
        let whole = format!("{place}/{self}");
        let Some(bytes) = place.get(&self.key(MANIFEST))? else {
            return Err(SnapshotError::Refused(format!(
                "there is no snapshot {whole}: `receiptctl snapshot list` names those that are there"
            )));
        };
        let manifest = Manifest::decode(&bytes, &whole)?;
        let facts = &manifest.facts;
        if (&facts.log_id, facts.unit, facts.name()) != (&self.log_id, self.unit, self.name.clone()) {
            let what = format!("{MANIFEST} is that of {}/{}/{}", facts.log_id, facts.unit, facts.name());
            return Err(SnapshotError::Corrupt { snapshot: whole, what });
        }
        Ok(manifest)
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix())
    }
}

/// All complete snapshots of a place, of one log or of all, in the order of their logs, units and names.
///
/// # Errors
/// If the place can't be listed.
pub fn list(place: &Place, log_id: Option<&str>) -> Result<Vec<Snapshot>, SnapshotError> {
    let objects = place.list(log_id.unwrap_or_default())?;
    let complete = objects.iter().filter_map(|object| match Snapshot::of(&object.key) {
        Some((snapshot, MANIFEST)) => Some(snapshot),
        _ => None,
    });
    let mut snapshots: Vec<_> = complete.collect();
    snapshots.sort();
    Ok(snapshots)
}

/// When the newest snapshot of a log was created that can be read, in milliseconds since 1970; `None` where there is none.
/// Reads one manifest of each unit.
///
/// # Errors
/// If the place can't be read.
pub fn newest_created_ms(place: &Place, log_id: &str) -> Result<Option<u64>, SnapshotError> {
    let (mut newest_ms, mut seen) = (None, None);
    for snapshot in list(place, Some(log_id))?.into_iter().rev() {
        if seen == Some(snapshot.unit) {
            continue;
        }
        match snapshot.manifest(place) {
            Err(error) if error.is_of_one_snapshot() => {}
            manifest => {
                newest_ms = newest_ms.max(Some(manifest?.created_at_ms));
                seen = Some(snapshot.unit);
            }
        }
    }
    Ok(newest_ms)
}
