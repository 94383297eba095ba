//! The two logs of a copy, and how they are opened.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, bail};
use receipt_log::{Clock, EmbeddedOptions, KafkaOptions, Log, LogError};
use receipt_projector::DataDir;

/// Where a log is.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// The embedded one of a data directory.
    DataDir(PathBuf),
    /// One on Kafka.
    Kafka { servers: String, topic_prefix: String, settings: BTreeMap<String, String> },
}

/// An open log, and what keeps receiptd off it.
pub(crate) struct Opened {
    pub(crate) log: Log,
    dir: Option<DataDir>,
}

impl Opened {
    /// Whether this process keeps receiptd off the data directory of the log.
    pub(crate) fn holds_data_dir(&self) -> bool {
        self.dir.is_some()
    }

    /// A copy that was made of the log of a data directory.
    pub(crate) fn of_scratch(log: Log, dir: DataDir) -> Self {
        Self { log, dir: Some(dir) }
    }
}

impl End {
    /// Opens the log that is copied.
    pub(crate) async fn source(self) -> anyhow::Result<Opened> {
        match self {
            Self::DataDir(dir) => {
                if !dir.is_dir() {
                    // Taking it would make it.
                    return Err(LogError::NoLog { dir }.into());
                }
                let dir = DataDir::take(&dir)?;
                Ok(Opened { log: Log::open_embedded_existing(&dir.log())?, dir: Some(dir) })
            }
            Self::Kafka { servers, topic_prefix, settings } => {
                // However short its topics keep records: that nothing is missing yet shows in where they begin.
                let options = KafkaOptions { topic_prefix, settings, retention_ms: 1, ..KafkaOptions::new(servers) };
                Ok(Opened { log: Log::open_kafka(options).await?, dir: None })
            }
        }
    }

    /// Opens the log that is written. An embedded one is made where there is none.
    pub(crate) async fn target(self, partitions: u32) -> anyhow::Result<Opened> {
        match self {
            Self::DataDir(dir) => {
                let taken = DataDir::take(&dir).context("the target")?;
                let (dir, clock) = (taken.log(), Clock::System);
                let options = EmbeddedOptions { dir, partitions, retention_ms: 0, accept_clock_jump: false, clock };
                let log = Log::open_embedded(options).context("the target")?;
                Ok(Opened { log, dir: Some(taken) })
            }
            Self::Kafka { servers, topic_prefix, settings } => {
                let prefix =
                    if topic_prefix.is_empty() { String::new() } else { format!(" --topic-prefix {topic_prefix}") };
                let create = format!("receiptctl topics create --kafka {servers}{prefix} --partitions {partitions}");
                // With no retention, as Kafka's goes by the records' own times: it would delete old ones at once.
                let options = KafkaOptions {
                    topic_prefix,
                    settings,
                    retention_ms: 0,
                    gapless: true,
                    ..KafkaOptions::new(servers)
                };
                let log = match Log::open_kafka(options).await {
                    Err(error @ LogError::Topic { .. }) => {
                        bail!("the target: {error}. This copy needs topics as `{create}` makes them")
                    }
                    opened => opened.context("the target")?,
                };
                if log.partitions() != partitions {
                    bail!(
                        "the target's topics have {} partitions, and the source has {partitions}: keys would move to \
                         others. This copy needs topics as `{create}` makes them, under a prefix of their own or after \
                         these are deleted",
                        log.partitions(),
                    );
                }
                Ok(Opened { log, dir: None })
            }
        }
    }
}

/// Whether both are the same directory: its lock would say that another process has it.
pub(crate) fn are_one(source: &End, target: &End) -> bool {
    let (End::DataDir(source), End::DataDir(target)) = (source, target) else { return false };
    let (source, target) = (source.canonicalize(), target.canonicalize());
    source.is_ok_and(|source| target.is_ok_and(|target| source == target))
}
