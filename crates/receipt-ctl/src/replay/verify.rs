//! Whether a partition's state is what its log says: the log is folded anew, aside, up to where the state is, and the
//! two are compared entry by entry.

use std::{fs, path::Path};

use anyhow::Context as _;
use receipt_projector::{Offsets, ProjectorError, Replay, aside, identity};
use receipt_store::{Comparison, Side, Store};
use tokio::{runtime::Handle, sync::watch};

use super::{STOPPED, Site};
use crate::progress::Progress;

/// Differences that are told of a partition, at most.
const DIFFERENCES_TOLD: usize = 10;

/// What became of a partition.
pub(crate) struct Verified {
    pub(crate) partition: u32,
    /// Where its state is; nowhere, where that cannot be read.
    pub(crate) applied: Offsets,
    pub(crate) outcome: Outcome,
}

/// What was found.
pub(crate) enum Outcome {
    /// Both were read; the live one is `this`, the one folded aside `other`.
    Compared(Comparison),
    /// The state cannot be right, or cannot be compared; why.
    Wrong(String),
}

impl Outcome {
    pub(crate) fn is_equal(&self) -> bool {
        match self {
            Self::Compared(found) => found.differences == 0 && found.this.digest == found.other.digest,
            Self::Wrong(_) => false,
        }
    }
}

/// Verifies partitions, one after the other, in stores of their own below `dir`. Changes nothing of the state.
pub(crate) fn verify(
    site: &Site,
    partitions: &[u32],
    dir: &Path,
    stop: &watch::Receiver<bool>,
    runtime: &Handle,
    quiet: bool,
) -> anyhow::Result<Vec<Verified>> {
    let live: Vec<_> = partitions.iter().map(|partition| (*partition, site.open_live(*partition))).collect();
    let records = |applied: Offsets| applied.conversations + applied.reads;
    let all = live.iter().flat_map(|(_, live)| live).map(|(_, applied)| records(*applied)).sum();
    let progress = Progress::new("records", all, quiet);
    let (mut done, mut before) = (Vec::new(), 0);
    for (partition, live) in live {
        let (store, applied) = match live {
            Ok(live) => live,
            Err(why) => {
                done.push(Verified { partition, applied: Offsets::default(), outcome: Outcome::Wrong(why) });
                continue;
            }
        };
        let place = dir.join(partition.to_string());
        let compared = fold_and_compare(site, partition, (&store, applied), &place, stop, runtime, |records| {
            progress.at(before + records);
        });
        let outcome = match compared {
            Err(ProjectorError::Stopped) => anyhow::bail!("{} partitions are verified; {STOPPED}", done.len()),
            Err(error) => Outcome::Wrong(error.to_string()),
            Ok(outcome) => outcome,
        };
        if place.exists() {
            fs::remove_dir_all(&place).with_context(|| format!("deleting {}", place.display()))?;
        }
        before += records(applied);
        done.push(Verified { partition, applied, outcome });
    }
    progress.finish();
    Site::tidy(dir);
    Ok(done)
}

fn fold_and_compare(
    site: &Site,
    partition: u32,
    (live, applied): (&Store, Offsets),
    place: &Path,
    stop: &watch::Receiver<bool>,
    runtime: &Handle,
    told: impl Fn(u64),
) -> Result<Outcome, ProjectorError> {
    fs::create_dir_all(place).map_err(|source| ProjectorError::Directory { dir: place.to_owned(), source })?;
    let identity = identity(&site.log, partition, *live.settings());
    let store = aside(place, &site.resources, &identity, applied)?;
    let replay = Replay { log: &site.log, partition, store: &store, to: applied };
    replay.run(runtime, stop, |records, _| told(records))?;
    let (one, two) = (live.view()?, store.view()?);
    match one.compare(&two, DIFFERENCES_TOLD, |_| !*stop.borrow()) {
        Ok(Some(comparison)) => Ok(Outcome::Compared(comparison)),
        Ok(None) => store.flush().map_err(Into::into).and(Err(ProjectorError::Stopped)),
        Err(error) if error.side == Side::This => Ok(Outcome::Wrong(error.to_string())),
        Err(error) => Ok(Outcome::Wrong(format!("the state that was folded aside cannot be read: {error}"))),
    }
}
