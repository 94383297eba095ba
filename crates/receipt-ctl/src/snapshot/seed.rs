//! A scratch store begins with a snapshot, and not with the log's beginning.

use std::path::Path;

use receipt_domain::settings::Settings;
use receipt_log::Log;
use receipt_projector::{Bootstrap, Offsets, ProjectorError, identity};
use receipt_snapshot::{Place, SnapshotError, list};
use tokio::runtime::Handle;

use super::Meter;
use crate::replay::Site;

/// As [`Bootstrap::newest`], of a stopped receiptd. Names the snapshots that are passed over.
pub(crate) fn seed(
    site: &Site,
    place: &Place,
    (partition, settings, to): (u32, Settings, Option<Offsets>),
    dir: &Path,
    meter: &mut Meter<'_>,
) -> Result<Offsets, ProjectorError> {
    let identity = identity(&site.log, partition, settings);
    let bootstrap = Bootstrap { log: &site.log, resources: &site.resources, place, dir };
    let begun = bootstrap.newest(&identity, to, &mut |bytes| {
        meter.grow(bytes);
        meter.told(bytes)
    })?;
    for why in begun.passed_over {
        meter.say(&format!("passed over: {why}"));
    }
    Ok(begun.at)
}

/// A place that snapshots are read from.
pub(crate) fn open(place: &str) -> Result<Place, SnapshotError> {
    let place = Place::open(place, Handle::current())?;
    place.check_exists()?;
    Ok(place)
}

/// The settings by which the newest readable snapshot of a log is folded; `None` where there is none. Waits for the place:
/// not for async code.
pub(crate) fn settings_of(place: &Place, log: &Log) -> Result<Option<Settings>, SnapshotError> {
    let mut newest = None;
    for snapshot in list(place, Some(&log.id().to_string()))? {
        match snapshot.manifest(place) {
            Err(error) if error.is_of_one_snapshot() => {}
            read => {
                let manifest = read?;
                if let Some(settings) = manifest.facts.settings
                    && newest.is_none_or(|(created_at_ms, _)| created_at_ms <= manifest.created_at_ms)
                {
                    newest = Some((manifest.created_at_ms, settings));
                }
            }
        }
    }
    Ok(newest.map(|(_, settings)| settings))
}
