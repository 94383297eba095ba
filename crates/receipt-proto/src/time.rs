//! Protobuf timestamps and the domain's milliseconds.

use prost_types::Timestamp;
use receipt_domain::limits::TIME_MAX_MS;

use crate::InvalidField;

/// The last second of the year 9999.
const SECONDS_MAX: u64 = TIME_MAX_MS / 1000;
const NANOS_PER_MS: u32 = 1_000_000;
const NANOS_PER_S: u32 = 1_000_000_000;

/// Milliseconds since 1970, rounded down; an error for what is before 1970 or no valid timestamp (S20).
pub fn ms_from_timestamp(field: &str, time: &Timestamp) -> Result<u64, InvalidField> {
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < NANOS_PER_S).ok_or_else(|| {
        InvalidField::rule(field, format_args!("has {} nanos, which must be 0 to 999999999", time.nanos))
    })?;
    let seconds =
        u64::try_from(time.seconds).map_err(|_| InvalidField::rule(field, "is before 1970-01-01T00:00:00Z"))?;
    if seconds > SECONDS_MAX {
        return Err(InvalidField::rule(field, "is after 9999-12-31T23:59:59.999999999Z"));
    }
    Ok(seconds * 1000 + u64::from(nanos / NANOS_PER_MS))
}

/// The timestamp of a time in milliseconds since 1970; what is past the year 9999 is its last millisecond.
#[must_use]
pub fn timestamp_from_ms(ms: u64) -> Timestamp {
    let ms = ms.min(TIME_MAX_MS);
    // Neither conversion can fail, after the line above.
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(ms % 1000).unwrap_or(0) * 1_000_000;
    Timestamp { seconds, nanos }
}

/// The timestamp of a time in whole seconds since 1970; what is past the year 9999 is its last millisecond.
#[must_use]
pub fn timestamp_from_s(s: u64) -> Timestamp {
    timestamp_from_ms(s.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(seconds: i64, nanos: i32) -> Result<u64, InvalidField> {
        ms_from_timestamp("read_at", &Timestamp { seconds, nanos })
    }

    #[test]
    fn s20_times_are_rounded_down_to_milliseconds() {
        assert_eq!(ms(0, 0), Ok(0));
        assert_eq!(ms(0, 999_999), Ok(0));
        assert_eq!(ms(1, 1_999_999), Ok(1001));
        assert_eq!(ms(253_402_300_799, 999_999_999), Ok(TIME_MAX_MS));
    }

    #[test]
    fn s20_invalid_times_are_named() {
        for (seconds, nanos, problem) in [
            (-1, 0, "is before 1970-01-01T00:00:00Z"),
            (-1, 999_999_999, "is before 1970-01-01T00:00:00Z"),
            (i64::MIN, 0, "is before 1970-01-01T00:00:00Z"),
            (253_402_300_800, 0, "is after 9999-12-31T23:59:59.999999999Z"),
            (i64::MAX, 0, "is after 9999-12-31T23:59:59.999999999Z"),
            (0, -1, "has -1 nanos, which must be 0 to 999999999"),
            (0, 1_000_000_000, "has 1000000000 nanos, which must be 0 to 999999999"),
        ] {
            let error = ms(seconds, nanos).unwrap_err();
            assert_eq!(error.to_string(), format!("read_at {problem}"));
            assert!(!error.limit);
        }
    }

    #[test]
    fn timestamps_go_back_and_forth() {
        for t in [0, 1, 999, 1000, 1_700_000_000_123, TIME_MAX_MS] {
            assert_eq!(ms_from_timestamp("t", &timestamp_from_ms(t)), Ok(t));
        }
        assert_eq!(timestamp_from_s(7), Timestamp { seconds: 7, nanos: 0 });
        assert_eq!(ms_from_timestamp("t", &timestamp_from_ms(u64::MAX)), Ok(TIME_MAX_MS));
        assert_eq!(ms_from_timestamp("t", &timestamp_from_s(u64::MAX)), Ok(TIME_MAX_MS));
    }
}
