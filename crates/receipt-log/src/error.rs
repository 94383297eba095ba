//! What can go wrong, and what to do about it.

use std::path::PathBuf;

use receipt_dbfiles::FileError;

use crate::{Topic, human};

/// What mends a damaged log.
const RESTORE: &str = "restore the log from a copy, an embedded one by `receiptctl snapshot restore` into an empty data \
    directory; without a snapshot, `receiptctl log export --until-damage` writes what is whole of an embedded one";

/// An error of the log. Its text says what happened and, where somebody can mend it, how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Another process, or another handle in this one, has the directory open.
    #[error("the log in {} is in use by another process: stop that one, or choose another directory", dir.display())]
    Locked {
        /// The log's directory.
        dir: PathBuf,
    },
    /// The directory could not be opened as a log.
    #[error("the log in {} cannot be opened: {detail}", dir.display())]
    Open {
        /// The log's directory.
        dir: PathBuf,
        /// Why.
        detail: String,
    },
    /// There is no log in the directory.
    #[error("there is no log in {}", dir.display())]
    NoLog {
        /// The directory.
        dir: PathBuf,
    },
    /// A log keeps the partitions it was created with: keys would move to others.
    #[error(
        "the log has {stored} partitions, and {asked} were asked for: start with {stored}, or with an empty directory"
    )]
    PartitionCount {
        /// What the log was created with.
        stored: u32,
        /// What it was opened with.
        asked: u32,
    },
    /// A number of partitions that no log can have.
    #[error("a log has 1 to {max} partitions, and {asked} were asked for")]
    BadPartitionCount {
        /// What was asked for.
        asked: u32,
        /// The most there can be.
        max: u32,
    },
    /// There is no such partition.
    #[error("partition {partition} does not exist: the log has partitions 0 to {last}")]
    NoSuchPartition {
        /// What was asked for.
        partition: u32,
        /// The log's last one.
        last: u32,
    },
    /// A record over a limit. Nothing of its request was appended.
    #[error("a record's {part} may have {max} bytes, and this one has {bytes}")]
    RecordTooLarge {
        /// `value`, or `key and headers`.
        part: &'static str,
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
    /// A record with more headers than [`crate::RECORD_HEADERS_MAX`]. Nothing of its request was appended.
    #[error("a record may have {max} headers, and this one has {headers}")]
    TooManyHeaders {
        /// How many it has.
        headers: usize,
        /// How many it may have.
        max: usize,
    },
    /// The clock stands so far past the last arrival that everything in the log would expire at once. Nothing was
    /// appended. Goes away by itself once the clock is right again.
    #[error(
        "the clock says {}, which is {} past the log's last record of {}, and more than the {} it may be: if the clock \
         is right, start with --accept-clock-jump; else set the clock",
        human::time(*now_ms), human::span(now_ms.saturating_sub(*last_ms)), human::time(*last_ms), human::span(*max_ms)
    )]
    ClockJump {
        /// The log's last arrival, in milliseconds since 1970.
        last_ms: u64,
        /// The clock, in milliseconds since 1970.
        now_ms: u64,
        /// How far the clock may be past the last arrival, in milliseconds.
        max_ms: u64,
    },
    /// The log's last arrival is more than [`crate::ARRIVAL_AHEAD_MAX_MS`] ahead of the clock, and no later record may
    /// arrive earlier. Nothing was appended. Goes away by itself once the clock has come near.
    #[error(
        "the log's last record arrived at {}, which is {} ahead of the clock, and no later record may arrive earlier: if \
         the clock is wrong, set it; if the record's time is wrong, export the log and import it into an empty data \
         directory with `receiptctl log import --timestamps-not-after TIME`; to go on with arrivals that are so far \
         ahead, start with --accept-clock-jump",
        human::time(*last_ms), human::span(last_ms.saturating_sub(*now_ms))
    )]
    LastArrivalAhead {
        /// The log's last arrival, in milliseconds since 1970.
        last_ms: u64,
        /// The clock, in milliseconds since 1970.
        now_ms: u64,
    },
    /// A copied record's timestamp is more than [`crate::ARRIVAL_AHEAD_MAX_MS`] ahead of the clock. Nothing of its request
    /// was appended.
    #[error(
        "record {index} of a copy has the timestamp {timestamp_ms} ({}), which is {} ahead of the clock and may be at \
         most {}: no later record could arrive earlier",
        human::time(*timestamp_ms), human::span(timestamp_ms.saturating_sub(*now_ms)),
        human::span(crate::ARRIVAL_AHEAD_MAX_MS)
    )]
    ArrivalAhead {
        /// Which of the request's records, from 0.
        index: usize,
        /// Its timestamp, in milliseconds since 1970.
        timestamp_ms: u64,
        /// The clock, in milliseconds since 1970.
        now_ms: u64,
    },
    /// What was asked for has been trimmed.
    #[error("{topic}/{partition} starts at offset {start}: {from} has been trimmed")]
    Trimmed {
        /// Its topic.
        topic: Topic,
        /// Its partition.
        partition: u32,
        /// The offset that was asked for.
        from: u64,
        /// The first offset that there is.
        start: u64,
    },
    /// What was asked for has not been written: the asker's log is not this one, or this one has lost its end.
    #[error("{topic}/{partition} ends at offset {end}: {from} is past that")]
    PastEnd {
        /// Its topic.
        topic: Topic,
        /// Its partition.
        partition: u32,
        /// The offset that was asked for.
        from: u64,
        /// The next offset to be given out.
        end: u64,
    },
    /// A partition on Kafka has lost records that had been acknowledged and read, as after an unclean leader election, and
    /// may have grown again since: its offsets name other records now (R7).
    #[error(
        "{topic}/{partition} was truncated on Kafka: the record at offset {offset} that was read{} is there no more \
         ({found}), so acknowledged records were lost, as after an unclean leader election", under(*leader_epoch)
    )]
    Truncated {
        /// Its topic.
        topic: Topic,
        /// Its partition.
        partition: u32,
        /// Of the last record that was read.
        offset: u64,
        /// The leader epoch that it was written under, if that is known.
        leader_epoch: Option<u32>,
        /// What shows it.
        found: String,
    },
    /// A stored record is damaged, or missing where one must be.
    #[error("{topic}/{partition} is damaged at offset {offset}: {detail}; {RESTORE}")]
    Corrupt {
        /// Its topic.
        topic: Topic,
        /// Its partition.
        partition: u32,
        /// Its offset.
        offset: u64,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The log is damaged elsewhere than in a record.
    #[error("the log is damaged: {detail}; {RESTORE}")]
    Damaged {
        /// What is wrong.
        detail: String,
    },
    /// The disk could not be read.
    #[error("the log cannot be read: {detail}")]
    Read {
        /// Why.
        detail: String,
    },
    /// A synced write failed, and whether the disk has it is unknown. So that no offset is given out twice, the log
    /// takes no more; what a start finds on the disk is what was written.
    #[error("the log takes no more records since a write failed: {reason}; see to the disk and start again")]
    Failed {
        /// What failed.
        reason: String,
    },
    /// The disk has less room than is to be kept free. Nothing was appended. Goes away by itself once it has.
    #[error(
        "the disk of the log has {} MiB free, and {} MiB are kept free, so nothing is appended: give it room",
        free_bytes >> 20, reserve_bytes >> 20
    )]
    DiskFull {
        /// Bytes that are free.
        free_bytes: u64,
        /// Bytes that are kept free.
        reserve_bytes: u64,
    },
    /// The log is being closed. Nothing was appended.
    #[error("the log is closed")]
    Closed,
    /// No broker answered at the start.
    #[error("Kafka at {servers} did not answer within {waited_secs} s: is it running, and may this machine reach it?")]
    Unreachable {
        /// The brokers that were tried.
        servers: String,
        /// For how long.
        waited_secs: u64,
    },
    /// Kafka did not do what it was asked, in time or at all. What was to be appended may or may not be in the log.
    #[error("Kafka did not do it: {detail}")]
    Unavailable {
        /// What it said, or librdkafka in its place.
        detail: String,
    },
    /// The broker's clock stands more than the topic's `message.timestamp.after.max.ms` behind this machine's. Nothing
    /// was appended. Goes away by itself once the clocks are right again.
    #[error("Kafka takes no records that are so far ahead of its clock: set this machine's clock, or the broker's")]
    ClockAhead,
    /// Kafka will not take this record, now or later.
    #[error("Kafka refuses the record: {detail}")]
    Refused {
        /// Why, and what mends it.
        detail: String,
    },
    /// A setting that can't be.
    #[error("the Kafka setting {name} {problem}")]
    Setting {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A topic that is not there, or not as it must be.
    #[error("the topic {name} {problem}")]
    Topic {
        /// Its name on the brokers.
        name: String,
        /// What is wrong with it, and what mends it.
        problem: String,
    },
    /// A topic was given a setting, while it was read, with which records go that nobody would miss (R7).
    #[error("the topic {name} {problem}, start receiptd again, and run `receiptctl replay verify`")]
    TopicSetting {
        /// Its name on the brokers.
        name: String,
        /// What is wrong with it, and what to set it to.
        problem: String,
    },
    /// A topic was deleted while it was read, or made anew under the same name (R7).
    #[error(
        "the topic {name} was {}: its records are gone, and offsets mean others; restore the topic from a copy, or start \
         with another data directory to fold what there is", if *gone { "deleted" } else { "deleted and created again" }
    )]
    TopicChanged {
        /// Its name on the brokers.
        name: String,
        /// Whether there is none of this name now.
        gone: bool,
    },
}

