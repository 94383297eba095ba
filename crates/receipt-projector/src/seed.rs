//! Bootstrap: a scratch store starts from a snapshot, and not from the log's beginning.

use std::{fs, path::Path};

use receipt_codec::row::identity::Identity;
use receipt_log::{Log, LogError, Topic};
use receipt_snapshot::{Manifest, Place, Snapshot, SnapshotError, Unit, list};
use receipt_store::{Resources, Store};

use crate::{error::ProjectorError, facts, partition::Offsets, replay::check_follows};

/// Where a partition's snapshots are, and where one of them becomes a scratch store. Must not be used from async code.
pub struct Bootstrap<'a> {
    /// The log that the scratch store continues from.
    pub log: &'a Log,
    /// Memory of the scratch store.
    pub resources: &'a Resources,
    /// Where the snapshots are.
    pub place: &'a Place,
    /// The directory of scratch stores: each partition has one named by its number.
    pub dir: &'a Path,
}

/// Which of several snapshots is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefer {
    /// The one that leaves the least to fold.
    Newest,
    /// The one behind which the log has the most records.
    Oldest,
}

/// A scratch store that has a beginning.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Up to where it is folded.
    pub at: Offsets,
    /// The snapshot; `None`: an interrupted fold was there, which is continued.
    pub from: Option<(Snapshot, Manifest)>,
    /// Snapshots that would have been preferred and cannot be used, each with what is wrong with it.
    pub passed_over: Vec<String>,
}

