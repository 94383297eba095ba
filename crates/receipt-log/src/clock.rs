//! Where arrivals come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far ahead of the clock an arrival may be, in milliseconds. No later record of a log arrives earlier than the ones
/// before it, so one arrival far ahead takes all that follow with it.
pub const ARRIVAL_AHEAD_MAX_MS: u64 = 24 * 3_600_000;

/// Whether an arrival is further ahead of the clock than [`ARRIVAL_AHEAD_MAX_MS`].
#[must_use]
pub fn is_far_ahead(arrival_ms: u64, now_ms: u64) -> bool {
    arrival_ms.saturating_sub(now_ms) > ARRIVAL_AHEAD_MAX_MS
}

/// The clock of a log.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's.
    System,
    /// Set by whoever holds the other end, in milliseconds since 1970: for tests and simulators.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A manual clock, and the handle that sets it.
    #[must_use]
    pub fn manual(now_ms: u64) -> (Clock, Arc<AtomicU64>) {
        let hand = Arc::new(AtomicU64::new(now_ms));
        (Clock::Manual(Arc::clone(&hand)), hand)
    }

    /// Milliseconds since 1970; 0 where the machine's clock stands before that.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        match self {
            Clock::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            Clock::Manual(hand) => hand.load(Ordering::SeqCst),
        }
    }
}
