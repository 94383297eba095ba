//! One conversation out of a log, however that is reached.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use receipt_ctl::story::{Story, Watcher};
use receipt_domain::{id::ConversationId, settings::Settings};
use receipt_log::{StoredRecord, Topic, partition_for};
use receipt_projector::{Offsets, decode};
use tokio::sync::watch;

use crate::{
    bootstrap::{Begin, SnapshotArgs},
    progress::Progress,
    source::{Bounds, Records, Source, SourceArgs},
};

/// Which log, where its snapshots are, and how it is folded.
#[derive(Debug, Args)]
pub(crate) struct Which {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    snapshots: SnapshotArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

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
    fn are_given(&self) -> bool {
        self.retention.is_some() || self.early_window.is_some() || self.max_group_members.is_some()
    }

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

/// Where the fold began.
pub(crate) enum Began {
    /// With the log's first record.
    WithLog,
    /// With a state, as the log has lost its beginning.
    WithState(State),
    /// Nowhere: what was before the log's first record is not known; why. Nothing was folded.
    Nowhere(String),
}

/// A state that a fold began with.
pub(crate) struct State {
    /// The snapshot; `None`: the state as it was.
    pub(crate) snapshot: Option<String>,
    pub(crate) created_at_ms: Option<u64>,
    /// The next offsets.
    pub(crate) conversations: u64,
    pub(crate) reads: u64,
}

/// A conversation, folded up to the log's end.
pub(crate) struct Followed<W> {
    pub(crate) story: Story<W>,
    pub(crate) partition: u32,
    pub(crate) settings: Settings,
    pub(crate) began: Began,
    /// Up to where, of both topics.
    pub(crate) conversations: Bounds,
    pub(crate) reads: Bounds,
}

impl<W> Followed<W> {
    /// Whether the log has its beginning.
    pub(crate) fn is_whole(&self) -> bool {
        self.conversations.start == 0 && self.reads.start == 0
    }

    /// The records that are not known, for people.
    pub(crate) fn records_before(&self) -> String {
        let at = |conversations, reads| {
            let partition = self.partition;
            format!("before receipts.conversations {partition}/{conversations} and receipts.reads {partition}/{reads}")
        };
        match &self.began {
            Began::WithState(state) => at(state.conversations, state.reads),
            Began::WithLog | Began::Nowhere(_) => at(self.conversations.start, self.reads.start),
        }
    }
}

/// Folds what a log has of a conversation now. Where it has lost its beginning, the fold begins with what a state has of it.
pub(crate) async fn follow<W: Watcher>(
    source: &Source,
    Which { settings, snapshots, .. }: &Which,
    conversation: ConversationId,
    watcher: W,
    stop: &watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Followed<W>> {
    let partition = partition_for(conversation.as_str().as_bytes(), source.partitions);
    let conversations = source.bounds(Topic::Conversations, partition).await?;
    let reads = source.bounds(Topic::Reads, partition).await?;
    let of_state = source.settings(partition).await?;
    let is_asked = of_state.is_some() || settings.are_given();
    let asked = settings.over(of_state);
    let whole = |settings: Settings, watcher| Followed {
        story: Story::new(settings, conversation.clone(), watcher),
        partition,
        settings,
        began: Began::WithLog,
        conversations,
        reads,
    };
    let (mut followed, from) = if conversations.start == 0 && reads.start == 0 {
        if of_state.is_none() {
            eprintln!("no state says by which settings it is folded: taken are {}", in_words(&asked));
        }
        (whole(asked, watcher), Offsets::default())
    } else {
        let begin = source.begin(&conversation, is_asked.then_some(asked), snapshots, stop, quiet).await?;
        match begin.and_then(|begin| reaches(begin, conversations.start, reads.start)) {
            Ok((begin, state)) => {
                for why in &begin.passed_over {
                    eprintln!("passed over: {why}");
                }
                let from = Offsets { conversations: state.conversations, reads: state.reads };
                let settings = begin.settings;
                let story = Story::after(settings, conversation, begin.rows, watcher);
                let began = Began::WithState(state);
                (Followed { story, partition, settings, began, conversations, reads }, from)
            }
            Err(why) => {
                let followed = whole(asked, watcher);
                return Ok(Followed { began: Began::Nowhere(why), ..followed });
            }
        }
    };
    let spans = [(from.conversations, conversations.end), (from.reads, reads.end)];
    let progress = Progress::new("records", spans.iter().map(|(from, end)| end.saturating_sub(*from)).sum(), quiet);
    let mut feed = Feed {
        conversations: open(source, (Topic::Conversations, partition), spans[0], stop).await?,
        reads: open(source, (Topic::Reads, partition), spans[1], stop).await?,
    };
    let mut taken = 0_u64;
    while let Some((topic, record)) = feed.next().await? {
        take(&mut followed.story, topic, &record, (source.partitions, partition));
        taken += 1;
        if taken.is_multiple_of(REPORT_EVERY) {
            progress.at(taken);
        }
    }
    progress.finish();
    Ok(followed)
}

/// Whether the log has what comes after a state.
fn reaches(begin: Begin, conversations: u64, reads: u64) -> Result<(Begin, State), String> {
    let at = &begin.rows.progress;
    if at.conversations_offset < conversations || at.reads_offset < reads {
        return Err(format!(
            "the state is at the offsets {}:{}, and the log begins at {conversations}:{reads}",
            at.conversations_offset, at.reads_offset
        ));
    }
    let state = State {
        snapshot: begin.snapshot.clone(),
        created_at_ms: begin.created_at_ms,
        conversations: at.conversations_offset,
        reads: at.reads_offset,
    };
    Ok((begin, state))
}

async fn open(
    source: &Source,
    place: (Topic, u32),
    (from, end): (u64, u64),
    stop: &watch::Receiver<bool>,
) -> anyhow::Result<Records> {
    // A state may be past the end that the log had when it was asked.
    let records = source.records(place, (from, end.max(from)), stop).await;
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
