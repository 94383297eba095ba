//! Who waits for whose inbox. A wake-up carries no data.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use receipt_domain::id::UserId;
use tokio::sync::Notify;

/// The wake-ups of one partition's senders who have a subscription.
#[derive(Debug, Default)]
pub(crate) struct Wakeups(Mutex<HashMap<UserId, Weak<Notify>>>);

impl Wakeups {
    fn senders(&self) -> MutexGuard<'_, HashMap<UserId, Weak<Notify>>> {
        // Every change below is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sender's wake-up, which all their subscriptions share.
    pub(crate) fn of(&self, sender: &UserId) -> Arc<Notify> {
        let mut senders = self.senders();
        if let Some(there) = senders.get(sender).and_then(Weak::upgrade) {
            return there;
        }
        let new = Arc::new(Notify::new());
        senders.insert(sender.clone(), Arc::downgrade(&new));
        new
    }

    /// Wakes a sender's subscriptions.
    pub(crate) fn wake(&self, sender: &UserId) {
        let mut senders = self.senders();
        match senders.get(sender).map(Weak::upgrade) {
            Some(Some(there)) => there.notify_waiters(),
            Some(None) => {
                senders.remove(sender);
            }
            None => {}
        }
    }

    /// Wakes everybody, for what concerns them all.
    pub(crate) fn wake_all(&self) {
        self.senders().retain(|_, waiting| {
            waiting.upgrade().is_some_and(|there| {
                there.notify_waiters();
                true
            })
        });
    }
}
