//! What a partition's thread is asked to do between two batches: only it writes to the store.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{oneshot, watch};

use crate::error::ProjectorError;

/// How a request is answered.
pub type Done<T> = oneshot::Sender<Result<T, ProjectorError>>;

struct Inner<R> {
    waiting: VecDeque<R>,
    /// Nobody will take any more.
    closed: bool,
}

/// The requests that wait for a partition's thread.
pub struct Requests<R> {
    inner: Mutex<Inner<R>>,
    /// How many there were, to wake the thread.
    count: watch::Sender<u64>,
}

impl<R> Default for Requests<R> {
    fn default() -> Self {
        let inner = Mutex::new(Inner { waiting: VecDeque::new(), closed: false });
        Self { inner, count: watch::channel(0).0 }
    }
}

impl<R> Requests<R> {
    fn inner(&self) -> MutexGuard<'_, Inner<R>> {
        // Every change below is complete before anything can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and waits for the answer. Must not be called from async code.
    ///
    /// # Errors
    /// [`ProjectorError::Stopped`] when the thread has, else what it answers.
    pub fn ask<T>(&self, request: impl FnOnce(Done<T>) -> R) -> Result<T, ProjectorError> {
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
    #[must_use]
    pub fn take(&self) -> Option<R> {
        self.inner().waiting.pop_front()
    }

    /// Changes when there is one.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Whoever waits, or asks from now on, is told that the thread has stopped.
    pub fn close(&self) {
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
        let requests: Requests<Done<()>> = Requests::default();
        let ask = || requests.ask(|done| done);
        std::thread::scope(|scope| {
            let waits = scope.spawn(ask);
            while requests.inner().waiting.is_empty() {
                std::thread::yield_now();
            }
            requests.close();
            assert!(matches!(waits.join().unwrap(), Err(ProjectorError::Stopped)));
        });
        assert!(matches!(ask(), Err(ProjectorError::Stopped)));
    }
}
