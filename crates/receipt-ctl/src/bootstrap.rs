//! Where the fold of a conversation begins when the log has lost its beginning: with the oldest snapshot that the log
//! continues from, or else with the state itself, which is further, so that less is known of what came before.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use receipt_domain::{id::ConversationId, settings::Settings, working_set::WorkingSet};
use receipt_log::Log;
use receipt_projector::{Bootstrap, DataDir, NotBegun, identity};
use receipt_proto::v1::{self, read_conversation_state_response::Update};
use receipt_snapshot::Place;
use receipt_store::{Resources, Store, StoreError, in_memory};
use tokio::sync::watch;

use crate::{
    client::Admin,
    copy::until_stopped,
    snapshot::{self, Meter},
    told::STOPPED,
};

const MIB: usize = 1 << 20;

/// Where snapshots are, and where one is fetched to, of a receiptd that is stopped or of a log on Kafka.
#[derive(Debug, Clone, Args)]
pub(crate) struct SnapshotArgs {
    /// Begin with a snapshot of this place, where the log has lost its beginning. Without it the fold begins with the state
    /// of the data directory. A receiptd that serves takes its own place.
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: Option<String>,
    /// Fetch the snapshot into DIR/replay of this directory, and not of the data directory.
    #[arg(long, value_name = "DIR", requires = "from")]
    pub(crate) aside: Option<PathBuf>,
}

/// What a state has of a conversation.
pub(crate) struct Begin {
    /// The snapshot; `None`: the state as it is.
    pub(crate) snapshot: Option<String>,
    /// When the snapshot was created.
    pub(crate) created_at_ms: Option<u64>,
    pub(crate) settings: Settings,
    /// Its rows, with the offsets up to where it is folded.
    pub(crate) rows: WorkingSet,
    /// Snapshots that cannot be used.
    pub(crate) passed_over: Vec<String>,
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// The log of a receiptd that is stopped, or one on Kafka, and what goes with it.
pub(crate) struct Site<'a> {
    pub(crate) log: &'a Log,
    /// The data directory, and whether this process keeps others off it.
    pub(crate) data_dir: Option<(&'a Path, bool)>,
    pub(crate) snapshots: &'a SnapshotArgs,
}

impl Site<'_> {
    /// As above; `Err` in the answer: why what was before the log's first record is not known. Waits for the disk and the
    /// place: not for async code.
    pub(crate) fn begin(
        &self,
        id: &ConversationId,
        settings: Option<Settings>,
        stop: &watch::Receiver<bool>,
        quiet: bool,
    ) -> anyhow::Result<Result<Begin, String>> {
        let partition = self.log.partition_for(id.as_str().as_bytes());
        let why = match &self.snapshots.from {
            None => "no snapshots were named (--from)".to_owned(),
            Some(from) => match self.with_snapshot(&snapshot::open(from)?, (id, partition), settings, stop, quiet)? {
                Ok(begin) => return Ok(Ok(begin)),
                Err(why) => why,
            },
        };
        let Some((data_dir, _)) = self.data_dir else { return Ok(Err(why)) };
        let dir = data_dir.join("receipts").join(partition.to_string());
        let Some(stored) = Store::identity(&dir).with_context(|| format!("the state in {}", dir.display()))? else {
            return Ok(Err(format!("{why}, and there is no state in {}", dir.display())));
        };
        if settings.is_some_and(|settings| settings != stored.settings) {
            return Ok(Err(format!("{why}, and the state in {} is folded with other settings", dir.display())));
        }
        let resources = Resources::new(16 * MIB, 16 * MIB);
        let store = Store::open_read_only(&dir, &resources, &identity(self.log, partition, stored.settings));
        let store = store.with_context(|| format!("the state in {}", dir.display()))?;
        let rows = rows(&store, id).with_context(|| format!("the state in {}", dir.display()))?;
        let (settings, rows) = (stored.settings, in_memory(rows)?);
        Ok(Ok(Begin { snapshot: None, created_at_ms: None, settings, rows, passed_over: vec![why] }))
    }

