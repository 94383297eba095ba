//! What snapshots' manifests say of stores and logs.

use receipt_codec::row::identity::Identity;
use receipt_log::{Copied, Log, LogId, Topic};
use receipt_proto::v1;
use receipt_snapshot::{Bounds, Created, Facts, Kept, LogBounds, Manifest, Misfit, Position, Unit};

/// Of a copy of a partition's store: what it was created for, and how far it is.
#[must_use]
pub fn of_store(identity: &Identity, unit: Unit, offsets: &[(Topic, u64)], log_time_ms: u64) -> Facts {
    let positions = offsets.iter().map(|(topic, offset)| Position {
        topic: topic.name().to_owned(),
        partition: identity.partition,
        start: 0,
        offset: *offset,
    });
    Facts {
        log_id: LogId::from_bytes(identity.log_id).to_string(),
        origin: identity.origin.clone(),
        unit,
        partitions: identity.partitions,
        positions: positions.collect(),
        log_time_ms,
        settings: Some(identity.settings),
    }
}

/// Of a copy of an embedded log.
#[must_use]
pub fn of_log(log: &Log, copied: &Copied) -> Facts {
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

/// Whether a store that is restored from a snapshot can be folded on from this log.
///
/// # Errors
/// Why it can't, and what to do.
pub fn fits(log: &Log, manifest: &Manifest) -> Result<(), Misfit> {
    let bounds = |topic: &str, partition| {
        let topic = Topic::from_name(topic)?;
        let (start, end) = (log.start_offset(topic, partition), log.end_offset(topic, partition));
        (partition < log.partitions()).then_some(Bounds { start, end })
    };
    let (log_id, origin, partitions) = (log.id().to_string(), log.origin(), log.partitions());
    manifest.fits(&LogBounds { log_id, origin, partitions, bounds: &bounds })
}

/// A snapshot that was taken, as the contract has it.
#[must_use]
pub fn taken(place: &str, created: Created, kept: &Kept) -> v1::SnapshotTaken {
    v1::SnapshotTaken {
        place: place.to_owned(),
        log_id: created.snapshot.log_id,
        unit: created.snapshot.unit.to_string(),
        name: created.snapshot.name,
        was_there: created.was_there,
        files: u32::try_from(created.files).unwrap_or(u32::MAX),
        bytes: created.bytes,
        put_bytes: created.put_bytes,
        deleted: kept.deleted.iter().map(|snapshot| snapshot.name.clone()).collect(),
        leftover_bytes_deleted: kept.leftover_bytes,
    }
}
