//! Every comparison of times, in one place.

use receipt_domain::{limits::TIME_AHEAD_MAX_MS, settings::Settings};

/// How old a message is, by log time (S30).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// It answers.
    Kept,
    /// It is known, and answers no more.
    Expired,
    /// Its id is free.
    Forgotten,
}

/// S30: the age at this log time of a message that has this one. A retention of 0 is for ever.
pub(super) fn age(settings: &Settings, message_log_time_ms: u64, log_time_ms: u64) -> Age {
    let passed_by = log_time_ms.saturating_sub(message_log_time_ms);
    if settings.retention_ms == 0 || passed_by <= settings.retention_ms {
        Age::Kept
    } else if passed_by <= settings.retention_ms.saturating_mul(2) {
        Age::Expired
    } else {
        Age::Forgotten
    }
}

/// S16, first half: whether a read arrived no more than `early_window` before this log time.
pub(super) fn not_too_early(settings: &Settings, arrival_ms: u64, message_log_time_ms: u64) -> bool {
    arrival_ms.saturating_add(settings.early_window_ms) >= message_log_time_ms
}

/// S16, second half: whether a read arrived no more than `retention` after this log time.
fn not_too_late(settings: &Settings, arrival_ms: u64, message_log_time_ms: u64) -> bool {
    settings.retention_ms == 0 || arrival_ms <= message_log_time_ms.saturating_add(settings.retention_ms)
}

/// S16: whether a read that arrived then counts for a message with this log time.
pub(super) fn counts(settings: &Settings, arrival_ms: u64, message_log_time_ms: u64) -> bool {
    not_too_early(settings, arrival_ms, message_log_time_ms) && not_too_late(settings, arrival_ms, message_log_time_ms)
}

/// S20: the time given inside an event, or the arrival where none is, or where it is too far ahead.
pub(super) fn given_or_arrival(given_ms: Option<u64>, arrival_ms: u64) -> u64 {
    match given_ms {
        Some(ms) if ms <= arrival_ms.saturating_add(TIME_AHEAD_MAX_MS) => ms,
        _ => arrival_ms,
    }
}
