//! A partition's state is folded anew from its log, aside, and put in the place of the one that is there.

use std::{collections::BTreeMap, fs};

use anyhow::Context as _;
use receipt_domain::settings::Settings;
use receipt_log::LogError;
use receipt_projector::{
    Aside, Offsets, ProjectorError, check_follows, discard, identity, make_live, settle, side_by_side, take_back,
};
use receipt_proto::v1;
use receipt_snapshot::Place;
use receipt_store::Store;
use tokio::{runtime::Handle, sync::watch};

use super::{Site, told};
use crate::{
    progress::Progress,
    snapshot::{Meter, seed},
};

/// Folds partitions aside, on so many threads, up to where the live ones are, and when all are, puts them in their place.
/// Until then these stay as they are. Each begins with its snapshot in the place `from`, if there is one.
///
/// Not up to the log's end: what the log has beyond, nobody was told of yet (R6). receiptd folds it when it starts, and
/// tells it. Where a live store does not say how far it is, receiptd folds all of it.
pub(crate) fn rebuild(
    site: &Site,
    partitions: &[u32],
    threads: usize,
    (settings, from): (Settings, Option<&Place>),
    stopped: &watch::Receiver<bool>,
    runtime: &Handle,
    quiet: bool,
) -> anyhow::Result<Vec<v1::RebuiltPartition>> {
    let dir = site.aside("rebuild", None);
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let mut targets = BTreeMap::new();
    for partition in partitions.iter().copied() {
        take_back(&site.receipts(), partition, &dir.join(partition.to_string()))?;
        settle(&site.receipts(), partition)?;
        targets.insert(partition, how_far(site, partition)?);
    }
    if let Some(place) = from {
        let mut meter = Meter::new(0, stopped, quiet);
        for (partition, to) in &mut targets {
            let at = seed(site, place, (*partition, settings, to.as_ref().ok().copied()), &dir, &mut meter)?;
            if let Err(why) = to {
                meter.say(&format!(
                    "partition {partition}: {why}; it goes back to its snapshot, and receiptd folds the rest"
                ));
                *to = Ok(at);
            }
        }
        meter.finish();
    }
    let all = targets.values().flatten().map(|to| to.records()).sum();
    let progress = Progress::new("records", all, quiet);
    let aside = Aside { log: &site.log, resources: &site.resources, dir: &dir, runtime, stopped, snapshots: None };
    let rebuilt = side_by_side(partitions, threads, |partition| {
        let to = match targets.get(&partition) {
            Some(Ok(to)) => *to,
            Some(Err(why)) => {
                let left = "so it is left to receiptd to fold when it starts";
                progress.say(&format!("partition {partition}: {why}; {left}"));
                Offsets::default()
            }
            None => Offsets::default(),
        };
        let store = aside.fold(&identity(&site.log, partition, settings), to, progress.part(partition))?;
        // Of leaves, receiptd still has to notify those whom it had not notified in the state that is replaced.
        store.notify_as(site.open_live(partition).ok().map(|(live, _)| live).as_ref())?;
        finished(partition, to, &store)
    });
    let rebuilt: Vec<_> = rebuilt.into_iter().collect::<Result<_, _>>().map_err(told)?;
    // Closed by now, all of them: nothing of theirs is in memory alone.
    for partition in partitions {
        make_live(&site.receipts(), *partition, &dir.join(partition.to_string()))?;
    }
    progress.finish();
    drop_inboxes(site, settings)?;
    Site::tidy(&dir);
    Ok(rebuilt)
}

/// Up to where a live store is folded, or why it does not say so: it cannot be read, or the log has lost what it has
/// applied.
fn how_far(site: &Site, partition: u32) -> anyhow::Result<Result<Offsets, String>> {
    let (store, applied) = match site.open_live(partition) {
        Ok(live) => live,
        Err(why) => return Ok(Err(why)),
    };
    match check_follows(&site.log, partition, &store) {
        Ok(()) => Ok(Ok(applied)),
        Err(why @ ProjectorError::Log(LogError::Truncated { .. })) => Ok(Err(why.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn finished(partition: u32, applied: Offsets, store: &Store) -> Result<v1::RebuiltPartition, ProjectorError> {
    store.flush()?;
    let view = store.view()?;
    let at = view.progress();
    Ok(v1::RebuiltPartition {
        partition,
        conversations_offset: applied.conversations,
        reads_offset: applied.reads,
        messages: at.messages,
        receipts: at.receipts,
    })
}

/// Inboxes keep their entries by the same settings: one of others does not open, and is folded anew by the next start.
fn drop_inboxes(site: &Site, settings: Settings) -> anyhow::Result<()> {
    for partition in 0..site.log.partitions() {
        // One that cannot be read is for receiptd to say.
        let Ok(Some(identity)) = Store::identity(&site.inboxes().join(partition.to_string())) else { continue };
        if identity.settings != settings {
            discard(&site.inboxes(), partition)?;
        }
    }
    Ok(())
}
