//! Timestamps of records that go into another log. One far ahead of the clock would take all later arrivals with it, as
//! none may be earlier than those before it.

use anyhow::anyhow;
use clap::Args;
use prost_types::Timestamp;
use receipt_log::{ARRIVAL_AHEAD_MAX_MS, Clock, StoredRecord, Topic, human, is_far_ahead};

/// What becomes of late timestamps.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Timestamps {
    /// Take each record whose timestamp is later than this with this timestamp instead: a time in RFC 3339, such as
    /// 2026-01-31T12:00:00Z, or now. For a log in which records have times that lie in the future by mistake.
    #[arg(long = "timestamps-not-after", value_name = "TIME", value_parser = time)]
    not_after_ms: Option<u64>,
}

/// A record that no log takes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{topic}/{partition}: the record at offset {offset} has the timestamp {timestamp_ms} ({}), which is {} ahead of this \
     machine's clock and may be at most {} ahead: no later record could arrive earlier. If it is wrong, \
     --timestamps-not-after TIME takes it with that time",
    human::time(*timestamp_ms), human::span(timestamp_ms.saturating_sub(*now_ms)), human::span(ARRIVAL_AHEAD_MAX_MS)
)]
pub(crate) struct FarAhead {
    topic: Topic,
    partition: u32,
    offset: u64,
    timestamp_ms: u64,
    now_ms: u64,
}

impl Timestamps {
    /// The record as it is appended.
    pub(crate) fn apply(self, mut record: StoredRecord) -> StoredRecord {
        record.timestamp_ms = self.timestamp_ms(&record);
        record
    }

    /// Refuses a record that would be appended with a timestamp far ahead of the clock.
    pub(crate) fn check(self, (topic, partition): (Topic, u32), record: &StoredRecord) -> Result<(), FarAhead> {
        let now_ms = Clock::System.now_ms();
        match self.timestamp_ms(record) {
            Some(timestamp_ms) if is_far_ahead(timestamp_ms, now_ms) => {
                Err(FarAhead { topic, partition, offset: record.offset, timestamp_ms, now_ms })
            }
            _ => Ok(()),
        }
    }

    fn timestamp_ms(self, record: &StoredRecord) -> Option<u64> {
        let not_after_ms = self.not_after_ms.unwrap_or(u64::MAX);
        record.timestamp_ms.map(|timestamp_ms| timestamp_ms.min(not_after_ms))
    }
}

/// `now`, or a time in RFC 3339; in milliseconds since 1970.
fn time(text: &str) -> anyhow::Result<u64> {
    if text == "now" {
        return Ok(Clock::System.now_ms());
    }
    let wrong = || anyhow!("a time is RFC 3339, such as 2026-01-31T12:00:00Z, or now");
    let time: Timestamp = text.parse().map_err(|_| wrong())?;
    let seconds = u64::try_from(time.seconds).map_err(|_| wrong())?;
    let ms = u64::try_from(time.nanos / 1_000_000).map_err(|_| wrong())?;
    Ok(seconds * 1000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(timestamp_ms: Option<u64>) -> StoredRecord {
        StoredRecord { offset: 7, timestamp_ms, key: None, value: None, headers: Vec::new(), leader_epoch: None }
    }

    #[test]
    fn a_record_a_day_ahead_is_taken_and_one_further_ahead_is_named() {
        let now_ms = Clock::System.now_ms();
        let timestamps = Timestamps::default();
        let check = |timestamp_ms| timestamps.check((Topic::Reads, 3), &record(timestamp_ms));
        for taken in [None, Some(0), Some(now_ms + ARRIVAL_AHEAD_MAX_MS)] {
            assert_eq!(check(taken), Ok(()));
        }
        for refused in [now_ms + ARRIVAL_AHEAD_MAX_MS + 60_000, u64::MAX] {
            let why = check(Some(refused)).unwrap_err().to_string();
            let named = format!("receipts.reads/3: the record at offset 7 has the timestamp {refused} (");
            assert!(why.starts_with(&named) && why.contains("--timestamps-not-after"), "{why}");
        }
    }

    #[test]
    fn later_timestamps_become_the_one_given() {
        let timestamps = Timestamps { not_after_ms: Some(time("1970-01-01T00:00:01.5Z").unwrap()) };
        let applied = |timestamp_ms| timestamps.apply(record(timestamp_ms)).timestamp_ms;
        assert_eq!([None, Some(3), Some(u64::MAX)].map(applied), [None, Some(3), Some(1_500)]);
        assert_eq!(timestamps.check((Topic::Reads, 3), &record(Some(u64::MAX))), Ok(()));
        let too_late = Timestamps { not_after_ms: Some(u64::MAX) };
        assert!(too_late.check((Topic::Reads, 3), &record(Some(u64::MAX))).is_err());
        for wrong in ["", "yesterday", "1969-12-31T00:00:00Z"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
