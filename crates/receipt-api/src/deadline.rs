//! Until when a call may wait (S29): the caller's deadline, or 5 s from the end of its body.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Request, codegen::http::HeaderMap};

/// Without a deadline of the caller's.
const DEFAULT: Duration = Duration::from_secs(5);
/// Longer ones are cut: nobody waits for a day.
const MAX: Duration = Duration::from_secs(24 * 3600);
/// How long before the caller gives up the answer is sent, at most.
const MARGIN_MAX: Duration = Duration::from_millis(100);

/// When a call stops waiting, a little before its caller does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// The caller's own, of a request whose head arrives now.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let given = timeout(headers.get("grpc-timeout")?.to_str().ok()?)?;
        Some(Self(Instant::now() + waiting(given)))
    }

    /// Of a request whose body is there: the caller's own, or one that begins now.
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        let set = request.extensions().get::<Self>().copied();
        set.unwrap_or_else(|| Self(Instant::now() + DEFAULT))
    }

    pub(crate) fn instant(self) -> Instant {
        self.0
    }
}

fn waiting(given: Duration) -> Duration {
    let given = given.min(MAX);
    given - (given / 5).min(MARGIN_MAX)
}

/// A `grpc-timeout`: up to 8 digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read() {
        for (text, timeout_ms) in [("2S", 2000), ("150m", 150), ("1H", 3_600_000), ("3M", 180_000), ("5000u", 5)] {
            assert_eq!(timeout(text), Some(Duration::from_millis(timeout_ms)), "{text}");
        }
        assert_eq!(timeout("7n"), Some(Duration::from_nanos(7)));
        for text in ["", "S", "1", "1s", "-1S", "+1S", "123456789S", "1 S", "1é", "é"] {
            assert_eq!(timeout(text), None, "{text:?}");
        }
    }

    #[test]
    fn s29_the_answer_comes_before_the_caller_gives_up() {
        assert_eq!(waiting(Duration::from_millis(100)), Duration::from_millis(80));
        assert_eq!(waiting(Duration::from_secs(10)), Duration::from_millis(9900));
        assert_eq!(waiting(Duration::ZERO), Duration::ZERO);
        assert!(waiting(timeout("99999999H").unwrap()) < MAX);
    }
}