/// What a caller does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The same may go well later or elsewhere. Nothing was changed, but where the error says otherwise.
    Retry,
    /// What is stored cannot be right: stop and say so (R7).
    Corrupt,
    /// The request cannot be done, now or later.
    Invalid,
    /// This process can do nothing more with the log.
    Fatal,
}

impl From<FileError> for LogError {
    fn from(error: FileError) -> LogError {
        match error {
            FileError::Damaged { .. } => LogError::Damaged { detail: error.to_string() },
            FileError::Unreadable { .. } => LogError::Read { detail: error.to_string() },
        }
    }
}

impl LogError {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            LogError::ClockJump { .. }
            | LogError::LastArrivalAhead { .. }
            | LogError::DiskFull { .. }
            | LogError::Closed
            | LogError::Unavailable { .. }
            | LogError::ClockAhead => ErrorKind::Retry,
            LogError::Corrupt { .. }
            | LogError::Damaged { .. }
            | LogError::TopicChanged { .. }
            | LogError::TopicSetting { .. }
            | LogError::Truncated { .. } => ErrorKind::Corrupt,
            LogError::PartitionCount { .. }
            | LogError::BadPartitionCount { .. }
            | LogError::NoSuchPartition { .. }
            | LogError::RecordTooLarge { .. }
            | LogError::TooManyHeaders { .. }
            | LogError::ArrivalAhead { .. }
            | LogError::Trimmed { .. }
            | LogError::PastEnd { .. }
            | LogError::Refused { .. }
            | LogError::Setting { .. }
            | LogError::Topic { .. } => ErrorKind::Invalid,
            LogError::Unreachable { .. }
            | LogError::Locked { .. }
            | LogError::Open { .. }
            | LogError::NoLog { .. }
            | LogError::Read { .. }
            | LogError::Failed { .. } => ErrorKind::Fatal,
        }
    }

    /// An error of RocksDB while reading.
    pub(crate) fn reading(error: &rocksdb::Error) -> LogError {
        match error.kind() {
            rocksdb::ErrorKind::Corruption => LogError::Damaged { detail: error.to_string() },
            _ => LogError::Read { detail: error.to_string() },
        }
    }
}

fn under(leader_epoch: Option<u32>) -> String {
    leader_epoch.map_or_else(String::new, |epoch| format!(" under leader epoch {epoch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncation_names_the_record_that_is_gone() {
        let error = LogError::Truncated {
            topic: Topic::Reads,
            partition: 3,
            offset: 41,
            leader_epoch: Some(2),
            found: "the record there is of leader epoch 4".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "receipts.reads/3 was truncated on Kafka: the record at offset 41 that was read under leader epoch 2 is there \
             no more (the record there is of leader epoch 4), so acknowledged records were lost, as after an unclean \
             leader election"
        );
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_clock_jump_names_both_times_and_the_flag() {
        let error =
            LogError::ClockJump { last_ms: 951_782_400_000, now_ms: 1_709_251_199_999, max_ms: 30 * 24 * 3_600_000 };
        assert_eq!(
            error.to_string(),
            "the clock says 2024-02-29 23:59:59 UTC, which is 8766 d 23 h past the log's last record of 2000-02-29 \
             00:00:00 UTC, and more than the 30 d 0 h it may be: if the clock is right, start with \
             --accept-clock-jump; else set the clock"
        );
        assert_eq!(error.kind(), ErrorKind::Retry);
    }
}
