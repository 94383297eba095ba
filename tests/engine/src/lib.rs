//! Which log the tests run on: the embedded one, or one on the Kafka broker that `RECEIPT_KAFKA` names.
//!
//! One suite, two engines: a test asks for the log of its directory and does not see which it got. On Kafka the
//! directory's path is what its topics' names begin with, so that a test that opens the same directory again finds its
//! log again, and tests do not see each other's. What only the embedded log can show says so in its name.

// All of this is tests: where they cannot go on, they have failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

use std::path::Path;
use std::time::Duration;

use receipt_log::{Clock, EmbeddedOptions, KafkaOptions, Log, Topic, create_topics};

/// The brokers to run on, if not on the embedded log.
#[must_use]
pub fn kafka() -> Option<String> {
    std::env::var("RECEIPT_KAFKA").ok().filter(|servers| !servers.is_empty())
}

/// What the topics of a directory's log begin with.
#[must_use]
pub fn topic_prefix(dir: &Path) -> String {
    let path = dir.to_string_lossy();
    let plain = path.trim_matches('/').chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    format!("{}.", plain.collect::<String>())
}

/// How the log of a directory is opened on Kafka.
#[must_use]
pub fn kafka_options(servers: String, dir: &Path) -> KafkaOptions {
    KafkaOptions { topic_prefix: topic_prefix(dir), ..KafkaOptions::new(servers) }
}

/// The log of these options' directory, made where there is none yet.
pub async fn open(options: EmbeddedOptions) -> Log {
    let Some(servers) = kafka() else { return Log::open_embedded(options).unwrap() };
    let EmbeddedOptions { dir, partitions, retention_ms, clock, .. } = options;
    let kafka = KafkaOptions { retention_ms, clock, ..kafka_options(servers, &dir) };
    create_topics(&kafka, partitions, 1).await.unwrap();
    Log::open_kafka(kafka).await.unwrap()
}

/// As [`open`], outside async code.
#[must_use]
pub fn open_blocking(options: EmbeddedOptions) -> Log {
    match kafka() {
        None => Log::open_embedded(options).unwrap(),
        Some(_) => runtime().block_on(open(options)),
    }
}

/// Four partitions, nothing expires.
#[must_use]
pub fn options(dir: &Path, clock: Clock) -> EmbeddedOptions {
    EmbeddedOptions { dir: dir.to_path_buf(), partitions: 4, retention_ms: 0, accept_clock_jump: false, clock }
}

/// Waits until the log has so many records in a partition.
pub async fn reaches(log: &Log, topic: Topic, partition: u32, end: u64) {
    let mut reader = log.reader(topic, partition, log.start_offset(topic, partition));
    let read = async {
        while reader.position() < end {
            reader.wait().await.unwrap();
            reader.poll(4096, 1 << 20).unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("the log reaches that end within a minute");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
