//! Snapshots that the server takes by itself, and the embedded log that it trims behind them.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use metrics::{counter, gauge};
use receipt_api::{SnapshotOptions, Snapshots, SnapshotsError, Taking};
use receipt_log::Log;
use receipt_notifier::Inbox;
use receipt_projector::Partition;
use receipt_snapshot::Place;
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

use crate::config::SnapshotConfig;

/// Where they are taken to, and from what.
pub(crate) fn open(
    config: &SnapshotConfig,
    dir: PathBuf,
    log: &Log,
    partitions: &[Partition],
    inboxes: &[Inbox],
) -> anyhow::Result<Arc<Snapshots>> {
    let place = Place::open(&config.place, Handle::current()).context("snapshots")?;
    Ok(Arc::new(Snapshots::new(SnapshotOptions {
        place,
        keep: Some(config.keep),
        dir,
        log: log.clone(),
        partitions: partitions.to_vec(),
        inboxes: inboxes.to_vec(),
    })))
}

/// Takes them now and then, until the server is to stop; the first ones an interval after the start.
pub(crate) fn take_now_and_then(
    snapshots: Arc<Snapshots>,
    config: SnapshotConfig,
    mut stopping: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let interval = Duration::from_millis(config.interval_ms);
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(interval) => {}
            }
            let (snapshots, stopped) = (Arc::clone(&snapshots), stopping.clone());
            let log_retention_ms = config.log_retention_ms;
            let taken = tokio::task::spawn_blocking(move || round(&snapshots, log_retention_ms, &stopped)).await;
            match taken {
                Ok(Ok(())) => {
                    counter!("receiptd_snapshot_rounds_total").increment(1);
                    gauge!("receiptd_snapshot_round_time_seconds").set(seconds(now()));
                }
                _ if *stopping.borrow() => return,
                Ok(Err(error)) => {
                    counter!("receiptd_snapshot_rounds_failed_total").increment(1);
                    tracing::error!(%error, "snapshots failed; they are tried again in time");
                }
                Err(error) => tracing::error!(%error, "snapshots did not end well"),
            }
        }
    })
}

/// Snapshots of everything, and then the log trimmed.
fn round(
    snapshots: &Snapshots,
    log_retention_ms: Option<u64>,
    stopped: &watch::Receiver<bool>,
) -> Result<(), SnapshotsError> {
    let taken = snapshots.create(None, &mut |taking| {
        if let Taking::Taken(created, kept) = taking
            && !created.was_there
        {
            let (snapshot, deleted) = (&created.snapshot, kept.deleted.len());
            tracing::info!(%snapshot, bytes = created.bytes, deleted, "snapshot");
        }
        !*stopped.borrow()
    });
    // What is behind those that there are may go all the same.
    let Some(log_retention_ms) = log_retention_ms.filter(|_| !*stopped.borrow()) else { return taken };
    let now_ms = u64::try_from(now().as_millis()).unwrap_or(u64::MAX);
    let older_than_ms = now_ms.saturating_sub(log_retention_ms);
    for trim in snapshots.trim(Some(older_than_ms), false, &mut |_| !*stopped.borrow())? {
        let (topic, partition, before) = (trim.topic.name(), trim.partition, trim.before);
        if trim.before > trim.start {
            tracing::info!(topic, partition, before, why = trim.why, "the log is trimmed");
        }
    }
    taken
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
