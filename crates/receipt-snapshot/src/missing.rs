//! What a place lacks for a restore.

use std::collections::BTreeSet;

use crate::{Manifest, Snapshot, Unit};

/// The units of the logs of these snapshots of which there is none, in order: a restore of the whole log would be refused
/// for want of them. How many partitions a log has, and whether it is an embedded one, whose copy belongs to its snapshots,
/// is what the manifests say that can be read. `only`: of this partition.
#[must_use]
pub fn missing<'a>(
    found: impl IntoIterator<Item = (&'a Snapshot, Option<&'a Manifest>)>,
    only: Option<u32>,
) -> Vec<(String, Unit)> {
    let (mut have, mut need) = (BTreeSet::new(), BTreeSet::new());
    for (snapshot, manifest) in found {
        have.insert((snapshot.log_id.clone(), snapshot.unit));
        let Some(facts) = manifest.map(|manifest| &manifest.facts) else { continue };
        let units = (0..facts.partitions).flat_map(|number| [Unit::Receipts(number), Unit::Inboxes(number)]);
        let with_log = facts.is_of_embedded_log().then_some(Unit::Log);
        let units = units.chain(with_log).filter(|unit| only.is_none() || unit.partition() == only);
        need.extend(units.map(|unit| (facts.log_id.clone(), unit)));
    }
    need.difference(&have).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Facts;

    fn of(log_id: &str, origin: &str, unit: Unit) -> (Snapshot, Manifest) {
        let facts = Facts {
            log_id: log_id.to_owned(),
            origin: origin.to_owned(),
            unit,
            partitions: 2,
            positions: Vec::new(),
            log_time_ms: 0,
            settings: None,
        };
        let snapshot = Snapshot { log_id: log_id.to_owned(), unit, name: "1".to_owned() };
        (snapshot, Manifest { facts, created_at_ms: 0, files: Vec::new() })
    }

    #[test]
    fn what_a_log_has_no_snapshot_of_is_named() {
        let embedded = [Unit::Log, Unit::Receipts(0), Unit::Inboxes(0), Unit::Receipts(1)];
        let mut found: Vec<_> = embedded.map(|unit| of("one", "embedded log one", unit)).into();
        found.push(of("two", "Kafka cluster x", Unit::Receipts(0)));
        let named = |only| {
            let found = found.iter().map(|(snapshot, manifest)| (snapshot, Some(manifest)));
            missing(found, only).into_iter().map(|(log_id, unit)| format!("{log_id} {unit}")).collect::<Vec<_>>()
        };
        assert_eq!(named(None), ["one inboxes-1", "two receipts-1", "two inboxes-0", "two inboxes-1"]);
        assert_eq!(named(Some(0)), ["two inboxes-0"]);
        let unreadable = found.iter().map(|(snapshot, _)| (snapshot, None));
        assert_eq!(missing(unreadable, None), [], "what cannot be read says nothing of others");
        let (snapshot, manifest) = of("one", "embedded log one", Unit::Receipts(0));
        let missing = missing([(&snapshot, Some(&manifest))], None);
        assert!(missing.contains(&("one".to_owned(), Unit::Log)), "{missing:?}");
    }
}
