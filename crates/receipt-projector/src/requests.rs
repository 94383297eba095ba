//! What a partition's thread is asked to do between two batches: only it writes to the store.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{oneshot, watch};

use crate::{error::ProjectorError, panics::caught, partition::Phase};

/// How a request is answered.
pub type Done<T> = oneshot::Sender<Result<T, ProjectorError>>;

struct Inner<R> {
    waiting: VecDeque<R>,
    /// Nobody will take any more, as the partition is in this phase.
    closed: Option<Phase>,
}

/// The requests that wait for a partition's thread.
pub struct Requests<R> {
    inner: Mutex<Inner<R>>,
    /// How many there were, to wake the thread.
    count: watch::Sender<u64>,
}

impl<R> Default for Requests<R> {
    fn default() -> Self {
        let inner = Mutex::new(Inner { waiting: VecDeque::new(), closed: None });
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
    /// [`ProjectorError::Stopped`] or [`ProjectorError::Sealed`] when the thread is or was, else what it answers.
    pub fn ask<T>(&self, request: impl FnOnce(Done<T>) -> R) -> Result<T, ProjectorError> {
        let (done, answer) = oneshot::channel();
        {
            let mut inner = self.inner();
            if let Some(phase) = &inner.closed {
                return Err(refusal(phase));
            }
            inner.waiting.push_back(request(done));
        }
        self.wake();
        answer.blocking_recv().unwrap_or_else(|_| {
            let inner = self.inner();
            Err(inner.closed.as_ref().map_or(ProjectorError::Unanswered, refusal))
        })
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

    /// Wakes the thread, which looks at its partition's phase before it does anything else.
    pub fn wake(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    /// Whoever waits, or asks from now on, gets an error that says in which phase the partition is.
    pub fn close(&self, phase: &Phase) {
        let mut inner = self.inner();
        inner.closed = Some(phase.clone());
        inner.waiting.clear();
    }
}

fn refusal(closed: &Phase) -> ProjectorError {
    match closed {
        Phase::Sealed(why) => ProjectorError::Sealed(why.clone()),
        Phase::CatchingUp | Phase::Serving | Phase::Stopped => ProjectorError::Stopped,
    }
}

/// Answers a request with what the work comes to, also if the work panics. Who asked may have gone away.
///
/// # Errors
/// [`ProjectorError::Panicked`], to seal the partition with.
pub fn answer<T>(done: Done<T>, work: impl FnOnce() -> Result<T, ProjectorError>) -> Result<(), ProjectorError> {
    let result = caught(work);
    let panicked = match &result {
        Err(ProjectorError::Panicked(why)) => Err(ProjectorError::Panicked(why.clone())),
        _ => Ok(()),
    };
    drop(done.send(result));
    panicked
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a request is answered with that the thread is asked for, and does this with.
    fn answered(requests: &Requests<Done<()>>, then: impl FnOnce()) -> Result<(), ProjectorError> {
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| requests.ask(|done| done));
            while requests.inner().waiting.is_empty() {
                std::thread::yield_now();
            }
            then();
            waits.join().unwrap()
        })
    }

    #[test]
    fn r7_whoever_asks_a_thread_that_ends_is_answered_with_its_phase() {
        let requests: Requests<Done<()>> = Requests::default();
        let stopped = answered(&requests, || requests.close(&Phase::Stopped));
        assert!(matches!(stopped, Err(ProjectorError::Stopped)));
        assert!(matches!(requests.ask(|done| done), Err(ProjectorError::Stopped)));
        let requests: Requests<Done<()>> = Requests::default();
        let sealed = answered(&requests, || requests.close(&Phase::Sealed("why".to_owned())));
        assert!(matches!(sealed, Err(ProjectorError::Sealed(why)) if why == "why"));
        assert!(matches!(requests.ask(|done| done), Err(ProjectorError::Sealed(why)) if why == "why"));
    }

    #[test]
    fn r7_a_request_at_which_the_thread_panics_is_answered_and_passed_on() {
        let requests: Requests<Done<()>> = Requests::default();
        let mut passed_on = Ok(());
        let panicked = answered(&requests, || {
            passed_on = requests.take().map_or(Ok(()), |done| answer(done, || panic!("on purpose")));
        });
        for result in [panicked, passed_on] {
            assert!(matches!(result, Err(ProjectorError::Panicked(why)) if why == "on purpose"));
        }
        // A thread that ends otherwise with a request in hand.
        let dropped = answered(&requests, || drop(requests.take()));
        assert!(matches!(dropped, Err(ProjectorError::Unanswered)));
    }
}
