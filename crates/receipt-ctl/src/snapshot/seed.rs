//! A fold aside begins with a snapshot, and not with the log's beginning.

use std::{fs, path::Path};

use anyhow::{Context as _, bail};
use receipt_domain::settings::Settings;
use receipt_log::Topic;
use receipt_projector::{Offsets, identity};
use receipt_snapshot::{Bounds, Place, Unit};
use receipt_store::Store;

use super::{
    Choice, Meter, Which,
    create::remove,
    facts::{bounds_of, log_bounds},
};
use crate::replay::Site;

/// Puts the newest snapshot of a partition that is no further than `to` into the directory where the partition is folded
/// aside, unless an interrupted fold is there, which can go on. `None`: however far it is. Answers up to where it is folded.
pub(crate) fn seed(
    site: &Site,
    place: &Place,
    (partition, settings, to): (u32, Settings, Option<Offsets>),
    dir: &Path,
    meter: &mut Meter<'_>,
) -> anyhow::Result<Offsets> {
    let aside = dir.join(partition.to_string());
    if let Some(at) = there(site, partition, settings, to, &aside) {
        return Ok(at);
    }
    let bounds = |topic: &str, partition| {
        let Bounds { start, end } = bounds_of(&site.log, topic, partition)?;
        let to = match to {
            Some(to) if topic == Topic::Conversations.name() => to.conversations,
            Some(to) => to.reads,
            None => end,
        };
        Some(Bounds { start, end: end.min(to) })
    };
    let bounds = log_bounds(&site.log, &bounds);
    let choice = Which::default().for_partition(place, &bounds, Unit::Receipts(partition))?;
    let Choice { snapshot, manifest, .. } = choice;
    if manifest.facts.settings != Some(settings) {
        bail!(
            "the snapshot {place}/{snapshot} was folded with other settings: with those it cannot be gone on from; leave \
             --from out, to fold the log from its beginning"
        );
    }
    meter.grow(manifest.bytes());
    let fetched = dir.join(format!("{partition}.fetched"));
    receipt_snapshot::restore(place, &snapshot, &fetched, &mut |bytes| meter.told(bytes))?;
    remove(&aside)?;
    fs::rename(&fetched, &aside).with_context(|| format!("moving {}", fetched.display()))?;
    there(site, partition, settings, to, &aside)
        .with_context(|| format!("the snapshot {place}/{snapshot} does not have the store that its manifest names"))
}

/// Up to where an interrupted fold is, if the log has what comes next.
fn there(site: &Site, partition: u32, settings: Settings, to: Option<Offsets>, aside: &Path) -> Option<Offsets> {
    let store = Store::open_read_only(aside, &site.resources, &identity(&site.log, partition, settings)).ok()?;
    let at = Offsets::of(store.durable());
    let start = |topic| site.log.start_offset(topic, partition);
    let start = Offsets { conversations: start(Topic::Conversations), reads: start(Topic::Reads) };
    (at.include(&start) && to.is_none_or(|to| to.include(&at))).then_some(at)
}
