//! Where records are read from: the log of a receiptd that is stopped, one on Kafka, or that of a running receiptd.

mod records;
mod salvaged;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use receipt_domain::{id::ConversationId, settings::Settings};
use receipt_log::{KafkaOptions, Topic};
use receipt_proto::v1;
use receipt_store::Store;
use tokio::sync::watch;

pub(crate) use self::{
    records::{Records, of_contract, stored},
    salvaged::Salvaged,
};
use crate::{
    bootstrap::{self, Begin, SnapshotArgs},
    client::{self, Admin},
    copy::{End, Opened},
    kafka::MaybeKafkaArgs,
};

/// Bytes of one response, at most: Kafka's records may be larger than the log's limits.
const RESPONSE_MAX_BYTES: usize = 256 << 20;

/// Which log.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArgs {
    /// Read the log of this data directory, whose receiptd is stopped. Without this and --kafka, the receiptd at --addr
    /// is asked.
    #[arg(long, value_name = "DIR", env = "RECEIPTD_DATA_DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    kafka: MaybeKafkaArgs,
}

/// A log that can be read.
pub(crate) struct Source {
    reach: Reach,
    /// Whose state says by which settings it is folded.
    data_dir: Option<PathBuf>,
    pub(crate) log_id: String,
    pub(crate) origin: String,
    pub(crate) partitions: u32,
}

enum Reach {
    Log(Opened),
    Server(Admin),
}

/// Where a partition of a topic begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl SourceArgs {
    /// The data directory whose embedded log is meant; `None` where the log is on Kafka, or a receiptd's that serves.
    pub(crate) fn embedded(&self) -> Option<&PathBuf> {
        self.data_dir.as_ref().filter(|_| self.kafka.options().is_none())
    }
}

impl Source {
    /// Opens a log, or asks the receiptd at `addr` for its own.
    pub(crate) async fn open(args: SourceArgs, addr: &str) -> anyhow::Result<Self> {
        let SourceArgs { data_dir, kafka } = args;
        let end = match (&data_dir, kafka.options()) {
            (_, Some(KafkaOptions { servers, topic_prefix, settings, .. })) => {
                End::Kafka { servers, topic_prefix, settings }
            }
            (Some(dir), None) => End::DataDir(dir.clone()),
            (None, None) => return Self::of_server(addr).await,
        };
        let opened = end.source().await?;
        let log = &opened.log;
        let (log_id, origin, partitions) = (log.id().to_string(), log.origin(), log.partitions());
        Ok(Self { reach: Reach::Log(opened), data_dir, log_id, origin, partitions })
    }

    async fn of_server(addr: &str) -> anyhow::Result<Self> {
        let admin = client::admin(addr)?.max_decoding_message_size(RESPONSE_MAX_BYTES);
        let log = description(&mut admin.clone(), Topic::Conversations, 0).await?;
        let v1::LogDescription { log_id, origin, partitions, .. } = log;
        Ok(Self { reach: Reach::Server(admin), data_dir: None, log_id, origin, partitions })
    }

    /// Refuses a partition that the log does not have.
    pub(crate) fn check_partition(&self, partition: u32) -> anyhow::Result<()> {
        if partition < self.partitions {
            return Ok(());
        }
        bail!("partition {partition} does not exist: the log has partitions 0 to {}", self.partitions.saturating_sub(1))
    }

    /// Where a partition begins and ends now.
    pub(crate) async fn bounds(&self, topic: Topic, partition: u32) -> anyhow::Result<Bounds> {
        self.check_partition(partition)?;
        Ok(match &self.reach {
            Reach::Log(Opened { log, .. }) => {
                Bounds { start: log.start_offset(topic, partition), end: log.end_offset(topic, partition) }
            }
            Reach::Server(admin) => {
                let log = description(&mut admin.clone(), topic, partition).await?;
                Bounds { start: log.start_offset, end: log.end_offset }
            }
        })
    }

    /// A partition's records from an offset up to the one before another, as many as there are. `stop` turning true ends
    /// it.
    pub(crate) async fn records(
        &self,
        (topic, partition): (Topic, u32),
        (from, to): (u64, u64),
        stop: &watch::Receiver<bool>,
    ) -> anyhow::Result<Records> {
        match &self.reach {
            Reach::Log(Opened { log, .. }) => Ok(Records::of_log(log, (topic, partition), (from, to), stop)),
            Reach::Server(admin) => {
                let request = v1::ReadLogRequest {
                    topic: topic.name().to_owned(),
                    partition,
                    from_offset: Some(from),
                    to_offset: Some(to),
                    description_only: false,
                };
                let responses = admin.clone().read_log(request).await?.into_inner();
                Ok(Records::of_server(responses, stop))
            }
        }
    }

    /// What a state has of a conversation, to fold the log on from there where it has lost its beginning. The settings are
    /// those to fold by, `None`: those of the state. `Err` in the answer: why nothing is known.
    pub(crate) async fn begin(
        &self,
        id: &ConversationId,
        settings: Option<Settings>,
        snapshots: &SnapshotArgs,
        stop: &watch::Receiver<bool>,
        quiet: bool,
    ) -> anyhow::Result<Result<Begin, String>> {
        match &self.reach {
            Reach::Server(_) if snapshots.from.is_some() => {
                bail!("--from: a receiptd that serves takes snapshots from its own place; leave it out")
            }
            Reach::Server(admin) => {
                let begin = bootstrap::of_server(admin.clone(), id, stop.clone()).await?;
                if settings.is_some_and(|settings| settings != begin.settings) {
                    let why = "the state of the receiptd is folded with other settings than those asked for".to_owned();
                    return Ok(Err(why));
                }
                Ok(Ok(begin))
            }
            Reach::Log(opened) => {
                // Waits for the disk and the place; nothing else is going on.
                tokio::task::block_in_place(|| {
                    let data_dir = self.data_dir.as_deref().map(|dir| (dir, opened.holds_data_dir()));
                    let site = bootstrap::Site { log: &opened.log, data_dir, snapshots };
                    site.begin(id, settings, stop, quiet)
                })
            }
        }
    }

    /// By which settings the state of a partition is folded; `None` where nothing says it.
    pub(crate) async fn settings(&self, partition: u32) -> anyhow::Result<Option<Settings>> {
        if let Reach::Server(admin) = &self.reach {
            let log = description(&mut admin.clone(), Topic::Conversations, partition).await?;
            return Ok(log.settings.as_ref().map(settings_of));
        }
        let Some(dir) = &self.data_dir else { return Ok(None) };
        let store = dir.join("receipts").join(partition.to_string());
        let identity = Store::identity(&store).with_context(|| format!("the state in {}", store.display()))?;
        Ok(identity.map(|identity| identity.settings))
    }
}

/// Settings of the contract.
pub(crate) fn settings_of(settings: &v1::FoldSettings) -> Settings {
    let v1::FoldSettings { retention_ms, early_window_ms, max_group_members } = *settings;
    Settings { retention_ms, early_window_ms, max_group_members }
}

async fn description(admin: &mut Admin, topic: Topic, partition: u32) -> anyhow::Result<v1::LogDescription> {
    let request = v1::ReadLogRequest {
        topic: topic.name().to_owned(),
        partition,
        description_only: true,
        ..v1::ReadLogRequest::default()
    };
    let first = admin.read_log(request).await?.into_inner().message().await?;
    first.and_then(|response| response.log).context("the server does not say which log it has")
}
