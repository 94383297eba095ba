//! One conversation out of a log, however that is reached.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use receipt_ctl::story::{Story, Watcher};
use receipt_domain::{id::ConversationId, settings::Settings};
use receipt_log::{StoredRecord, Topic, partition_for};
use receipt_projector::decode;
use tokio::sync::watch;

use crate::{
    progress::Progress,
    source::{Bounds, Records, Source},
};

/// Between two reports of how far it is, in records.
const REPORT_EVERY: u64 = 4_096;

/// By which settings the log is folded, where no state says it, or another answer is wanted.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SettingsArgs {
    /// Fold by this retention, such as 7d; 0s: for ever. Left out: as the state has it; where there is none, 30d.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    retention: Option<Duration>,
    /// Fold by this early window. Left out: as the state has it; where there is none, 24h or the retention, if that is
    /// shorter.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    early_window: Option<Duration>,
    /// Fold by this limit on a group's members. Left out: as the state has it; where there is none, 100000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_group_members: Option<u32>,
}

impl SettingsArgs {
    /// Those of the state, but for what is given.
    fn over(&self, state: Option<Settings>) -> Settings {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mut settings = state.unwrap_or_default();
        if let Some(retention) = self.retention {
            settings.retention_ms = ms(retention);
            if settings.retention_ms != 0 {
                settings.early_window_ms = settings.early_window_ms.min(settings.retention_ms);
            }
        }
        if let Some(early_window) = self.early_window {
            settings.early_window_ms = ms(early_window);
        }
        settings.max_group_members = self.max_group_members.unwrap_or(settings.max_group_members);
        settings
    }
}

/// A conversation, folded up to the log's end.
pub(crate) struct Followed<W> {
    pub(crate) story: Story<W>,
    pub(crate) partition: u32,
    pub(crate) settings: Settings,
    /// Up to where, of both topics.
    pub(crate) conversations: Bounds,
    pub(crate) reads: Bounds,
}

impl<W> Followed<W> {
    /// What was trimmed away cannot be told.
    pub(crate) fn is_whole(&self) -> bool {
        self.conversations.start == 0 && self.reads.start == 0
    }
}

/// Folds what a log has of a conversation now.
pub(crate) async fn follow<W: Watcher>(
    source: &Source,
    settings: &SettingsArgs,
    conversation: ConversationId,
    watcher: W,
    stop: &watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Followed<W>> {
    let partition = partition_for(conversation.as_str().as_bytes(), source.partitions);
    let of_state = source.settings(partition).await?;
    let settings = settings.over(of_state);
    if of_state.is_none() {
        eprintln!("no state says by which settings it is folded: taken are {}", in_words(&settings));
    }
    let conversations = source.bounds(Topic::Conversations, partition).await?;
    let reads = source.bounds(Topic::Reads, partition).await?;
    let progress = Progress::new("records", conversations.end - conversations.start + reads.end - reads.start, quiet);
    let mut feed = Feed {
        conversations: open(source, (Topic::Conversations, partition), conversations, stop).await?,
        reads: open(source, (Topic::Reads, partition), reads, stop).await?,
    };
    let (mut story, mut taken) = (Story::new(settings, conversation, watcher), 0_u64);
    while let Some((topic, record)) = feed.next().await? {
        take(&mut story, topic, &record, (source.partitions, partition));
        taken += 1;
        if taken.is_multiple_of(REPORT_EVERY) {
            progress.at(taken);
        }
    }
    progress.finish();
    let followed = Followed { story, partition, settings, conversations, reads };
    if !followed.is_whole() {
        eprintln!("the log does not have its beginning any more: what was before is not known here");
    }
    Ok(followed)
}

async fn open(
    source: &Source,
    place: (Topic, u32),
    Bounds { start, end }: Bounds,
    stop: &watch::Receiver<bool>,
) -> anyhow::Result<Records> {
    let records = source.records(place, (start, end), stop).await;
    records.with_context(|| format!("reading {}/{}", place.0, place.1))
}

fn take<W: Watcher>(story: &mut Story<W>, topic: Topic, record: &StoredRecord, (partitions, partition): (u32, u32)) {
    let key = record.key.as_deref().filter(|key| !key.is_empty());
    if topic == Topic::Reads {
        if story.is_about(key) {
            story.read(decode::reads(partitions, partition, record));
        }
    } else if story.is_about(key) {
        story.event(decode::conversations(partitions, partition, record));
    } else {
        // Policies and ticks have no key; whatever else has none cannot be read, and is of no conversation.
        let event = key.is_none().then(|| decode::conversations(partitions, partition, record));
        match event {
            Some(event) if event.event.is_ok() => story.event(event),
            _ => story.time(record.offset, record.timestamp_ms.unwrap_or_default()),
        }
    }
}

/// Both topics of a partition, the older record first, as receiptd takes them.
struct Feed {
    conversations: Records,
    reads: Records,
}

impl Feed {
    async fn next(&mut self) -> anyhow::Result<Option<(Topic, StoredRecord)>> {
        let event = self.conversations.peek().await?.map(|record| record.timestamp_ms);
        let read = self.reads.peek().await?.map(|record| record.timestamp_ms);
        Ok(match (event, read) {
            (Some(event), Some(read)) if read < event => self.reads.next().await?.map(|record| (Topic::Reads, record)),
            (Some(_), _) => self.conversations.next().await?.map(|record| (Topic::Conversations, record)),
            (None, _) => self.reads.next().await?.map(|record| (Topic::Reads, record)),
        })
    }
}

/// Settings of the fold.
pub(crate) fn in_words(settings: &Settings) -> String {
    let duration = |ms| humantime::format_duration(Duration::from_millis(ms));
    let Settings { retention_ms, early_window_ms, max_group_members } = *settings;
    format!(
        "retention {}, early window {}, at most {max_group_members} members of a group",
        duration(retention_ms),
        duration(early_window_ms)
    )
}
