//! What a snapshot's manifest says of stores and logs.

use receipt_domain::settings::Settings;
use receipt_log::{Log, LogId, Topic};
use receipt_snapshot::{Bounds, LogBounds};
use receipt_store::Store;

/// What a store says that it was created for.
pub(super) struct StoredFor {
    pub(super) log_id: LogId,
    pub(super) partitions: u32,
    pub(super) settings: Settings,
}

impl StoredFor {
    /// Of the store in a directory, if there is one.
    pub(super) fn read(dir: &std::path::Path) -> anyhow::Result<Option<Self>> {
        Ok(Store::identity(dir)?.map(|stored| Self {
            log_id: LogId::from_bytes(stored.log_id),
            partitions: stored.partitions,
            settings: stored.settings,
        }))
    }
}

/// What a log has, for a snapshot to be held against.
pub(super) fn log_bounds<'a>(log: &Log, bounds: &'a dyn Fn(&str, u32) -> Option<Bounds>) -> LogBounds<'a> {
    LogBounds { log_id: log.id().to_string(), origin: log.origin(), partitions: log.partitions(), bounds }
}

/// What a log has of a partition of a topic.
pub(super) fn bounds_of(log: &Log, topic: &str, partition: u32) -> Option<Bounds> {
    let topic = Topic::ALL.into_iter().find(|known| known.name() == topic)?;
    if partition >= log.partitions() {
        return None;
    }
    Some(Bounds { start: log.start_offset(topic, partition), end: log.end_offset(topic, partition) })
}
