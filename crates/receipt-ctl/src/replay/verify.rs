//! Whether the state of a stopped receiptd is what its log says.

use std::{fs, path::Path};

use anyhow::Context as _;
use receipt_projector::{Aside, Offsets, ProjectorError, Verified, identity, side_by_side};
use receipt_proto::v1;
use receipt_snapshot::Place;
use tokio::{runtime::Handle, sync::watch};

use super::Site;
use crate::{
    progress::Progress,
    snapshot::{Meter, seed},
    told::STOPPED,
};

/// Verifies partitions, on so many threads, in stores of their own below `dir`, each of which begins with its snapshot in
/// the place `from`, if there is one. Changes nothing of the state.
pub(crate) fn verify(
    site: &Site,
    partitions: &[u32],
    threads: usize,
    (dir, from): (&Path, Option<&Place>),
    stopped: &watch::Receiver<bool>,
    runtime: &Handle,
    quiet: bool,
) -> anyhow::Result<Vec<v1::VerifiedPartition>> {
    if let Some(place) = from {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        let mut meter = Meter::new(0, stopped, quiet);
        for partition in partitions.iter().copied() {
            // One that cannot be read is told of below.
            if let Ok((state, applied)) = site.open_live(partition) {
                seed(site, place, (partition, *state.settings(), Some(applied)), dir, &mut meter)?;
            }
        }
        meter.finish();
    }
    let records = |partition: &u32| site.open_live(*partition).map_or(0, |(_, applied)| applied.records());
    let progress = Progress::new("records", partitions.iter().map(records).sum(), quiet);
    let aside = Aside { log: &site.log, resources: &site.resources, dir, runtime, stopped, snapshots: None };
    let done = side_by_side(partitions, threads, |partition| {
        let (state, applied) = match site.open_live(partition) {
            Ok(live) => live,
            Err(why) => return Ok(Verified::Wrong(why).told(partition, Offsets::default())),
        };
        let verified =
            aside.verify(&identity(&site.log, partition, *state.settings()), &state, progress.part(partition))?;
        Ok(verified.told(partition, applied))
    });
    progress.finish();
    Site::tidy(dir);
    let verified = done.iter().filter(|done| done.is_ok()).count();
    done.into_iter().collect::<Result<_, ProjectorError>>().map_err(|error| match error {
        ProjectorError::Stopped => anyhow::anyhow!("{verified} partitions are verified; {STOPPED}"),
        other => other.into(),
    })
}
