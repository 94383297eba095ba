//! The topics on the brokers: how they are made, and what is wrong with those that are there.

use std::collections::BTreeMap;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::context::Context;
use super::options::KafkaOptions;
use super::{ASK_MAX, producer};
use crate::{LogError, PARTITIONS_MAX, RECORD_KEY_AND_HEADERS_MAX_BYTES, RECORD_VALUE_MAX_BYTES, Topic, human};

/// Bytes that a topic must let a record have: one of ours at its largest, and what Kafka puts around it.
const MESSAGE_MIN_BYTES: usize = RECORD_VALUE_MAX_BYTES + RECORD_KEY_AND_HEADERS_MAX_BYTES + 4096;
/// How far ahead of the broker's clock a record may be, so that no producer can push log time far ahead.
const AHEAD_MAX_MS: u64 = 3_600_000;

/// The settings of a new topic.
fn settings() -> [(&'static str, String); 7] {
    [
        // Compaction would keep of a conversation only its last event.
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", "-1".to_owned()),
        ("retention.bytes", "-1".to_owned()),
        // The record's own time, so that a copied log keeps its meaning.
        ("message.timestamp.type", "CreateTime".to_owned()),
        ("message.timestamp.after.max.ms", AHEAD_MAX_MS.to_string()),
        ("compression.type", "producer".to_owned()),
        ("max.message.bytes", (2 * MESSAGE_MIN_BYTES).to_string()),
    ]
}

/// What became of a topic that was to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its name on the brokers.
    pub name: String,
    /// `false`: it was there already.
    pub created: bool,
}

/// Makes the topics that are missing, each with so many partitions and replicas, and receiptd's settings. Those that
/// are there are left as they are.
///
/// # Errors
/// [`LogError::BadPartitionCount`], [`LogError::Setting`]; [`LogError::Topic`] names the topic that the brokers do not
/// make, and why; [`LogError::Unavailable`].
pub async fn create_topics(
    options: &KafkaOptions,
    partitions: u32,
    replication: u16,
) -> Result<Vec<CreatedTopic>, LogError> {
    options.check()?;
    if !(1..=PARTITIONS_MAX).contains(&partitions) {
        return Err(LogError::BadPartitionCount { asked: partitions, max: PARTITIONS_MAX });
    }
    let admin = admin(options)?;
    let (names, settings) = (Topic::ALL.map(|topic| options.topic_name(topic)), settings());
    let new = names.iter().map(|name| {
        let replication = TopicReplication::Fixed(i32::from(replication));
        let topic = NewTopic::new(name, i32::try_from(partitions).unwrap_or(i32::MAX), replication);
        settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
    });
    let new: Vec<_> = new.collect();
    let results = admin.create_topics(&new, &asked()).await.map_err(|error| unavailable(&error))?;
    let created = results.into_iter().map(|result| match result {
        Ok(name) => Ok(CreatedTopic { name, created: true }),
        Err((name, Code::TopicAlreadyExists)) => Ok(CreatedTopic { name, created: false }),
        Err((name, code)) => Err(LogError::Topic { name, problem: format!("could not be created: {code}") }),
    });
    created.collect()
}

/// Refuses topics whose settings would lose records, or change what they mean.
pub(super) async fn check_settings(options: &KafkaOptions) -> Result<(), LogError> {
    let admin = admin(options)?;
    let names = Topic::ALL.map(|topic| options.topic_name(topic));
    let asked_for: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let described = admin.describe_configs(&asked_for, &asked()).await.map_err(|error| unavailable(&error))?;
    for (topic, described) in Topic::ALL.into_iter().zip(described) {
        let name = options.topic_name(topic);
        let described = described
            .map_err(|code| LogError::Topic { name: name.clone(), problem: format!("cannot be described: {code}") })?;
        let entries = described.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
        let problem = problem(topic, &entries.collect(), options.retention_ms);
        if let Some(problem) = problem {
            return Err(LogError::Topic { name, problem });
        }
    }
    Ok(())
}

