//! Which snapshots are restored: for each unit the newest that can be read and fits the log.

use std::collections::BTreeSet;

use anyhow::bail;
use receipt_log::Log;
use receipt_snapshot::{Bounds, LogBounds, Manifest, Misfit, Place, Snapshot, Unit, list};

/// Which ones are asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Which {
    /// Of this log; left out: of the one that there is.
    pub(crate) log_id: Option<String>,
    /// This partition only.
    pub(crate) partition: Option<u32>,
    /// The one of receipts that has this name.
    pub(crate) at: Option<String>,
    /// Created before then, in milliseconds since 1970.
    pub(crate) before_ms: Option<u64>,
}

/// A snapshot to be restored.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) snapshot: Snapshot,
    pub(crate) manifest: Manifest,
    /// Newer ones that were passed over, and why.
    pub(crate) passed_over: Vec<String>,
}

impl Which {
    /// For the stores of a log that is there. The newest ones must fit it.
    pub(crate) fn for_log(&self, place: &Place, log: &Log, units: &[Unit]) -> anyhow::Result<Vec<Choice>> {
        let log_id = log.id().to_string();
        let all = list(place, Some(&log_id))?;
        if all.is_empty() {
            let others: BTreeSet<_> = list(place, None)?.into_iter().map(|snapshot| snapshot.log_id).collect();
            if others.is_empty() {
                bail!("{place} has no snapshots");
            }
            let others = others.into_iter().collect::<Vec<_>>().join(", ");
            bail!(
                "{place} has no snapshot of {}, but of these logs: {others}; another log's state is wrong on this one",
                log.origin()
            );
        }
        let fits = |manifest: &Manifest| receipt_projector::facts::fits(log, manifest);
        units.iter().map(|unit| self.newest_of(place, &all, *unit, &mut |one| fits(one), false)).collect()
    }

    /// The newest log of the place, and stores that fit it.
    pub(crate) fn with_log(&self, place: &Place) -> anyhow::Result<Vec<Choice>> {
        let all = list(place, self.log_id.as_deref())?;
        let logs: BTreeSet<_> = all.iter().filter(|one| one.unit == Unit::Log).map(|one| one.log_id.as_str()).collect();
        let log_id = match logs.iter().collect::<Vec<_>>().as_slice() {
            [log_id] => (**log_id).to_owned(),
            [] => bail!(
                "{place} has no snapshot of an embedded log{}: where the log is on Kafka, give --kafka as receiptd has it",
                self.log_id.as_ref().map(|log_id| format!(" {log_id}")).unwrap_or_default(),
            ),
            several => bail!(
                "{place} has snapshots of several logs: say with --log-id which of {}",
                several.iter().map(|log_id| (**log_id).to_owned()).collect::<Vec<_>>().join(", ")
            ),
        };
        let all: Vec<_> = all.iter().filter(|one| one.log_id == log_id).cloned().collect();
        let log = self.newest_of(place, &all, Unit::Log, &mut |_| Ok(()), true)?;
        let facts = &log.manifest.facts;
        let bounds = |topic: &str, partition| {
            let at = facts.positions.iter().find(|at| at.topic == topic && at.partition == partition)?;
            Some(Bounds { start: at.start, end: at.offset })
        };
        let (origin, partitions) = (facts.origin.clone(), facts.partitions);
        let bounds = LogBounds { log_id, origin, partitions, bounds: &bounds };
        let mut choices = Vec::new();
        for unit in units(0..partitions) {
            choices.push(self.newest_of(place, &all, unit, &mut |manifest| manifest.fits(&bounds), true)?);
        }
        choices.push(log);
        Ok(choices)
    }

    /// The newest of a unit that was asked for and fits; `or_older`: where it is ahead of the log, an older one will do.
    fn newest_of(
        &self,
        place: &Place,
        all: &[Snapshot],
        unit: Unit,
        fits: &mut dyn FnMut(&Manifest) -> Result<(), Misfit>,
        or_older: bool,
    ) -> anyhow::Result<Choice> {
        let mut passed_over: Vec<String> = Vec::new();
        for snapshot in all.iter().filter(|one| one.unit == unit).rev() {
            let is_named = self.at.is_some() && matches!(unit, Unit::Receipts(_));
            if is_named && self.at.as_ref() != Some(&snapshot.name) {
                continue;
            }
            let manifest = match snapshot.manifest(place) {
                // When it was created nobody can say: it hides none that can be read.
                Err(error) if error.is_of_one_snapshot() && !is_named => {
                    passed_over.push(error.to_string());
                    continue;
                }
                read => read?,
            };
            if self.before_ms.is_some_and(|before_ms| manifest.created_at_ms >= before_ms) {
                continue;
            }
            match fits(&manifest) {
                Ok(()) => return Ok(Choice { snapshot: snapshot.clone(), manifest, passed_over }),
                // A named one is what is wanted, and no other.
                Err(misfit @ Misfit::Ahead(_)) if or_older && !is_named => passed_over.push(misfit.to_string()),
                Err(misfit) => bail!("{misfit}"),
            }
        }
        match passed_over.as_slice() {
            whys @ [_, ..] => bail!("{}; there is no other one in {place} that is asked for", whys.join("; ")),
            [] => bail!(
                "{place} has no snapshot of {unit} that is asked for: `receiptctl snapshot list` names those it has"
            ),
        }
    }
}

/// The stores of these partitions.
pub(crate) fn units(partitions: impl IntoIterator<Item = u32>) -> Vec<Unit> {
    partitions.into_iter().flat_map(|partition| [Unit::Receipts(partition), Unit::Inboxes(partition)]).collect()
}
