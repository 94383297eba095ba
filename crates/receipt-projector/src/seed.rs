//! A fold aside begins with a snapshot, and not with the log's beginning.

use std::{fs, path::Path};

use receipt_codec::row::identity::Identity;
use receipt_log::{Log, LogError, Topic};
use receipt_snapshot::{Bounds, Manifest, Misfit, Place, Snapshot, SnapshotError, Unit, list};
use receipt_store::{Resources, Store};

use crate::{error::ProjectorError, facts, partition::Offsets, replay::check_follows};

/// Puts the newest snapshot of a partition that is no further than `to` into the directory where the partition is folded
/// aside, unless an interrupted fold is there, which can go on. `to` is `None`: however far it is. `told` is told of bytes
/// as they are fetched, and says whether to go on. Answers up to where it is folded.
///
/// # Errors
/// [`ProjectorError::Stopped`] as `told` said; else if there is no snapshot that fits, or it can't be fetched.
pub fn seed(
    log: &Log,
    resources: &Resources,
    place: &Place,
    identity: &Identity,
    to: Option<Offsets>,
    dir: &Path,
    told: &mut dyn FnMut(u64) -> bool,
) -> Result<Offsets, ProjectorError> {
    let aside = dir.join(identity.partition.to_string());
    if let Some(at) = there(log, resources, identity, to, &aside) {
        return Ok(at);
    }
    let mut lost = Vec::new();
    loop {
        let (snapshot, manifest) = newest(log, place, identity.partition, to, &lost)?;
        fetch(place, identity, (&snapshot, &manifest), (dir, &aside), told)?;
        let follows = Store::open_read_only(&aside, resources, identity)
            .map_err(ProjectorError::from)
            .and_then(|store| check_follows(log, identity.partition, &store));
        // It has records that the log has lost since: an older one may not.
        if let Err(ProjectorError::Log(why @ LogError::Truncated { .. })) = follows {
            lost.push((snapshot.name, why));
            continue;
        }
        return there(log, resources, identity, to, &aside).ok_or_else(|| {
            let what = "it does not have the store that its manifest names".to_owned();
            SnapshotError::Corrupt { snapshot: format!("{place}/{snapshot}"), what }.into()
        });
    }
}

/// Fetches a snapshot into the directory where its partition is folded aside.
fn fetch(
    place: &Place,
    identity: &Identity,
    (snapshot, manifest): (&Snapshot, &Manifest),
    (dir, aside): (&Path, &Path),
    told: &mut dyn FnMut(u64) -> bool,
) -> Result<(), ProjectorError> {
    if manifest.facts.settings != Some(identity.settings) {
        return Err(SnapshotError::Refused(format!(
            "the snapshot {place}/{snapshot} was folded with other settings: with those it cannot be gone on from; fold \
             the log from its beginning"
        ))
        .into());
    }
    let fetched = dir.join(format!("{}.fetched", identity.partition));
    receipt_snapshot::restore(place, snapshot, &fetched, told)?;
    let moved = || {
        if aside.exists() {
            fs::remove_dir_all(aside)?;
        }
        fs::rename(&fetched, aside)
    };
    moved().map_err(|source| ProjectorError::Directory { dir: aside.to_owned(), source })
}

/// The newest snapshot of a partition that the log goes on from, no further than `to`, and none of those that are lost.
fn newest(
    log: &Log,
    place: &Place,
    partition: u32,
    to: Option<Offsets>,
    lost: &[(String, LogError)],
) -> Result<(Snapshot, Manifest), ProjectorError> {
    let limit = |topic: Topic, bounds: Bounds| match (to, topic) {
        (Some(to), Topic::Conversations) => Bounds { end: bounds.end.min(to.conversations), ..bounds },
        (Some(to), _) => Bounds { end: bounds.end.min(to.reads), ..bounds },
        (None, _) => bounds,
    };
    let unit = Unit::Receipts(partition);
    let mut why = None;
    let fits = |one: &Snapshot| one.unit == unit && lost.iter().all(|(name, _)| *name != one.name);
    for snapshot in list(place, Some(&log.id().to_string()))?.into_iter().rev().filter(fits) {
        let manifest = snapshot.manifest(place)?;
        match facts::fits_within(log, &manifest, &limit) {
            Ok(()) => return Ok((snapshot, manifest)),
            Err(misfit @ Misfit::Ahead(_)) => why = Some(misfit),
            Err(misfit) => return Err(SnapshotError::from(misfit).into()),
        }
    }
    let why = why.map(|misfit| misfit.to_string()).or_else(|| lost.last().map(|(_, why)| why.to_string()));
    let why = why.map_or_else(
        || format!("{place} has no snapshot of {unit} of {}", log.origin()),
        |why| format!("{why}; there is no older one in {place}"),
    );
    Err(SnapshotError::Refused(why).into())
}

/// Up to where an interrupted fold is, if the log has what comes next.
fn there(log: &Log, resources: &Resources, identity: &Identity, to: Option<Offsets>, aside: &Path) -> Option<Offsets> {
    let store = Store::open_read_only(aside, resources, identity).ok()?;
    let at = Offsets::of(store.durable());
    let start = |topic| log.start_offset(topic, identity.partition);
    let start = Offsets { conversations: start(Topic::Conversations), reads: start(Topic::Reads) };
    let fits = at.include(&start) && to.is_none_or(|to| to.include(&at));
    (fits && check_follows(log, identity.partition, &store).is_ok()).then_some(at)
}
