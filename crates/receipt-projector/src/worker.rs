//! The loop that both projections run, on a thread a partition: fold while there is something to fold, else wait for it.

use std::{
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::watch};

use crate::{error::ProjectorError, panics::caught, partition::Phase};

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

/// Runs a projection's partition on a thread of this name until `stopped` turns true. A panic on it seals the partition,
/// as an error does, and is counted by the thread's name.
///
/// # Errors
/// If the thread can't be started.
pub(crate) fn spawn(
    name: String,
    mut projection: impl Projection,
    runtime: Handle,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, ProjectorError> {
    let run = move || {
        let mut is_sealed = false;
        loop {
            let mut was_ready = false;
            match caught(|| run(&mut projection, &runtime, &stopped, &mut was_ready)) {
                Ok(Ended::Sealed) => return,
                Ok(Ended::Stopped) | Err(ProjectorError::Stopped) => return projection.ended(Phase::Stopped),
                // Not even waiting for a remedy works, as on a runtime that has been shut down.
                Err(ProjectorError::Panicked(_)) if is_sealed && !was_ready => {
                    return projection.ended(Phase::Stopped);
                }
                Err(error) => projection.sealed_by(&error),
            }
            is_sealed = true;
        }
    };
    Ok(std::thread::Builder::new().name(name).spawn(run)?)
}

/// Why a partition's thread ends without an error.
enum Ended {
    /// It is to stop.
    Stopped,
    /// The partition is sealed, and nothing can change that any more.
    Sealed,
}

fn run(
    projection: &mut impl Projection,
    runtime: &Handle,
    stopped: &watch::Receiver<bool>,
    was_ready: &mut bool,
) -> Result<Ended, ProjectorError> {
    if !projection.ready(runtime, stopped) {
        return Ok(Ended::Sealed);
    }
    *was_ready = true;
    let mut stopped = stopped.clone();
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
    projection.flush()?;
    Ok(Ended::Stopped)
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A projection that panics at its first batch, and may be folded on with once it is sealed.
    struct Panics {
        sealed: Arc<Mutex<Vec<String>>>,
        mended: bool,
        in_ready: InReady,
    }

    /// How often it panics while it waits for a remedy.
    #[derive(Clone, Copy, PartialEq)]
    enum InReady {
        Never,
        Once,
        Always,
    }

    impl Projection for Panics {
        fn batch(&mut self, _: &watch::Receiver<bool>) -> Result<bool, ProjectorError> {
            if self.sealed.lock().unwrap().is_empty() {
                panic!("on {}", "purpose");
            }
            Err(ProjectorError::Stopped)
        }

        fn idle(&mut self) -> Result<Idle, ProjectorError> {
            Ok(Idle::GoOn)
        }

        fn flush(&mut self) -> Result<(), ProjectorError> {
            Ok(())
        }

        fn news(&self) -> Vec<watch::Receiver<u64>> {
            Vec::new()
        }

        fn ready(&mut self, _: &Handle, _: &watch::Receiver<bool>) -> bool {
            let sealed = self.sealed.lock().unwrap().len();
            assert!(self.in_ready != InReady::Always, "always in ready");
            assert!(self.in_ready != InReady::Once || sealed > 0, "in ready");
            sealed == 0 || self.mended
        }

        fn sealed_by(&mut self, error: &ProjectorError) {
            self.sealed.lock().unwrap().push(error.to_string());
        }

        fn ended(&mut self, phase: Phase) {
            self.sealed.lock().unwrap().push(format!("{phase:?}"));
        }
    }

    fn runs(mended: bool, in_ready: InReady) -> Vec<String> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (_stop, stopped) = watch::channel(false);
        let sealed = Arc::new(Mutex::new(Vec::new()));
        let projection = Panics { sealed: Arc::clone(&sealed), mended, in_ready };
        let thread = spawn("fold-7".to_owned(), projection, runtime.handle().clone(), stopped).unwrap();
        thread.join().expect("the thread does not panic itself");
        std::mem::take(&mut sealed.lock().unwrap())
    }

    #[test]
    fn r7_a_panic_seals_with_its_message_and_the_thread_waits_for_a_remedy() {
        let sealed = runs(false, InReady::Never);
        assert_eq!(sealed.len(), 1, "{sealed:?}");
        assert!(sealed[0].starts_with("the partition's thread panicked: on purpose; "), "{sealed:?}");
        assert_eq!(runs(true, InReady::Never)[1..], ["Stopped".to_owned()], "it folds on where that was the remedy");
        assert!(runs(false, InReady::Once)[0].contains("in ready"), "also between two batches");
        assert_eq!(runs(false, InReady::Always)[1..], ["Stopped".to_owned()], "it does not panic for ever");
    }
}
