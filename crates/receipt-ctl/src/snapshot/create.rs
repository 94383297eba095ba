//! Stores and log of a data directory become snapshots.

use std::{fs, path::Path};

use anyhow::{Context as _, bail};
use receipt_domain::settings::Settings;
use receipt_log::Topic;
use receipt_projector::{facts, identity};
use receipt_proto::v1;
use receipt_snapshot::{Facts, Place, Unit};
use receipt_store::{InboxStore, Store};
use tokio::sync::watch;

use super::Meter;
use crate::replay::Site;

/// Takes snapshots of the stores of these partitions, and then, where all are taken, of the embedded log: so that the
/// log's is never behind them. Of each unit the newest `keep` stay; `None`: all.
pub(crate) fn create(
    site: &Site,
    place: &Place,
    only: Option<u32>,
    keep: Option<usize>,
    stop: &watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<v1::SnapshotTaken>> {
    let partitions = site.partitions(only)?;
    let dir = site.aside("snapshot", None);
    let mut meter = Meter::new(bytes(site, &partitions, only.is_none()), stop, quiet);
    let mut taken = Vec::new();
    let mut take = |unit, checkpoint: &dyn Fn(&Path) -> anyhow::Result<Option<Facts>>| -> anyhow::Result<()> {
        meter.go_on()?;
        let aside = dir.join(format!("{unit}"));
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        // Of an earlier attempt: the place has what is needed of it.
        remove(&aside)?;
        if let Some(facts) = checkpoint(&aside)? {
            let created = receipt_snapshot::create(place, &facts, &aside, &mut |bytes| meter.told(bytes))?;
            let kept = keep.map(|count| receipt_snapshot::keep(place, &facts.log_id, unit, count));
            taken.push(facts::taken(&place.to_string(), created, &kept.transpose()?.unwrap_or_default()));
        }
        remove(&aside)
    };
    for partition in partitions {
        take(Unit::Receipts(partition), &|aside| receipts(site, partition, aside).map(Some))?;
        take(Unit::Inboxes(partition), &|aside| inboxes(site, partition, aside).map(Some))?;
    }
    if only.is_none() {
        take(Unit::Log, &|aside| Ok(site.log.checkpoint(aside)?.map(|copied| facts::of_log(&site.log, &copied))))?;
    }
    meter.finish();
    Site::tidy(&dir);
    Ok(taken)
}

/// About how much there is to do.
fn bytes(site: &Site, partitions: &[u32], with_log: bool) -> u64 {
    let of = |dir: &Path| -> u64 {
        let files = fs::read_dir(dir).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    };
    let stores = partitions
        .iter()
        .map(|partition| of(&site.live(*partition)).saturating_add(of(&site.inboxes().join(partition.to_string()))));
    stores.sum::<u64>().saturating_add(if with_log { site.log.disk_bytes() } else { 0 })
}

fn receipts(site: &Site, partition: u32, aside: &Path) -> anyhow::Result<Facts> {
    let dir = site.live(partition);
    let identity = identity(&site.log, partition, settings(&dir)?);
    let store = Store::open(&dir, &site.resources, &identity)?;
    let durable = store.checkpoint(aside)?;
    let log_time_ms = store.view()?.progress().log_time_ms;
    let offsets = [(Topic::Conversations, durable.conversations_offset), (Topic::Reads, durable.reads_offset)];
    Ok(facts::of_store(&identity, Unit::Receipts(partition), &offsets, log_time_ms))
}

fn inboxes(site: &Site, partition: u32, aside: &Path) -> anyhow::Result<Facts> {
    let dir = site.inboxes().join(partition.to_string());
    let identity = identity(&site.log, partition, settings(&dir)?);
    let store = InboxStore::open(&dir, &site.resources, &identity)?;
    let progress = store.checkpoint(aside)?;
    let offsets = [(Topic::Deltas, progress.offset)];
    Ok(facts::of_store(&identity, Unit::Inboxes(partition), &offsets, progress.log_time_ms))
}

/// By which settings the store in a directory is folded.
fn settings(dir: &Path) -> anyhow::Result<Settings> {
    match Store::identity(dir)? {
        Some(stored) => Ok(stored.settings),
        None => bail!("there is no store in {}: receiptd folds one when it starts", dir.display()),
    }
}

/// Deletes a directory, if there is one.
pub(super) fn remove(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("deleting {}", dir.display()))?;
    }
    Ok(())
}
