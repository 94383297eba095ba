//! What an export of a damaged log leaves out.

use receipt_log::Whole;
use serde_json::{Value, json};

/// Damage was found, so that something may be left out. The file is complete all the same.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log is damaged: {records} records that it is known to have had are left out, of {partitions} partitions; it may \
     have had more"
)]
pub(crate) struct LeftOut {
    records: u64,
    partitions: usize,
}

impl LeftOut {
    /// The exit code, so that scripts can tell it from an export that failed.
    pub(crate) const EXIT_CODE: u8 = 3;

    /// Of these partitions; `None` where nothing is damaged.
    pub(crate) fn of(damage: &[String], partitions: &[Whole]) -> Option<Self> {
        let cut: Vec<_> = partitions.iter().filter(|whole| whole.why.is_some()).collect();
        let records = cut.iter().map(|whole| whole.known_end - whole.end).sum();
        (!damage.is_empty() || !cut.is_empty()).then_some(Self { records, partitions: cut.len() })
    }
}

/// A line for each damage and for each partition that lacks records.
pub(crate) fn lines(damage: &[String], partitions: &[Whole]) -> Vec<String> {
    let damage = damage.iter().map(|damage| format!("damage: {damage}"));
    let cut = partitions.iter().filter_map(|whole| {
        let Whole { topic, partition, end, known_end, why, .. } = whole;
        let why = why.as_ref()?;
        Some(format!(
            "{topic}/{partition} ends before offset {end}: {why}; the log had records up to {known_end} at least"
        ))
    });
    damage.chain(cut).collect()
}

/// The same for programs.
pub(crate) fn json(damage: &[String], partitions: &[Whole]) -> Value {
    let cut = partitions.iter().filter(|whole| whole.why.is_some()).map(|whole| {
        json!({
            "topic": whole.topic.name(),
            "partition": whole.partition,
            "from_offset": whole.end,
            "known_end_offset": whole.known_end,
            "why": whole.why,
        })
    });
    json!({ "damage": damage, "partitions": cut.collect::<Vec<_>>() })
}
