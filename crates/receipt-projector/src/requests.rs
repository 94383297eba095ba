//! What a partition's thread is asked to do between two batches: only it writes to the store.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{oneshot, watch};

use crate::{error::ProjectorError, partition::Offsets};

type Done = oneshot::Sender<Result<Offsets, ProjectorError>>;

/// A request; it answers with the offsets up to where the store in question is folded.
pub(crate) enum Request {
    /// A copy of the store, in a directory that does not exist yet.
    Checkpoint { dir: PathBuf, done: Done },
    /// The store that was folded aside in this directory, which nobody has open, is to be the live one.
    Exchange { aside: PathBuf, done: Done },
}

struct Inner {
    waiting: VecDeque<Request>,
    /// Nobody will take any more.
    closed: bool,
}

/// The requests that wait for a partition's thread.
pub(crate) struct Requests {
    inner: Mutex<Inner>,
    /// How many there were, to wake the thread.
    count: watch::Sender<u64>,
}

impl Requests {
    pub(crate) fn new() -> Self {
        let inner = Mutex::new(Inner { waiting: VecDeque::new(), closed: false });
        Self { inner, count: watch::channel(0).0 }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change below is complete before anything can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and waits for the answer. Must not be called from async code.
    pub(crate) fn ask(&self, request: impl FnOnce(Done) -> Request) -> Result<Offsets, ProjectorError> {
        let (done, answer) = oneshot::channel();
        {
            let mut inner = self.inner();
            if inner.closed {
                return Err(ProjectorError::Stopped);
            }
            inner.waiting.push_back(request(done));
        }
        self.count.send_modify(|count| *count += 1);
        answer.blocking_recv().unwrap_or(Err(ProjectorError::Stopped))
    }

    /// The next one.
    pub(crate) fn take(&self) -> Option<Request> {
        self.inner().waiting.pop_front()
    }

    /// Changes when there is one.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Whoever waits, or asks from now on, is told that the thread has stopped.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        inner.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_a_thread_that_has_stopped_is_told() {
        let requests = Requests::new();
        let ask = || requests.ask(|done| Request::Checkpoint { dir: PathBuf::new(), done });
        std::thread::scope(|scope| {
            let waits = scope.spawn(ask);
            let mut news = requests.news();
            while requests.inner().waiting.is_empty() {
                std::thread::yield_now();
            }
            assert!(*news.borrow_and_update() <= 1);
            requests.close();
            assert!(matches!(waits.join().unwrap(), Err(ProjectorError::Stopped)));
        });
        assert!(matches!(ask(), Err(ProjectorError::Stopped)));
    }
}
