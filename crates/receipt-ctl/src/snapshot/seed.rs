//! A fold aside begins with a snapshot, and not with the log's beginning.

use std::path::Path;

use receipt_domain::settings::Settings;
use receipt_projector::{Offsets, ProjectorError, identity};
use receipt_snapshot::Place;

use super::Meter;
use crate::replay::Site;

/// As [`receipt_projector::seed`], of a stopped receiptd.
pub(crate) fn seed(
    site: &Site,
    place: &Place,
    (partition, settings, to): (u32, Settings, Option<Offsets>),
    dir: &Path,
    meter: &mut Meter<'_>,
) -> Result<Offsets, ProjectorError> {
    let identity = identity(&site.log, partition, settings);
    receipt_projector::seed(&site.log, &site.resources, place, &identity, to, dir, &mut |bytes| {
        meter.grow(bytes);
        meter.told(bytes)
    })
}