    fn with_snapshot(
        &self,
        place: &Place,
        (id, partition): (&ConversationId, u32),
        settings: Option<Settings>,
        stop: &watch::Receiver<bool>,
        quiet: bool,
    ) -> anyhow::Result<Result<Begin, String>> {
        let settings = match settings {
            Some(settings) => settings,
            None => snapshot::settings_of(place, self.log)?.unwrap_or_default(),
        };
        let (dir, _taken) = self.scratch()?;
        let resources = Resources::new(64 * MIB, 64 * MIB);
        let bootstrap = Bootstrap { log: self.log, resources: &resources, place, dir: &dir };
        let mut meter = Meter::new(0, stop, quiet);
        let mut told = |bytes| {
            meter.grow(bytes);
            meter.told(bytes)
        };
        let read = bootstrap.with_oldest(&identity(self.log, partition, settings), &mut told, |store, begun| {
            Ok((rows(store, id)?, begun.clone()))
        });
        meter.finish();
        crate::replay::Site::tidy(&dir);
        match read {
            Err(NotBegun::NoSnapshot { why, .. }) => Ok(Err(why)),
            Err(NotBegun::Failed(receipt_projector::ProjectorError::Stopped)) => bail!(STOPPED),
            read => {
                let (rows, begun) = read?;
                let (snapshot, created_at_ms) = match begun.from {
                    None => (None, None),
                    Some((snapshot, manifest)) => (Some(snapshot.to_string()), Some(manifest.created_at_ms)),
                };
                let passed_over = begun.passed_over;
                Ok(Ok(Begin { snapshot, created_at_ms, settings, rows: in_memory(rows)?, passed_over }))
            }
        }
    }

    /// The directory that a snapshot is fetched into, which nobody else uses.
    fn scratch(&self) -> anyhow::Result<(PathBuf, Option<DataDir>)> {
        let (dir, taken) = match (&self.snapshots.aside, self.data_dir) {
            (Some(aside), _) => (aside.as_path(), Some(DataDir::take(aside).context("--aside")?)),
            (None, Some((dir, true))) => (dir, None),
            (None, Some((dir, false))) => {
                let taken = DataDir::take(dir).context("--from: with a receiptd that runs on it, give --aside DIR")?;
                (dir, Some(taken))
            }
            (None, None) => bail!("--from: give --aside DIR too, the directory that the snapshot is fetched into"),
        };
        Ok((dir.join("replay").join("inspect"), taken))
    }
}

fn rows(store: &Store, id: &ConversationId) -> Result<Rows, StoreError> {
    let mut rows = Rows::new();
    store.view()?.conversation_rows(id, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        true
    })?;
    Ok(rows)
}

/// As [`Site::begin`], of a receiptd that serves.
pub(crate) async fn of_server(
    mut admin: Admin,
    id: &ConversationId,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<Begin> {
    let request = v1::ReadConversationStateRequest { conversation_id: id.as_str().to_owned() };
    let mut responses = admin.read_conversation_state(request).await?.into_inner();
    let (mut source, mut rows) = (None, Rows::new());
    loop {
        let response = tokio::select! {
            () = until_stopped(&mut stop) => bail!(STOPPED),
            response = responses.message() => response?,
        };
        match response.map(|response| response.update) {
            None => break,
            Some(Some(Update::Source(told))) => source = Some(told),
            Some(Some(Update::Rows(more))) => rows.extend(more.rows.into_iter().map(|row| (row.key, row.value))),
            Some(Some(Update::Bytes(_)) | None) => {}
        }
    }
    let source = source.context("the server does not say which state it has")?;
    let settings = source.settings.context("the server does not say by which settings its state is folded")?;
    let created_at = source.created_at.map(|time| receipt_proto::ms_from_timestamp("created_at", &time));
    Ok(Begin {
        snapshot: Some(source.snapshot).filter(|name| !name.is_empty()),
        created_at_ms: created_at.transpose()?,
        settings: crate::source::settings_of(&settings),
        rows: in_memory(rows)?,
        passed_over: source.passed_over,
    })
}
