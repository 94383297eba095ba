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

/// Takes them in rounds, until the server is to stop. The first round is due an interval after the newest snapshot in the
/// place was created, whenever the server started: one that is restarted more often than that still takes some. Where there
/// is none, or the place does not say, it is due at once.
pub(crate) fn take_now_and_then(
    snapshots: Arc<Snapshots>,
    config: SnapshotConfig,
    mut stopping: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let interval = Duration::from_millis(config.interval_ms);
        let mut wait = first_wait(&snapshots, interval).await;
        tracing::info!(first_round_in = ?wait, "snapshots are taken in rounds");
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = interval;
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

/// How long until the first round is due.
async fn first_wait(snapshots: &Arc<Snapshots>, interval: Duration) -> Duration {
    let snapshots = Arc::clone(snapshots);
    let newest = tokio::task::spawn_blocking(move || snapshots.newest_created_ms()).await;
    match newest {
        Ok(Ok(newest_ms)) => until_due(newest_ms, now(), interval),
        Ok(Err(error)) => {
            tracing::warn!(%error, "when the newest snapshot was taken is not known: a round is due at once");
            Duration::ZERO
        }
        Err(error) => {
            tracing::error!(%error, "when the newest snapshot was taken is not known: a round is due at once");
            Duration::ZERO
        }
    }
}

/// From now until an interval after the newest snapshot; not longer than that, should the clock have been set back.
fn until_due(newest_ms: Option<u64>, now: Duration, interval: Duration) -> Duration {
    let Some(newest) = newest_ms.map(Duration::from_millis) else { return Duration::ZERO };
    interval.saturating_sub(now.saturating_sub(newest))
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
    snapshots.trim(Some(older_than_ms), false, "log_retention", &mut |_| !*stopped.borrow())?;
    taken
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_is_due_an_interval_after_the_newest_snapshot() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let (now, day) = (hours(1_000), hours(24));
        let due = |ago: Duration| until_due(u64::try_from((now - ago).as_millis()).ok(), now, day);
        assert_eq!(due(hours(0)), day);
        assert_eq!(due(hours(23)), hours(1), "the server was restarted");
        assert_eq!(due(hours(25)), Duration::ZERO);
        assert_eq!(until_due(None, now, day), Duration::ZERO, "there is none");
        assert_eq!(until_due(Some(u64::MAX), now, day), day, "the clock was set back");
    }
}
