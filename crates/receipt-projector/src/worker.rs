//! The loop that both projections run, on a thread a partition: fold while there is something to fold, else wait for it.

use std::{
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::watch};

use crate::{error::ProjectorError, partition::Phase};

/// How often what is written is made durable.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_secs(30);

/// What to do when there is nothing to fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Wait until a record comes, at most so long.
    Wait(Duration),
    /// Something came up meanwhile.
    GoOn,
}

/// One partition of a projection: of receipts, or of inboxes.
pub trait Projection: Send + 'static {
    /// Folds the next batch; `false`: there was nothing to fold. Where the log does not answer it waits for it, until it
    /// is to stop.
    ///
    /// # Errors
    /// If the partition can't go on.
    fn batch(&mut self, stopped: &watch::Receiver<bool>) -> Result<bool, ProjectorError>;

    /// What is due while there is nothing to fold.
    ///
    /// # Errors
    /// If the partition can't go on.
    fn idle(&mut self) -> Result<Idle, ProjectorError>;

    /// Makes the state durable.
    ///
    /// # Errors
    /// If the flush failed.
    fn flush(&mut self) -> Result<(), ProjectorError>;

    /// Of what it reads, and of what it may be asked for: a change wakes it.
    fn news(&self) -> Vec<watch::Receiver<u64>>;

    /// Whether it can fold. Where it is sealed, it waits until it is mended; `false`: it folds no more.
    fn ready(&mut self, runtime: &Handle, stopped: &watch::Receiver<bool>) -> bool;

    /// It folds no more, unless it is mended: why, and what mends it.
    fn sealed_by(&mut self, error: &ProjectorError);

    /// It folds no more, for this reason, unless it is mended.
    fn ended(&mut self, phase: Phase);
}

/// Runs a projection's partition on a thread of this name until `stopped` turns true.
///
/// # Errors
/// If the thread can't be started.
pub fn spawn(
    name: String,
    mut projection: impl Projection,
    runtime: Handle,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, ProjectorError> {
    let run = move || {
        while projection.ready(&runtime, &stopped) {
            match run(&mut projection, &runtime, stopped.clone()) {
                Ok(()) | Err(ProjectorError::Stopped) => return projection.ended(Phase::Stopped),
                Err(error) => projection.sealed_by(&error),
            }
        }
    };
    Ok(std::thread::Builder::new().name(name).spawn(run)?)
}

fn run(
    projection: &mut impl Projection,
    runtime: &Handle,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), ProjectorError> {
    let mut dirty_since: Option<Instant> = None;
    while !*stopped.borrow() {
        // Seen before the batch is read: what comes after it wakes the wait below. Asked for anew each time, as a batch may
        // have exchanged what it reads.
        let mut news = projection.news();
        for news in &mut news {
            news.borrow_and_update();
        }
        let folded = projection.batch(&stopped)?;
        if folded {
            dirty_since.get_or_insert_with(Instant::now);
        }
        let flush_in = dirty_since.map_or(FLUSH_INTERVAL, |since| FLUSH_INTERVAL.saturating_sub(since.elapsed()));
        if flush_in.is_zero() {
            projection.flush()?;
            dirty_since = None;
        } else if !folded && let Idle::Wait(wait) = projection.idle()? {
            let wait = wait.min(flush_in);
            runtime.block_on(changed(&mut news, &mut stopped, wait));
        }
    }
    projection.flush()
}

/// Waits until any of these has news, it is to stop, or so long.
pub(crate) async fn changed(news: &mut [watch::Receiver<u64>], stopped: &mut watch::Receiver<bool>, wait: Duration) {
    let mut changes: Vec<_> = news.iter_mut().map(|news| Box::pin(news.changed())).collect();
    let any = std::future::poll_fn(|context| {
        let ready = changes.iter_mut().any(|change| change.as_mut().poll(context).is_ready());
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    tokio::select! {
        () = any => {}
        _ = stopped.changed() => {}
        () = tokio::time::sleep(wait) => {}
    }
}
