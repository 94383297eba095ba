//! How many calls may be under way, by what they hold: what is more is told to come again, and does not wait in line.

use std::sync::Arc;

use metrics::counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many calls may be under way at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// That read the state.
    pub reads: usize,
    /// That append to the log.
    pub appends: usize,
    /// That wait until the state has what they name.
    pub waits: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { reads: 512, appends: 4_096, waits: 10_000 }
    }
}

/// The calls of one kind.
#[derive(Debug)]
pub(crate) struct Calls {
    /// Their kind, as metrics have it.
    label: &'static str,
    max: usize,
    places: Arc<Semaphore>,
}

/// All kinds.
#[derive(Debug)]
pub(crate) struct Kinds {
    pub(crate) reads: Calls,
    pub(crate) appends: Calls,
    pub(crate) waits: Calls,
}

impl Kinds {
    pub(crate) fn new(limits: CallLimits) -> Self {
        Self {
            reads: Calls::new("reads", limits.reads),
            appends: Calls::new("appends", limits.appends),
            waits: Calls::new("waits", limits.waits),
        }
    }
}

impl Calls {
    fn new(label: &'static str, max: usize) -> Self {
        Self { label, max, places: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))) }
    }

    /// A place for one more, kept until it is dropped; `None`: there is none.
    pub(crate) fn begin(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        if place.is_none() {
            counter!("receiptd_requests_shed_total", "reason" => self.label).increment(1);
        }
        place
    }

    /// How many there may be.
    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_places_of_each_kind_as_are_set() {
        let kinds = Kinds::new(CallLimits { reads: 1, appends: 2, waits: 0 });
        let first = kinds.reads.begin();
        assert!(first.is_some() && kinds.reads.begin().is_none());
        drop(first);
        assert!(kinds.reads.begin().is_some());
        assert!(kinds.waits.begin().is_none());
        let _both = [kinds.appends.begin(), kinds.appends.begin()].map(Option::unwrap);
        assert!(kinds.appends.begin().is_none());
    }
}
