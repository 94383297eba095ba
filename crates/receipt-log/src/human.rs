//! Times, spans and errors as an operator reads them.

use std::error::Error;
use std::fmt::Write as _;

/// An error and its causes in one line. Many errors say their cause themselves: such a cause is not said again.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            let _ = write!(line, ": {text}");
        }
        cause = error.source();
    }
    line
}

/// Milliseconds since 1970 as `2026-03-01 12:34:56 UTC`.
#[must_use]
pub fn time(ms: u64) -> String {
    let seconds = ms / 1000;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// A span in its two largest units: `41 d 3 h`, `3 h 20 min`, `20 min 5 s`, `5 s`.
#[must_use]
pub fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Year, month and day of a day since 1970, in the Gregorian calendar. Years are counted from March, so that the leap
/// day is a year's last; an era is 400 years (146,097 days).
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Nested {
        #[error("opening the log: {0}")]
        Says(#[source] crate::LogError),
        #[error("starting")]
        DoesNotSay(#[source] Box<Nested>),
    }

    #[test]
    fn a_cause_is_said_once() {
        let says = || Nested::Says(crate::LogError::Closed);
        assert_eq!(chain(&crate::LogError::Closed), "the log is closed");
        assert_eq!(chain(&says()), "opening the log: the log is closed");
        assert_eq!(chain(&Nested::DoesNotSay(Box::new(says()))), "starting: opening the log: the log is closed");
    }

    #[test]
    fn times_are_dates() {
        assert_eq!(time(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(time(1_709_251_199_999), "2024-02-29 23:59:59 UTC");
        assert_eq!(time(4_107_542_400_000), "2100-03-01 00:00:00 UTC");
        assert_eq!(time(253_402_300_799_999), "9999-12-31 23:59:59 UTC");
        assert!(time(u64::MAX).ends_with("UTC"));
    }

    #[test]
    fn spans_have_two_units() {
        assert_eq!(span(999), "0 s");
        assert_eq!(span(5_000), "5 s");
        assert_eq!(span(1_205_000), "20 min 5 s");
        assert_eq!(span(12_000_000), "3 h 20 min");
        assert_eq!(span(3_553_200_000), "41 d 3 h");
    }
}