/// Why a scratch store has no beginning, or could not get one.
#[derive(Debug, thiserror::Error)]
pub enum NotBegun {
    /// No snapshot can be used.
    #[error("{why}")]
    NoSnapshot {
        /// What is wrong with each.
        why: String,
        /// The last one that the log continues from, and that was not admitted.
        last: Option<Box<Manifest>>,
    },
    /// The place, the log or the disk fails, or the caller said to stop.
    #[error(transparent)]
    Failed(#[from] ProjectorError),
}

impl From<SnapshotError> for NotBegun {
    fn from(error: SnapshotError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<NotBegun> for ProjectorError {
    fn from(why: NotBegun) -> Self {
        match why {
            NotBegun::NoSnapshot { why, .. } => SnapshotError::Refused(why).into(),
            NotBegun::Failed(error) => error,
        }
    }
}

/// Why one snapshot is not used.
enum PassedOver {
    /// It cannot be, whatever is asked for.
    Unusable(String),
    /// The caller does not admit it.
    NotAdmitted(String, Box<Manifest>),
}

/// The offsets of a snapshot of receipts.
#[must_use]
pub fn offsets_of(manifest: &Manifest) -> Offsets {
    let of = |topic: Topic| manifest.facts.positions.iter().find(|at| at.topic == topic.name()).map(|at| at.offset);
    let [conversations, reads] = [Topic::Conversations, Topic::Reads].map(|topic| of(topic).unwrap_or_default());
    Offsets { conversations, reads }
}

impl Bootstrap<'_> {
    /// Puts the newest snapshot of a partition that is no further than `to` into the partition's scratch directory, unless
    /// an interrupted fold is there that can be continued. `to` is `None`: however far it is. `told` is told of bytes as
    /// they are fetched, and says whether to continue.
    ///
    /// # Errors
    /// [`ProjectorError::Stopped`] as `told` said; else if there is no snapshot that fits, or it can't be fetched.
    pub fn newest(
        &self,
        identity: &Identity,
        to: Option<Offsets>,
        told: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Begun, ProjectorError> {
        if let Some(at) = self.there(identity, to) {
            return Ok(Begun { at, from: None, passed_over: Vec::new() });
        }
        let admits = |manifest: &Manifest| match to {
            Some(to) if !to.include(&offsets_of(manifest)) => Err(further(manifest, to)),
            _ => Ok(()),
        };
        Ok(self.begin(identity, Prefer::Newest, to, &admits, told)?)
    }

    /// As [`Bootstrap::newest`], of the preferred snapshot that `admits` lets pass; else that says why not. An interrupted
    /// fold that is no further than `to` is continued in the snapshot's stead. A snapshot that is damaged, of a newer
    /// format, of other settings, or that the log does not continue from, is passed over.
    ///
    /// # Errors
    /// [`NotBegun`].
    pub fn begin(
        &self,
        identity: &Identity,
        prefer: Prefer,
        to: Option<Offsets>,
        admits: &dyn Fn(&Manifest) -> Result<(), String>,
        told: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Begun, NotBegun> {
        let unit = Unit::Receipts(identity.partition);
        let mut snapshots = list(self.place, Some(&self.log.id().to_string()))?;
        snapshots.retain(|one| one.unit == unit);
        if prefer == Prefer::Newest {
            snapshots.reverse();
        }
        let (mut passed_over, mut whys, mut last) = (Vec::new(), Vec::new(), None);
        for snapshot in snapshots {
            match self.try_one(identity, &snapshot, to, admits, told)? {
                Ok(begun) => return Ok(Begun { passed_over, ..begun }),
                Err(PassedOver::Unusable(why)) => {
                    passed_over.push(why.clone());
                    whys.push(why);
                }
                Err(PassedOver::NotAdmitted(why, manifest)) => {
                    whys.push(why);
                    last = Some(manifest);
                }
            }
        }
        let place = self.place;
        let why = match whys.as_slice() {
            [] => format!("{place} has no snapshot of {unit} of {}", self.log.origin()),
            whys => format!("{}; there is no other one in {place}", whys.join("; ")),
        };
        Err(NotBegun::NoSnapshot { why, last })
    }

    fn try_one(
        &self,
        identity: &Identity,
        snapshot: &Snapshot,
        to: Option<Offsets>,
        admits: &dyn Fn(&Manifest) -> Result<(), String>,
        told: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Result<Begun, PassedOver>, NotBegun> {
        let unusable = |why| Ok(Err(PassedOver::Unusable(why)));
        let manifest = match snapshot.manifest(self.place) {
            Err(error) if error.is_of_one_snapshot() => return unusable(error.to_string()),
            read => read?,
        };
        if let Err(misfit) = facts::fits(self.log, &manifest) {
            return unusable(misfit.to_string());
        }
        if manifest.facts.settings != Some(identity.settings) {
            let place = self.place;
            return unusable(format!(
                "the snapshot {place}/{snapshot} was folded with other settings, and cannot be continued with those asked for"
            ));
        }
        if let Err(why) = admits(&manifest) {
            return Ok(Err(PassedOver::NotAdmitted(why, Box::new(manifest))));
        }
        let begun = |at, from| Ok(Ok(Begun { at, from, passed_over: Vec::new() }));
        if let Some(at) = to.and_then(|to| self.there(identity, Some(to))) {
            return begun(at, None);
        }
        match self.fetch(identity, snapshot, told) {
            Ok(at) => begun(at, Some((snapshot.clone(), manifest))),
            Err(ProjectorError::Snapshot(error)) if error.is_of_one_snapshot() => unusable(error.to_string()),
            // It has records that the log has lost since: an older one may not.
            Err(ProjectorError::Log(why @ LogError::Truncated { .. })) => {
                let place = self.place;
                unusable(format!("the snapshot {place}/{snapshot} holds what its log has lost: {why}"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches a snapshot beside the scratch directory, and moves it there when it is whole.
    fn fetch(
        &self,
        identity: &Identity,
        snapshot: &Snapshot,
        told: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Offsets, ProjectorError> {
        let scratch = self.dir.join(identity.partition.to_string());
        let fetched = self.dir.join(format!("{}.fetched", identity.partition));
        let remove = |dir: &Path| if dir.exists() { fs::remove_dir_all(dir) } else { Ok(()) };
        let failed = |source| ProjectorError::Directory { dir: scratch.clone(), source };
        match receipt_snapshot::restore(self.place, snapshot, &fetched, told) {
            Err(error) if error.is_of_one_snapshot() => {
                remove(&fetched).map_err(failed)?;
                return Err(error.into());
            }
            fetched => fetched?,
        };
        remove(&scratch).and_then(|()| fs::rename(&fetched, &scratch)).map_err(failed)?;
        let store = Store::open_read_only(&scratch, self.resources, identity)?;
        check_follows(self.log, identity.partition, &store)?;
        drop(store);
        self.there(identity, None).ok_or_else(|| {
            let what = "it does not have the store that its manifest names".to_owned();
            SnapshotError::Corrupt { snapshot: format!("{}/{snapshot}", self.place), what }.into()
        })
    }

    /// Up to where the scratch store is folded, if the log has what comes next.
    fn there(&self, identity: &Identity, to: Option<Offsets>) -> Option<Offsets> {
        let scratch = self.dir.join(identity.partition.to_string());
        let store = Store::open_read_only(&scratch, self.resources, identity).ok()?;
        let at = Offsets::of(store.durable());
        let start = start(self.log, identity.partition);
        let fits = at.include(&start) && to.is_none_or(|to| to.include(&at));
        (fits && check_follows(self.log, identity.partition, &store).is_ok()).then_some(at)
    }
}

/// Asks where a partition's two input topics begin, as Kafka may have taken records away meanwhile.
///
/// # Errors
/// If the brokers do not answer.
pub(crate) fn look_at_start(log: &Log, partition: u32) -> Result<Offsets, LogError> {
    for topic in [Topic::Conversations, Topic::Reads] {
        log.look_at_bounds(topic, partition)?;
    }
    Ok(start(log, partition))
}

/// Where a partition's two input topics begin, as far as is known.
pub(crate) fn start(log: &Log, partition: u32) -> Offsets {
    let start = |topic| log.start_offset(topic, partition);
    Offsets { conversations: start(Topic::Conversations), reads: start(Topic::Reads) }
}

/// Why a snapshot is no beginning of a fold up to `to`.
pub(crate) fn further(manifest: &Manifest, to: Offsets) -> String {
    let (at, facts) = (offsets_of(manifest), &manifest.facts);
    format!(
        "the snapshot {}/{}/{} is at the offsets {}:{}, past {}:{}",
        facts.log_id,
        facts.unit,
        facts.name(),
        at.conversations,
        at.reads,
        to.conversations,
        to.reads
    )
}
