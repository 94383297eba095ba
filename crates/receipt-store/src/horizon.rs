//! Up to which log time expired rows may really be deleted.
//!
//! Behind the durable log time only, since a crash goes back to it (R7), and not past a moment that a query still
//! looks at, as RocksDB's compaction does not spare what a snapshot sees.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Default)]
struct Inner {
    durable_ms: u64,
    /// Log times of the moments that are looked at, and how often.
    views: BTreeMap<u64, usize>,
}

/// The log time behind which what is expired may go.
#[derive(Debug, Default)]
pub(crate) struct Horizon(Mutex<Inner>);

impl Horizon {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change below is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log time, in milliseconds.
    pub(crate) fn ms(&self) -> u64 {
        let inner = self.inner();
        inner.views.keys().next().map_or(inner.durable_ms, |oldest_ms| inner.durable_ms.min(*oldest_ms))
    }

    /// A flush has reached this log time. It never goes back.
    pub(crate) fn flushed(&self, log_time_ms: u64) {
        let mut inner = self.inner();
        inner.durable_ms = inner.durable_ms.max(log_time_ms);
    }

    /// A view is about to be taken of a state that has at least this log time; returns what to release it by.
    pub(crate) fn hold(&self, log_time_ms: u64) -> u64 {
        *self.inner().views.entry(log_time_ms).or_default() += 1;
        log_time_ms
    }

    /// The view is gone.
    pub(crate) fn release(&self, log_time_ms: u64) {
        let mut inner = self.inner();
        if let Some(views) = inner.views.get_mut(&log_time_ms) {
            *views -= 1;
            if *views == 0 {
                inner.views.remove(&log_time_ms);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_that_a_view_sees_or_a_crash_brings_back() {
        let horizon = Horizon::default();
        assert_eq!(horizon.ms(), 0, "nothing is durable yet");
        horizon.flushed(10);
        let (a, b) = (horizon.hold(4), horizon.hold(4));
        assert_eq!(horizon.ms(), 4);
        horizon.release(a);
        assert_eq!(horizon.ms(), 4);
        horizon.release(b);
        assert_eq!(horizon.ms(), 10);
        horizon.hold(12);
        assert_eq!(horizon.ms(), 10);
        horizon.flushed(9);
        assert_eq!(horizon.ms(), 10);
    }
}
