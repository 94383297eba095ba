//! A partition's state is folded anew from its log, aside, and put in the place of the one that is there.

use std::fs;

use anyhow::Context as _;
use receipt_domain::settings::Settings;
use receipt_projector::{Offsets, ProjectorError, Replay, aside, discard, identity, make_live, settle, take_back};
use receipt_store::Store;
use tokio::{runtime::Handle, sync::watch};

use super::{Site, told};
use crate::progress::Progress;

/// A partition that was rebuilt.
pub(crate) struct Rebuilt {
    pub(crate) partition: u32,
    /// Up to where it is folded.
    pub(crate) applied: Offsets,
    pub(crate) messages: u64,
    pub(crate) receipts: u64,
}

/// Folds partitions aside, one after the other, up to where the live ones are, and when all are, puts them in their place.
/// Until then these stay as they are.
///
/// Not up to the log's end: what the log has beyond, nobody was told of yet (R6). receiptd folds it when it starts, and
/// tells it. Where a live store does not say how far it is, receiptd folds all of it.
pub(crate) fn rebuild(
    site: &Site,
    partitions: &[u32],
    settings: Settings,
    stop: &watch::Receiver<bool>,
    runtime: &Handle,
    quiet: bool,
) -> anyhow::Result<Vec<Rebuilt>> {
    let dir = site.aside("rebuild", None);
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let records = |ends: Offsets| ends.conversations + ends.reads;
    let mut targets = Vec::new();
    for partition in partitions.iter().copied() {
        take_back(&site.receipts(), partition, &dir.join(partition.to_string()))?;
        settle(&site.receipts(), partition)?;
        targets.push((partition, site.open_live(partition).map(|(_, applied)| applied)));
    }
    let all = targets.iter().flat_map(|(_, to)| to).map(|to| records(*to)).sum();
    let progress = Progress::new("records", all, quiet);
    let (mut rebuilt, mut before) = (Vec::new(), 0);
    for (partition, to) in targets {
        let place = dir.join(partition.to_string());
        let to = to.unwrap_or_else(|why| {
            progress.say(&format!("partition {partition}: {why}; so it is left to receiptd to fold when it starts"));
            Offsets::default()
        });
        let store = aside(&place, &site.resources, &identity(&site.log, partition, settings), to)?;
        let had = store.durable();
        let had = had.conversations_offset + had.reads_offset;
        if had > 0 {
            progress.say(&format!("partition {partition}: {had} records were folded before; going on from there"));
            progress.skipped(had);
        }
        let replay = Replay { log: &site.log, partition, store: &store, to };
        replay.run(runtime, stop, |records, _| progress.at(before + records)).map_err(told)?;
        rebuilt.push(finished(partition, to, &store)?);
        before += records(to);
    }
    // Closed by now, all of them: nothing of theirs is in memory alone.
    for Rebuilt { partition, .. } in &rebuilt {
        make_live(&site.receipts(), *partition, &dir.join(partition.to_string()))?;
    }
    progress.finish();
    drop_inboxes(site, settings)?;
    Site::tidy(&dir);
    Ok(rebuilt)
}

fn finished(partition: u32, applied: Offsets, store: &Store) -> Result<Rebuilt, ProjectorError> {
    store.flush()?;
    let view = store.view()?;
    let at = view.progress();
    Ok(Rebuilt { partition, applied, messages: at.messages, receipts: at.receipts })
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
