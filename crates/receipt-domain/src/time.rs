//! Windows of log time: when a message is kept, and which reads count for it (S16, S20, S30).

use crate::{limits::TIME_AHEAD_MAX_MS, settings::Settings};

/// Milliseconds as the whole seconds that read times are kept in. Times after 2106-02-07 are kept as that day.
#[must_use]
pub fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(u32::MAX).min(u32::MAX - 1)
}

/// The time that stands for one given in an event (S20): the arrival, where none is given or it lies too far ahead.
#[must_use]
pub fn event_time_ms(given_ms: Option<u64>, arrival_ms: u64) -> u64 {
    match given_ms {
        Some(given) if given <= arrival_ms.saturating_add(TIME_AHEAD_MAX_MS) => given,
        _ => arrival_ms,
    }
}

/// Where a read's arrival lies, seen from a message (S16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// More than the early window before the message: it never counts.
    TooEarly,
    /// It counts.
    InTime,
    /// More than the retention after the message: it may be meant for the id's next use.
    TooLate,
}

impl Settings {
    /// Whether a message of log time `sent_ms` is kept at log time `now_ms` (S30).
    #[must_use]
    pub fn keeps(&self, sent_ms: u64, now_ms: u64) -> bool {
        self.retention_ms == 0 || now_ms <= sent_ms.saturating_add(self.retention_ms)
    }

    /// Whether a message of log time `sent_ms` is still known by its id at log time `now_ms` (S30).
    #[must_use]
    pub fn knows(&self, sent_ms: u64, now_ms: u64) -> bool {
        self.retention_ms == 0 || now_ms <= sent_ms.saturating_add(self.retention_ms.saturating_mul(2))
    }

    /// Whether a read that arrived at `arrival_ms` counts for a message of log time `sent_ms` (S16).
    #[must_use]
    pub fn arrival(&self, arrival_ms: u64, sent_ms: u64) -> Arrival {
        if arrival_ms.saturating_add(self.early_window_ms) < sent_ms {
            Arrival::TooEarly
        } else if self.retention_ms != 0 && arrival_ms > sent_ms.saturating_add(self.retention_ms) {
            Arrival::TooLate
        } else {
            Arrival::InTime
        }
    }

    /// Whether a read that arrived at `arrival_ms` may still count for a message that is yet to come (S16).
    #[must_use]
    pub fn waits(&self, arrival_ms: u64, now_ms: u64) -> bool {
        now_ms <= arrival_ms.saturating_add(self.early_window_ms)
    }
}
