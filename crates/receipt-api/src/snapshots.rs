//! Snapshots of what serves, and the log trimmed behind them: by calls of operators, and by the server itself.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use receipt_log::{Log, LogError, Topic};
use receipt_notifier::Inbox;
use receipt_projector::{
    Durables, Offsets, Partition, ProjectorError, Trim, TrimError, TrimLimits, facts, plan_trim, trim,
};
use receipt_proto::{
    InvalidField, ms_from_timestamp,
    v1::{self, create_snapshots_response::Told as Create, trim_log_response::Told as Trimming},
};
use receipt_snapshot::{Created, Facts, Kept, Place, SnapshotError, Unit, newest_created_ms};
use receipt_store::{InboxStore, Store};
use tonic::{Request, Response, Status};

use crate::{
    api::Api,
    dead_letters::check_partition,
    error,
    told::{self, Responses, Teller},
};

/// Why a snapshot was not taken, or the log not trimmed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotsError {
    /// The place of snapshots.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A partition, or its store.
    #[error(transparent)]
    Projector(#[from] ProjectorError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The directory where copies are made.
    #[error("{}: {source}", dir.display())]
    Directory {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl From<TrimError> for SnapshotsError {
    fn from(error: TrimError) -> Self {
        match error {
            TrimError::Snapshot(error) => error.into(),
            TrimError::Log(error) => error.into(),
        }
    }
}

/// What is told while snapshots are taken.
#[derive(Debug)]
pub enum Taking {
    /// So many more bytes are dealt with.
    Bytes(u64),
    /// A snapshot is there, and older ones are gone for it.
    Taken(Created, Kept),
}

/// From what snapshots are taken, and where to.
pub struct SnapshotOptions {
    /// Where to.
    pub place: Place,
    /// How many stay of each unit; `None`: all.
    pub keep: Option<usize>,
    /// Where copies are made, on the file system of the state.
    pub dir: PathBuf,
    /// The log.
    pub log: Log,
    /// The partitions of receipts.
    pub partitions: Vec<Partition>,
    /// The partitions of inboxes.
    pub inboxes: Vec<Inbox>,
}

/// Takes snapshots of what serves, one at a time.
pub struct Snapshots {
    options: SnapshotOptions,
    /// Held by who takes some, or trims.
    one: Mutex<()>,
}

impl Snapshots {
    /// By these options.
    #[must_use]
    pub fn new(options: SnapshotOptions) -> Self {
        Self { options, one: Mutex::default() }
    }

    /// Where they are.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.options.place
    }

    /// When the newest snapshot of the log was created, in milliseconds since 1970; `None` where there is none. Must not be
    /// called from async code.
    ///
    /// # Errors
    /// If the place can't be read.
    pub fn newest_created_ms(&self) -> Result<Option<u64>, SnapshotError> {
        newest_created_ms(&self.options.place, &self.options.log.id().to_string())
    }

    /// Takes snapshots of one partition's stores; or of all, and then of the embedded log, so that it is never behind them.
    /// One that cannot be taken, as of a partition that is sealed, keeps none of the others from being. `told` says whether
    /// to go on. Must not be called from async code.
    ///
    /// # Errors
    /// [`SnapshotError::Stopped`] as `told` said; else, when all others are taken, why the first one could not be.
    pub fn create(&self, only: Option<u32>, told: &mut dyn FnMut(Taking) -> bool) -> Result<(), SnapshotsError> {
        let _one_at_a_time = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let SnapshotOptions { log, partitions, inboxes, .. } = &self.options;
        let is_asked = |number: u32| only.is_none_or(|only| only == number);
        let mut first_failure = None;
        let mut take = |unit: Unit, copy: &dyn Fn(&Path) -> Result<Option<Facts>, SnapshotsError>| {
            match self.take(unit, told, copy) {
                Err(error @ SnapshotsError::Snapshot(SnapshotError::Stopped)) => return Err(error),
                Err(error) => {
                    tracing::error!(%unit, %error, "no snapshot");
                    first_failure.get_or_insert(error);
                }
                Ok(()) => {}
            }
            Ok(())
        };
        for partition in partitions.iter().filter(|one| is_asked(one.number())) {
            take(Unit::Receipts(partition.number()), &|dir| receipts(partition, dir).map(Some))?;
        }
        for inbox in inboxes.iter().filter(|one| is_asked(one.number())) {
            take(Unit::Inboxes(inbox.number()), &|dir| inboxes_of(log, inbox, dir).map(Some))?;
        }
        if only.is_none() {
            take(Unit::Log, &|dir| Ok(log.checkpoint(dir)?.map(|copied| facts::of_log(log, &copied))))?;
        }
        first_failure.map_or(Ok(()), Err)
    }

    fn take(
        &self,
        unit: Unit,
        told: &mut dyn FnMut(Taking) -> bool,
        copy: &dyn Fn(&Path) -> Result<Option<Facts>, SnapshotsError>,
    ) -> Result<(), SnapshotsError> {
        let SnapshotOptions { place, keep, dir: copies, .. } = &self.options;
        let dir = copies.join(unit.to_string());
        // Of an attempt that was interrupted: the place has what is needed of it.
        remove(&dir)?;
        fs::create_dir_all(copies).map_err(|source| SnapshotsError::Directory { dir: copies.clone(), source })?;
        if let Some(facts) = copy(&dir)? {
            let created = receipt_snapshot::create(place, &facts, &dir, &mut |bytes| told(Taking::Bytes(bytes)))?;
            let kept = keep.map(|count| receipt_snapshot::keep(place, &facts.log_id, unit, count));
            let kept = kept.transpose()?.unwrap_or_default();
            if !told(Taking::Taken(created, kept)) {
                return Err(SnapshotError::Stopped.into());
            }
        }
        remove(&dir)?;
        // Not empty while others fold aside.
        let _ = fs::remove_dir(copies);
        Ok(())
    }

    /// Trims the log behind the oldest of each partition's snapshots that is whole, and of that, what is older than a time,
    /// if one is given; or only tells what it would. `by` says who asked for it, for the server's log. Must not be called
    /// from async code.
    ///
    /// # Errors
    /// [`SnapshotError::Stopped`] as `told` said; else if place or log fail.
    pub fn trim(
        &self,
        older_than_ms: Option<u64>,
        dry_run: bool,
        by: &str,
        told: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Vec<Trim>, SnapshotsError> {
        let _one_at_a_time = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let SnapshotOptions { place, log, partitions, inboxes, .. } = &self.options;
        let durable = |number: u32| {
            let at = usize::try_from(number).ok()?;
            let receipts = partitions.get(at)?.with_store(Store::durable).map(Offsets::of);
            let deltas = inboxes.get(at)?.store().map(InboxStore::durable_offset);
            // Where a state cannot be opened, nothing says what it needs.
            Some(Durables { receipts: receipts.unwrap_or_default(), deltas: deltas.unwrap_or_default() })
        };
        let trims = plan_trim(log, place, TrimLimits { older_than_ms, durable: &durable }, told)?;
        if !dry_run {
            trim(log, &trims, by)?;
        }
        Ok(trims)
    }
}

fn receipts(partition: &Partition, dir: &Path) -> Result<Facts, SnapshotsError> {
    let applied = partition.checkpoint(dir)?;
    // At least that of the copy: it is only told to people.
    let log_time_ms = partition.with_store(|store| store.view().map(|view| view.progress().log_time_ms));
    let log_time_ms = log_time_ms.and_then(Result::ok).unwrap_or_default();
    let offsets = [(Topic::Conversations, applied.conversations), (Topic::Reads, applied.reads)];
    Ok(facts::of_store(partition.identity(), Unit::Receipts(partition.number()), &offsets, log_time_ms))
}

fn inboxes_of(log: &Log, inbox: &Inbox, dir: &Path) -> Result<Facts, SnapshotsError> {
    let progress = inbox.checkpoint(dir)?;
    let settings = inbox.store().map(InboxStore::settings).copied().unwrap_or_default();
    let identity = receipt_projector::identity(log, inbox.number(), settings);
    let offsets = [(Topic::Deltas, progress.offset)];
    Ok(facts::of_store(&identity, Unit::Inboxes(inbox.number()), &offsets, progress.log_time_ms))
}

fn remove(dir: &Path) -> Result<(), SnapshotsError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| SnapshotsError::Directory { dir: dir.to_owned(), source }),
    }
}

