//! Notices arrivals that are ahead of the clock. Log time never goes back, so one such arrival takes all later ones with
//! it, until the clock has reached it.

use std::time::{Duration, Instant};

use metrics::gauge;
use receipt_log::{Clock, Log, human};
use receipt_projector::Partition;
use receipt_store::Store;
use tokio::{sync::watch, task::JoinHandle};

/// How often the log is looked at.
const EVERY: Duration = Duration::from_secs(10);
/// How far ahead arrivals may be without a warning, in milliseconds: clocks of several machines are never the same.
const TOLERANCE_MS: u64 = 60_000;
/// How often the warning is repeated while it lasts.
const WARN_EVERY: Duration = Duration::from_secs(600);

/// Shows in a metric how far the log is ahead of the clock, and warns of it, until the server is to stop.
pub(crate) fn watch(
    log: Log,
    partitions: Vec<Partition>,
    clock: Clock,
    mut stopping: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut warned: Option<Instant> = None;
        loop {
            let (log, partitions, clock) = (log.clone(), partitions.clone(), clock.clone());
            // A store that is being exchanged is waited for.
            let looked = tokio::task::spawn_blocking(move || ahead_ms(&log, &partitions, &clock)).await;
            let ahead_ms = looked.unwrap_or(0);
            gauge!("receiptd_log_ahead_of_clock_seconds").set(Duration::from_millis(ahead_ms).as_secs_f64());
            if ahead_ms <= TOLERANCE_MS {
                warned = None;
            } else if warned.is_none_or(|warned| warned.elapsed() >= WARN_EVERY) {
                warned = Some(Instant::now());
                warn(ahead_ms);
            }
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    })
}

/// How far the latest arrival of the log, or the log time of a partition, is ahead of the clock.
fn ahead_ms(log: &Log, partitions: &[Partition], clock: &Clock) -> u64 {
    let log_times = partitions.iter().filter_map(|partition| partition.with_store(log_time_ms).flatten());
    let latest_ms = log_times.chain(log.last_arrival_ms()).max().unwrap_or(0);
    latest_ms.saturating_sub(clock.now_ms())
}

/// Up to where a store is folded; `None` where it cannot be read, which is for queries to notice.
fn log_time_ms(store: &Store) -> Option<u64> {
    store.view().ok().map(|view| view.progress().log_time_ms)
}

fn warn(ahead_ms: u64) {
    tracing::warn!(
        ahead = human::span(ahead_ms),
        "the log has records that arrived ahead of the clock: until the clock has reached them, no record arrives \
         earlier, and read times lie in the future; if the clock is wrong, set it; if the records are, see \"Arrivals \
         ahead of the clock\" in docs/operations.md"
    );
}
