//! Snapshots become the state of a data directory, and its log where it has none.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context as _, bail};
use receipt_log::{Log, LogId};
use receipt_projector::make_live;
use receipt_snapshot::{Place, Restored, Unit};
use receipt_store::{Resources, Store};
use tokio::sync::watch;

use super::{Choice, Meter, Target, Which, choose::units, create::remove, target::READY};
use crate::replay::Site;

const MIB: usize = 1 << 20;

/// What was put back.
pub(crate) struct PutBack {
    pub(crate) units: Vec<(Choice, Restored)>,
    /// The identity of the log, where it was restored.
    pub(crate) new_log: Option<LogId>,
}

/// Fetches snapshots aside, and when all are there and right, puts them in their place.
pub(crate) fn restore(
    target: &Target,
    place: &Place,
    which: &Which,
    stop: &watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<PutBack> {
    let aside = target.aside();
    if aside.join(READY).exists() {
        // Of an attempt that was interrupted while it put things in their place: what is fetched again would be another log.
        let new_log = finish(target, &aside)?;
        return Ok(PutBack { units: Vec::new(), new_log: Some(new_log) });
    }
    let choices = match &target.log {
        Some(log) => {
            let all = log.partitions();
            let partitions = match which.partition {
                Some(partition) if partition >= all => bail!("--partition {partition}: the log has {all} partitions"),
                Some(partition) => vec![partition],
                None => (0..all).collect(),
            };
            which.for_log(place, log, &units(partitions))?
        }
        None if which.partition.is_some() => bail!("--partition: with the log, all partitions are restored"),
        None => which.with_log(place)?,
    };
    let units = fetch(place, choices, &aside, stop, quiet)?;
    let resources = Resources::new(64 * MIB, 64 * MIB);
    let new_log = match &target.log {
        Some(_) => {
            for (choice, _) in &units {
                install(target, choice.snapshot.unit, &aside)?;
            }
            None
        }
        None => {
            reidentify(&units, &aside, &resources)?;
            Some(finish(target, &aside)?)
        }
    };
    Site::tidy(&aside);
    Ok(PutBack { units, new_log })
}

/// Fetches all of it, and checks each file, and that the stores are what their manifests say.
fn fetch(
    place: &Place,
    choices: Vec<Choice>,
    aside: &Path,
    stop: &watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<(Choice, Restored)>> {
    let all = choices.iter().map(|choice| choice.manifest.bytes()).sum();
    let mut meter = Meter::new(all, stop, quiet);
    let mut units = Vec::new();
    for choice in choices {
        for passed_over in &choice.passed_over {
            meter.say(&format!("passed over: {passed_over}"));
        }
        meter.go_on()?;
        let dir = aside.join(choice.snapshot.unit.to_string());
        let restored = receipt_snapshot::restore(place, &choice.snapshot, &dir, &mut |bytes| meter.told(bytes))?;
        units.push((choice, restored));
    }
    for (choice, restored) in &units {
        let (unit, facts) = (choice.snapshot.unit, &restored.manifest.facts);
        if unit == Unit::Log {
            continue;
        }
        let stored = Store::identity(&aside.join(unit.to_string()))?;
        let is_right = stored.is_some_and(|stored| {
            let log_id = LogId::from_bytes(stored.log_id).to_string();
            (log_id, Some(stored.settings)) == (facts.log_id.clone(), facts.settings)
        });
        if !is_right {
            bail!("the snapshot {place}/{} does not have the store that its manifest names", choice.snapshot);
        }
    }
    meter.finish();
    Ok(units)
}

/// Gives the restored log an identity of its own, and makes the stores its. It has lost what came after the snapshot, and
/// will give those offsets out again: tokens of the log that it was must not name records of this one.
fn reidentify(units: &[(Choice, Restored)], aside: &Path, resources: &Resources) -> anyhow::Result<()> {
    let dir = aside.join(Unit::Log.to_string());
    let new = Log::reidentify_embedded(&dir)?;
    let log = Log::open_embedded_existing(&dir)?;
    let (origin, partitions) = (log.origin(), log.partitions());
    log.close()?;
    drop(log);
    for (choice, _) in units {
        let unit = choice.snapshot.unit;
        if unit == Unit::Log {
            continue;
        }
        let dir = aside.join(unit.to_string());
        let stored = Store::identity(&dir)?.with_context(|| format!("there is no store in {}", dir.display()))?;
        if stored.partitions != partitions {
            bail!(
                "the store in {} is of {} partitions, and the log has {partitions}",
                dir.display(),
                stored.partitions
            );
        }
        Store::reidentify(&dir, resources, &stored.log_id, (new.as_bytes(), &origin))?;
    }
    let ready = aside.join(READY);
    let unfinished = aside.join(format!("{READY}.new"));
    let write = || -> std::io::Result<()> {
        fs::write(&unfinished, new.as_bytes())?;
        File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, &ready)?;
        File::open(aside)?.sync_all()
    };
    write().with_context(|| format!("writing {}", ready.display()))
}

/// Puts a complete data directory in its place, the log last: until it is there, no receiptd folds with it.
fn finish(target: &Target, aside: &Path) -> anyhow::Result<LogId> {
    let ready = aside.join(READY);
    let id = fs::read(&ready).with_context(|| format!("reading {}", ready.display()))?;
    let Ok(id) = <[u8; 16]>::try_from(id.as_slice()) else { bail!("{} is no log's identity", ready.display()) };
    let (log, live) = (aside.join(Unit::Log.to_string()), target.dir.log());
    if log.exists() {
        if target.log.is_some() {
            bail!(
                "a receiptd has begun a new log in {} while a restore was interrupted: delete `log`, `receipts` and \
                 `inboxes` in {}, and run the same command again",
                live.display(),
                target.dir.path().display()
            );
        }
        for entry in fs::read_dir(aside).with_context(|| format!("reading {}", aside.display()))? {
            let name = entry?.file_name();
            let Some((projection, partition)) = name.to_str().and_then(|name| name.split_once('-')) else { continue };
            let Ok(partition) = partition.parse() else { continue };
            let unit = if projection == "receipts" { Unit::Receipts(partition) } else { Unit::Inboxes(partition) };
            install(target, unit, aside)?;
        }
        let moved = fs::rename(&log, &live).and_then(|()| File::open(target.dir.path())?.sync_all());
        moved.with_context(|| format!("moving {} to {}", log.display(), live.display()))?;
    }
    remove(aside)?;
    Site::tidy(aside);
    Ok(LogId::from_bytes(id))
}

fn install(target: &Target, unit: Unit, aside: &Path) -> anyhow::Result<()> {
    let dir = aside.join(unit.to_string());
    match unit {
        Unit::Log => {}
        Unit::Receipts(partition) => make_live(&target.dir.receipts(), partition, &dir)?,
        Unit::Inboxes(partition) => make_live(&target.dir.inboxes(), partition, &dir)?,
    }
    Ok(())
}
