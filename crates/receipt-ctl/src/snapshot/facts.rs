//! What a snapshot's manifest says of stores and logs.

use receipt_domain::settings::Settings;
use receipt_log::{Copied, Log, LogId, Topic};
use receipt_snapshot::{Bounds, Facts, LogBounds, Position, Unit};
use receipt_store::{Durable, Store};

/// What a store was created for, and how far its copy is.
pub(super) fn of_store(
    stored: &StoredFor,
    unit: Unit,
    partition: u32,
    offsets: &[(Topic, u64)],
    log_time_ms: u64,
) -> Facts {
    let position = |(topic, offset): &(Topic, u64)| Position {
        topic: topic.name().to_owned(),
        partition,
        start: 0,
        offset: *offset,
    };
    Facts {
        log_id: stored.log_id.to_string(),
        origin: stored.origin.clone(),
        unit,
        partitions: stored.partitions,
        positions: offsets.iter().map(position).collect(),
        log_time_ms,
        settings: Some(stored.settings),
    }
}

/// What the copy of an embedded log has.
pub(super) fn of_log(log: &Log, copied: &Copied) -> Facts {
    let positions = copied.extents.iter().map(|extent| Position {
        topic: extent.topic.name().to_owned(),
        partition: extent.partition,
        start: extent.start,
        offset: extent.end,
    });
    Facts {
        log_id: log.id().to_string(),
        origin: log.origin(),
        unit: Unit::Log,
        partitions: log.partitions(),
        positions: positions.collect(),
        log_time_ms: copied.last_arrival_ms.unwrap_or_default(),
        settings: None,
    }
}

/// The two offsets of a store of receipts.
pub(super) fn offsets(durable: Durable) -> [(Topic, u64); 2] {
    [(Topic::Conversations, durable.conversations_offset), (Topic::Reads, durable.reads_offset)]
}

/// What a store says that it was created for.
pub(super) struct StoredFor {
    pub(super) log_id: LogId,
    pub(super) origin: String,
    pub(super) partitions: u32,
    pub(super) settings: Settings,
}

impl StoredFor {
    /// Of the store in a directory, if there is one.
    pub(super) fn read(dir: &std::path::Path) -> anyhow::Result<Option<Self>> {
        Ok(Store::identity(dir)?.map(|stored| Self {
            log_id: LogId::from_bytes(stored.log_id),
            origin: stored.origin,
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
