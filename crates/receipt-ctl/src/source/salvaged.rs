//! What is whole of the damaged log of a receiptd that is stopped.

use std::{
    fs,
    path::{Path, PathBuf},
};

use receipt_log::{Known, Log, LogError, LogId, Topic, Whole};
use receipt_projector::DataDir;
use receipt_store::{Resources, Store};

use super::{Reach, Source};
use crate::copy::Opened;

/// Memory to read a store with.
const STORE_BYTES: usize = 32 << 20;

/// A damaged log, opened up to its damage.
pub(crate) struct Salvaged {
    pub(crate) source: Source,
    /// What is wrong with its files.
    pub(crate) damage: Vec<String>,
    /// What each partition of each topic has.
    pub(crate) partitions: Vec<Whole>,
    /// Dropped after the log that is read from it.
    _scratch: Scratch,
}

/// Where the copy is that is read.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is deleted by whoever comes next. The directory that it is in may hold something else.
        let _ = fs::remove_dir_all(&self.0);
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

impl Salvaged {
    /// Opens what is whole of the embedded log of a data directory. `partitions`: how many it has, for where that is lost.
    pub(crate) fn open(dir: &Path, partitions: Option<u32>) -> anyhow::Result<Self> {
        if !dir.is_dir() {
            // Taking it would make it.
            return Err(LogError::NoLog { dir: dir.to_owned() }.into());
        }
        let taken = DataDir::take(dir)?;
        let scratch = Scratch(taken.replay().join("log-export"));
        let known = known(&taken.receipts());
        let known = Known { partitions: partitions.or(known.partitions), ..known };
        let (log, salvage) = Log::salvage_embedded(&taken.log(), &scratch.0, known)?;
        let mut partitions = salvage.partitions;
        for whole in &mut partitions {
            if let Some(applied) = applied(&taken.receipts(), log.id(), whole) {
                whole.known_end = whole.known_end.max(applied);
                if whole.known_end > whole.end && whole.why.is_none() {
                    whole.why = Some("it is missing, and the state has applied it".to_owned());
                }
            }
        }
        let (log_id, origin, count) = (log.id().to_string(), log.origin(), log.partitions());
        let reach = Reach::Log(Opened::of_scratch(log, taken));
        let source = Source { reach, data_dir: Some(dir.to_owned()), log_id, origin, partitions: count };
        Ok(Self { source, damage: salvage.damage, partitions, _scratch: scratch })
    }
}

/// What the state says of the log that it is folded from.
fn known(receipts: &Path) -> Known {
    let stores = fs::read_dir(receipts).into_iter().flatten().flatten();
    let mut identities = stores.filter_map(|store| Store::identity(&store.path()).ok().flatten());
    identities.next().map_or_else(Known::default, |identity| Known {
        id: Some(LogId::from_bytes(identity.log_id)),
        partitions: Some(identity.partitions),
    })
}

/// Up to which offset the state has applied a partition; `None` where it does not say.
fn applied(receipts: &Path, log: LogId, whole: &Whole) -> Option<u64> {
    let dir = receipts.join(whole.partition.to_string());
    let identity = Store::identity(&dir).ok().flatten().filter(|identity| identity.log_id == *log.as_bytes())?;
    let store = Store::open_read_only(&dir, &Resources::new(STORE_BYTES, STORE_BYTES), &identity).ok()?;
    match whole.topic {
        Topic::Conversations => Some(store.durable().conversations_offset),
        Topic::Reads => Some(store.durable().reads_offset),
        Topic::Deltas | Topic::DeadLetter => None,
    }
}
