//! The topics' settings: those that new topics get, and what is wrong with the settings of those that are there.

use std::collections::BTreeMap;

use crate::{RECORD_KEY_AND_HEADERS_MAX_BYTES, RECORD_VALUE_MAX_BYTES, Topic, human};

/// Bytes that a topic must let a record have: one of ours at its largest, and what Kafka puts around it.
const MESSAGE_MIN_BYTES: usize = RECORD_VALUE_MAX_BYTES + RECORD_KEY_AND_HEADERS_MAX_BYTES + 4096;
/// How far ahead of the broker's clock a record may be, so that no producer can push log time far ahead.
const AHEAD_MAX_MS: u64 = 3_600_000;

/// The settings of a new topic with so many copies of each partition.
pub(super) fn of_new(copies: u16) -> [(&'static str, String); 9] {
    [
        // Compaction would keep of a conversation only its last event.
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", "-1".to_owned()),
        ("retention.bytes", "-1".to_owned()),
        // What is acknowledged is on all copies but one: one broker may be away, and one may be lost.
        ("min.insync.replicas", in_sync(copies.into()).to_string()),
        // A replica that lacks acknowledged records must not become the leader.
        ("unclean.leader.election.enable", "false".to_owned()),
        // The record's own time, so that a copied log keeps its meaning.
        ("message.timestamp.type", "CreateTime".to_owned()),
        ("message.timestamp.after.max.ms", AHEAD_MAX_MS.to_string()),
        ("compression.type", "producer".to_owned()),
        ("max.message.bytes", (2 * MESSAGE_MIN_BYTES).to_string()),
    ]
}

fn in_sync(copies: usize) -> usize {
    copies.saturating_sub(1).max(1)
}

/// What receiptd does about a setting that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// It warns: brokers that fail may lose acknowledged records, which is the operator's choice.
    Warns,
    /// It does not start. While it runs it logs an error: what is lost so is noticed where it is read.
    Refuses,
    /// It does not start, and stops to fold and to append while it runs, as what is lost so is noticed by nobody.
    Seals,
}

/// A setting that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) weight: Weight,
    /// Which setting, what is wrong with it, and what it is to be set to; behind the topic's name.
    pub(super) text: String,
}

