//! Watches the log: the room on its disk, whether it takes records, and whether it has failed for good.

use std::time::Duration;

use metrics::gauge;
use receipt_log::{Log, Writes};
use tokio::{sync::watch, task::JoinHandle};

/// How often the room is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Shows the room and whether the log takes records in metrics, until the server is to stop.
pub(crate) fn watch(log: Log, mut stopping: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let looked_at = log.clone();
            let free_bytes = tokio::task::spawn_blocking(move || looked_at.look_at_room()).await;
            if let Ok(Some(free_bytes)) = free_bytes {
                // Exact below 2^53 bytes, and only for people to look at.
                #[allow(clippy::cast_precision_loss)]
                gauge!("receiptd_disk_free_bytes").set(free_bytes as f64);
            }
            let takes = *log.writes().borrow() == Writes::Taken;
            gauge!("receiptd_log_takes_records").set(f64::from(u8::from(takes)));
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    })
}

/// Waits until the log takes no more records in this process: a supervisor starts another one then.
pub(crate) async fn failed(log: Log) {
    let mut writes = log.writes();
    let failed = writes.wait_for(|writes| matches!(writes, Writes::Failed { .. })).await.map(|writes| writes.clone());
    match failed {
        Ok(writes) => {
            tracing::error!(
                why = writes.why_not(),
                "the log has failed: stopping, so that a supervisor starts receiptd again"
            );
        }
        // It is closed, which is no failure.
        Err(_) => std::future::pending().await,
    }
}