/// CreateSnapshots.
pub(crate) fn create(
    api: &Api,
    request: &Request<v1::CreateSnapshotsRequest>,
) -> Result<Response<Responses<v1::CreateSnapshotsResponse>>, Status> {
    let snapshots = configured(api)?;
    let partition = request.get_ref().partition;
    if let Some(partition) = partition {
        check_partition(&api.log, "partition", partition)?;
    }
    let response = |told| v1::CreateSnapshotsResponse { told: Some(told) };
    Ok(told::stream(api, move |teller: &Teller<_>| {
        let mut progress = teller.now_and_then();
        let mut bytes = 0;
        let place = snapshots.place().to_string();
        let taken = snapshots.create(partition, &mut |taking| match taking {
            Taking::Bytes(more) => {
                bytes += more;
                progress(&|| response(Create::Bytes(bytes)))
            }
            Taking::Taken(created, kept) => teller.tell(response(Create::Taken(facts::taken(&place, created, &kept)))),
        });
        taken.map_err(|error| error::snapshots(&error))
    }))
}

/// TrimLog.
pub(crate) fn trim_log(
    api: &Api,
    request: &Request<v1::TrimLogRequest>,
) -> Result<Response<Responses<v1::TrimLogResponse>>, Status> {
    let by = match request.remote_addr() {
        Some(addr) => format!("TrimLog from {addr}"),
        None => "TrimLog".to_owned(),
    };
    let v1::TrimLogRequest { older_than, dry_run, all } = request.get_ref();
    if older_than.is_some() == *all {
        let problem = "or all must be given, and not both: older_than bounds what is taken away by its arrival, all says \
                       that everything goes that snapshots stand for";
        return Err(error::invalid(InvalidField::rule("older_than", problem)));
    }
    let snapshots = configured(api)?;
    let older_than_ms = older_than.as_ref().map(|time| ms_from_timestamp("older_than", time));
    let (older_than_ms, dry_run) = (older_than_ms.transpose().map_err(error::invalid)?, *dry_run);
    let response = |told| v1::TrimLogResponse { told: Some(told) };
    Ok(told::stream(api, move |teller: &Teller<_>| {
        let mut progress = teller.now_and_then();
        let mut bytes = 0;
        let trims = snapshots.trim(older_than_ms, dry_run, &by, &mut |more| {
            bytes += more;
            progress(&|| response(Trimming::Bytes(bytes)))
        });
        for trim in trims.map_err(|error| error::snapshots(&error))? {
            if !teller.tell(response(Trimming::Trimmed(trim.told()))) {
                break;
            }
        }
        Ok(())
    }))
}

fn configured(api: &Api) -> Result<Arc<Snapshots>, Status> {
    api.snapshots.clone().ok_or_else(error::no_snapshot_place)
}