/// What is wrong with a topic's settings, the gravest first. Its partitions have so many copies.
pub(super) fn problems(
    topic: Topic,
    settings: &BTreeMap<String, String>,
    copies: usize,
    retention_ms: u64,
) -> Vec<Problem> {
    let is = |name: &str| settings.get(name).map_or("", String::as_str);
    let number = |name: &str| is(name).parse::<i128>().ok();
    let mut all = Vec::new();
    let mut wrong = |weight, name: &str, value: &str, why: &str| {
        let text =
            format!("has {name}={}: {why}; set it to {value} (kafka-configs --alter --entity-type topics)", is(name));
        all.push(Problem { weight, text });
    };
    if is("cleanup.policy") != "delete" {
        let why = "compaction takes away all but the last record of each key";
        wrong(Weight::Seals, "cleanup.policy", "delete", why);
    }
    if is("message.timestamp.type") != "CreateTime" {
        wrong(Weight::Refuses, "message.timestamp.type", "CreateTime", "a record's time is its producer's");
    }
    // Dead letters are for people: how long they are kept is the operator's affair.
    let kept_ms = number("retention.ms").unwrap_or(-1);
    let keep_ms = i128::from(retention_ms) * 2;
    if topic != Topic::DeadLetter && kept_ms >= 0 && (retention_ms == 0 || kept_ms < keep_ms) {
        let (value, of) = match retention_ms {
            0 => ("-1".to_owned(), "indefinitely".to_owned()),
            ms => (format!("-1 or at least {keep_ms}"), format!("for {}, and records twice that", human::span(ms))),
        };
        wrong(Weight::Refuses, "retention.ms", &value, &format!("messages are kept {of}"));
    }
    if topic != Topic::DeadLetter && number("retention.bytes").is_some_and(|bytes| bytes >= 0) {
        wrong(Weight::Refuses, "retention.bytes", "-1", "records would go by their size, whatever their age");
    }
    if number("max.message.bytes").is_some_and(|bytes| bytes < i128::try_from(MESSAGE_MIN_BYTES).unwrap_or(0)) {
        wrong(Weight::Refuses, "max.message.bytes", &MESSAGE_MIN_BYTES.to_string(), "records may be larger");
    }
    // Brokers before 3.6 have another name for it, and no limit.
    if number("message.timestamp.after.max.ms").is_some_and(|ms| ms > i128::from(24 * AHEAD_MAX_MS)) {
        let why = "a producer whose clock is wrong could make everything expire";
        wrong(Weight::Refuses, "message.timestamp.after.max.ms", &AHEAD_MAX_MS.to_string(), why);
    }
    if is("unclean.leader.election.enable") == "true" {
        let why = "a replica that lacks acknowledged records may become the leader, and they are lost";
        wrong(Weight::Refuses, "unclean.leader.election.enable", "false", why);
    }
    if copies > 1 && number("min.insync.replicas").is_some_and(|in_sync| in_sync < 2) {
        let why = format!(
            "a record is acknowledged that one of its {copies} copies has, and is lost with that broker{}",
            if copies == 2 { "; give the topic 3 copies" } else { "" }
        );
        wrong(Weight::Warns, "min.insync.replicas", &in_sync(copies).max(2).to_string(), &why);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3_600_000;

    fn changed(copies: u16, name: &str, value: &str) -> BTreeMap<String, String> {
        let all = of_new(copies).into_iter().map(|(name, value)| (name.to_owned(), value));
        let mut all: BTreeMap<_, _> = all.collect();
        all.insert(name.to_owned(), value.to_owned());
        all
    }

    #[test]
    fn what_would_lose_records_is_named_with_its_remedy() {
        let wrong = [
            ("cleanup.policy", "compact", "set it to delete", Weight::Seals),
            ("cleanup.policy", "compact,delete", "set it to delete", Weight::Seals),
            ("retention.ms", "604800000", "set it to -1 or at least 5184000000", Weight::Refuses),
            ("retention.bytes", "1000000000", "set it to -1", Weight::Refuses),
            ("message.timestamp.type", "LogAppendTime", "set it to CreateTime", Weight::Refuses),
            ("max.message.bytes", "1000000", "set it to 1069632", Weight::Refuses),
            ("message.timestamp.after.max.ms", "9223372036854775807", "set it to 3600000", Weight::Refuses),
            ("unclean.leader.election.enable", "true", "set it to false", Weight::Refuses),
            ("min.insync.replicas", "1", "set it to 2", Weight::Warns),
        ];
        for (name, value, remedy, weight) in wrong {
            let problems = problems(Topic::Reads, &changed(3, name, value), 3, 30 * DAY);
            let [Problem { weight: found, text }] = problems.as_slice() else { panic!("{name}: {problems:?}") };
            assert_eq!(*found, weight, "{text}");
            assert!(text.starts_with(&format!("has {name}={value}: ")) && text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn topics_as_they_are_created_are_right() {
        for (topic, copies) in Topic::ALL.into_iter().zip([1, 3, 4, 5]) {
            for retention_ms in [0, 1, 30 * DAY] {
                let settings = changed(copies, "retention.ms", "-1");
                assert_eq!(problems(topic, &settings, copies.into(), retention_ms), []);
            }
        }
        let kept = changed(3, "retention.ms", &(60 * DAY).to_string());
        assert_eq!(problems(Topic::Reads, &kept, 3, 30 * DAY), []);
        let short = changed(3, "retention.ms", "1000");
        assert_eq!(problems(Topic::DeadLetter, &short, 3, 30 * DAY), [], "for people only");
        assert_eq!(problems(Topic::Reads, &short, 3, 0).len(), 1, "kept indefinitely");
    }

    #[test]
    fn all_copies_but_one_have_what_is_acknowledged() {
        let in_sync = |copies| changed(copies, "retention.ms", "-1")["min.insync.replicas"].clone();
        assert_eq!([0, 1, 2, 3, 5].map(in_sync), ["1", "1", "1", "2", "4"]);
        let two = problems(Topic::Reads, &changed(2, "retention.ms", "-1"), 2, 0);
        assert!(two.len() == 1 && two[0].text.contains("give the topic 3 copies"), "{two:?}");
        assert_eq!(problems(Topic::Reads, &changed(1, "min.insync.replicas", "1"), 1, 0), [], "there is one copy");
    }
}
