//! How many streams are open, of each user and in all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metrics::gauge;
use receipt_domain::id::UserId;
use tonic::Status;

use crate::error;

/// How many streams may be open at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// Of one user.
    pub a_user: usize,
    /// In all.
    pub in_all: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { a_user: 100, in_all: 100_000 }
    }
}

#[derive(Debug, Default)]
struct Open {
    in_all: usize,
    by_user: HashMap<UserId, usize>,
}

/// The open streams.
#[derive(Debug)]
pub(crate) struct Streams {
    limits: StreamLimits,
    open: Mutex<Open>,
}

/// One open stream; it is closed when this goes.
#[derive(Debug)]
pub(crate) struct Place {
    streams: Arc<Streams>,
    user: UserId,
}

impl Streams {
    pub(crate) fn new(limits: StreamLimits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Every change below is complete before anything can panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more stream of a user, if there is one.
    pub(crate) fn take(self: &Arc<Self>, user: &UserId) -> Result<Place, Status> {
        let mut open = self.open();
        if open.in_all >= self.limits.in_all {
            return Err(error::too_many_streams("in all", self.limits.in_all));
        }
        let of_user = open.by_user.entry(user.clone()).or_default();
        if *of_user >= self.limits.a_user {
            return Err(error::too_many_streams("of one user", self.limits.a_user));
        }
        *of_user += 1;
        open.in_all += 1;
        gauge!("receiptd_streams").increment(1.0);
        Ok(Place { streams: Arc::clone(self), user: user.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        open.in_all -= 1;
        gauge!("receiptd_streams").decrement(1.0);
        if let Some(of_user) = open.by_user.get_mut(&self.user) {
            *of_user -= 1;
            if *of_user == 0 {
                open.by_user.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_come_back() {
        let (ann, bob) = (UserId::new("ann").unwrap(), UserId::new("bob").unwrap());
        let streams = Streams::new(StreamLimits { a_user: 2, in_all: 3 });
        let first = streams.take(&ann).unwrap();
        let _second = streams.take(&ann).unwrap();
        assert!(streams.take(&ann).is_err_and(|status| status.message().contains("at most 2 streams of one user")));
        let _third = streams.take(&bob).unwrap();
        assert!(streams.take(&bob).is_err_and(|status| status.message().contains("at most 3 streams in all")));
        drop(first);
        assert!(streams.take(&bob).is_ok());
        assert!(streams.take(&ann).is_ok());
    }
}