/// What is wrong with a topic's settings, and what mends it.
fn problem(topic: Topic, settings: &BTreeMap<String, String>, retention_ms: u64) -> Option<String> {
    let is = |name: &str| settings.get(name).map_or("", String::as_str);
    let number = |name: &str| is(name).parse::<i128>().ok();
    let set = |name: &str, value: &str, why: &str| {
        Some(format!("has {name}={}: {why}; set it to {value} (kafka-configs --alter --entity-type topics)", is(name)))
    };
    if is("cleanup.policy") != "delete" {
        return set("cleanup.policy", "delete", "compaction takes away all but the last record of each key");
    }
    if is("message.timestamp.type") != "CreateTime" {
        return set("message.timestamp.type", "CreateTime", "a record's time is its producer's");
    }
    // Dead letters are for people: how long they are kept is the operator's affair.
    let kept_ms = number("retention.ms").unwrap_or(-1);
    let keep_ms = i128::from(retention_ms) * 2;
    if topic != Topic::DeadLetter && kept_ms >= 0 && (retention_ms == 0 || kept_ms < keep_ms) {
        let (value, of) = match retention_ms {
            0 => ("-1".to_owned(), "for ever".to_owned()),
            ms => (format!("-1 or at least {keep_ms}"), format!("for {}, and records twice that", human::span(ms))),
        };
        return set("retention.ms", &value, &format!("messages are kept {of}"));
    }
    if topic != Topic::DeadLetter && number("retention.bytes").is_some_and(|bytes| bytes >= 0) {
        return set("retention.bytes", "-1", "records would go by their size, whatever their age");
    }
    if number("max.message.bytes").is_some_and(|bytes| bytes < i128::try_from(MESSAGE_MIN_BYTES).unwrap_or(0)) {
        return set("max.message.bytes", &MESSAGE_MIN_BYTES.to_string(), "records may be larger");
    }
    // Brokers before 3.6 have another name for it, and no limit.
    if number("message.timestamp.after.max.ms").is_some_and(|ms| ms > i128::from(24 * AHEAD_MAX_MS)) {
        let why = "a producer whose clock is wrong could make everything expire";
        return set("message.timestamp.after.max.ms", &AHEAD_MAX_MS.to_string(), why);
    }
    None
}

pub(super) fn admin(options: &KafkaOptions) -> Result<AdminClient<Context>, LogError> {
    AdminClient::from_config_and_context(&options.admin(), Context).map_err(|error| producer::setting(&error))
}

pub(super) fn asked() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ASK_MAX)).operation_timeout(Some(ASK_MAX))
}

fn unavailable(error: &rdkafka::error::KafkaError) -> LogError {
    LogError::Unavailable { detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3_600_000;

    fn changed(name: &str, value: &str) -> BTreeMap<String, String> {
        let mut all: BTreeMap<_, _> = settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        all.insert(name.to_owned(), value.to_owned());
        all
    }

    #[test]
    fn what_would_lose_records_is_named_with_what_mends_it() {
        let refused = [
            ("cleanup.policy", "compact", "set it to delete"),
            ("cleanup.policy", "compact,delete", "set it to delete"),
            ("retention.ms", "604800000", "set it to -1 or at least 5184000000"),
            ("retention.bytes", "1000000000", "set it to -1"),
            ("message.timestamp.type", "LogAppendTime", "set it to CreateTime"),
            ("max.message.bytes", "1000000", "set it to 1069632"),
            ("message.timestamp.after.max.ms", "9223372036854775807", "set it to 3600000"),
        ];
        for (name, value, cure) in refused {
            let problem = problem(Topic::Reads, &changed(name, value), 30 * DAY).unwrap_or_default();
            assert!(problem.starts_with(&format!("has {name}={value}: ")) && problem.contains(cure), "{problem}");
        }
    }

    #[test]
    fn topics_as_they_are_created_are_right() {
        for topic in Topic::ALL {
            for retention_ms in [0, 1, 30 * DAY] {
                assert_eq!(problem(topic, &changed("retention.ms", "-1"), retention_ms), None);
            }
        }
        assert_eq!(problem(Topic::Reads, &changed("retention.ms", &(60 * DAY).to_string()), 30 * DAY), None);
        assert_eq!(problem(Topic::DeadLetter, &changed("retention.ms", "1000"), 30 * DAY), None, "for people only");
        assert!(problem(Topic::Reads, &changed("retention.ms", "1000"), 0).is_some(), "kept for ever");
    }
}
