//! `receiptctl snapshot list` and `verify`: what a place has, and whether it can be read back.

use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::bail;
use clap::Args;
use receipt_snapshot::{Manifest, Place, Snapshot as Found, SnapshotError, Unit, list, missing};
use serde_json::{Value, json};
use tokio::{sync::watch, task::spawn_blocking};

use crate::{
    commands::log::stopped_by_ctrl_c,
    output::{Output, table},
    snapshot::{self, Meter},
};

/// List the snapshots of a place.
///
/// One that cannot be restored, as its manifest is damaged or of a newer format, is listed as such, with what is wrong.
/// Exit code 1: the folder does not exist, or the place cannot be read.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl snapshot list --from /var/backups/receiptd")]
pub(super) struct List {
    #[command(flatten)]
    which: InPlace,
}

/// Read all of a place's snapshots, and compare each file with its hash.
///
/// Exit code 0: all are as they were created, and each partition of their logs has some, and so has an embedded log. 1: one
/// is damaged or of a newer format, one is missing, or there is none at all, so that nothing was verified.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl snapshot verify --from s3://backups/receiptd --newest")]
pub(super) struct Verify {
    #[command(flatten)]
    which: InPlace,
    /// Of each store and of the log the newest one only.
    #[arg(long)]
    newest: bool,
}

/// Which snapshots of a place.
#[derive(Debug, Clone, Args)]
struct InPlace {
    /// Where they are.
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// Of this log only.
    #[arg(long, value_name = "ID")]
    log_id: Option<String>,
    /// Of this partition only.
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
}

impl InPlace {
    /// Those that are there.
    fn list(&self, place: &Place) -> Result<Vec<Found>, SnapshotError> {
        let mut found = list(place, self.log_id.as_deref())?;
        found.retain(|one| self.partition.is_none() || self.partition == one.unit.partition());
        Ok(found)
    }

    /// What was looked for, for people.
    fn in_words(&self) -> String {
        let partition = self.partition.map(|number| format!(" of partition {number}")).unwrap_or_default();
        let log = self.log_id.as_ref().map(|log_id| format!(" of log {log_id}")).unwrap_or_default();
        format!("snapshot{partition}{log}")
    }
}

/// A snapshot, and its manifest or what is wrong with it.
type Seen = (Found, Result<Manifest, String>);

impl List {
    pub(super) async fn run(self, output: Output) -> anyhow::Result<()> {
        let place = snapshot::open(&self.which.from)?;
        let what = self.which.in_words();
        let seen = {
            let (place, which) = (place.clone(), self.which);
            spawn_blocking(move || {
                let mut seen: Vec<Seen> = Vec::new();
                for found in which.list(&place)? {
                    let manifest = told(found.manifest(&place))?;
                    seen.push((found, manifest));
                }
                anyhow::Ok(seen)
            })
            .await??
        };
        let json = json!({
            "place": place.to_string(),
            "snapshots": seen.iter().map(seen_json).collect::<Vec<_>>(),
        });
        output.print(&json, || if seen.is_empty() { format!("{place} has no {what}") } else { seen_text(&seen) })
    }
}

/// What is wrong with one snapshot is told of that one; what is wrong with the place ends the command.
fn told(manifest: Result<Manifest, SnapshotError>) -> Result<Result<Manifest, String>, SnapshotError> {
    match manifest {
        Err(error) if error.is_of_one_snapshot() => Ok(Err(error.to_string())),
        manifest => manifest.map(Ok),
    }
}

impl Verify {
    pub(super) async fn run(self, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let stop = stopped_by_ctrl_c();
        let place = snapshot::open(&self.which.from)?;
        let (which, newest) = (self.which.clone(), self.newest);
        let seen = {
            let place = place.clone();
            spawn_blocking(move || {
                let mut found = which.list(&place)?;
                if newest {
                    let units: Vec<_> = found.iter().map(|one| (one.log_id.clone(), one.unit)).skip(1).collect();
                    let mut next = units.into_iter();
                    // In the order of their names: the last of a unit is its newest.
                    found.retain(|one| next.next() != Some((one.log_id.clone(), one.unit)));
                }
                verify(&place, found, &stop, output.json)
            })
            .await??
        };
        let seconds = start.elapsed().as_secs_f64();
        let wrong = seen.iter().filter(|(_, manifest)| manifest.is_err()).count();
        let missing = missing(seen.iter().map(|(one, manifest)| (one, manifest.as_ref().ok())), self.which.partition);
        let json = json!({
            "place": place.to_string(),
            "intact": wrong == 0 && missing.is_empty() && !seen.is_empty(),
            "snapshots": seen.iter().map(seen_json).collect::<Vec<_>>(),
            "missing": missing.iter().map(missing_json).collect::<Vec<_>>(),
            "seconds": seconds,
        });
        output.print(&json, || format!("{}\n{} snapshots read; {seconds:.1} s", seen_text(&seen), seen.len()))?;
        if seen.is_empty() {
            bail!("nothing was verified: {place} has no {}", self.which.in_words());
        }
        let mut whys = Vec::new();
        if wrong > 0 {
            whys.push(format!("{wrong} snapshots cannot be restored"));
        }
        whys.extend(missing.iter().map(|(log_id, unit)| format!("{place} has no snapshot of {unit} of log {log_id}")));
        if whys.is_empty() { Ok(()) } else { bail!(whys.join("; ")) }
    }
}

fn verify(place: &Place, found: Vec<Found>, stop: &watch::Receiver<bool>, quiet: bool) -> anyhow::Result<Vec<Seen>> {
    let mut all = 0;
    for one in &found {
        // What is wrong with it is told below.
        all += told(one.manifest(place))?.map_or(0, |manifest| manifest.bytes());
    }
    let mut meter = Meter::new(all, stop, quiet);
    let mut seen = Vec::new();
    for one in found {
        let manifest = told(receipt_snapshot::verify(place, &one, &mut |bytes| meter.told(bytes)))?;
        seen.push((one, manifest));
    }
    meter.finish();
    Ok(seen)
}

fn missing_json((log_id, unit): &(String, Unit)) -> Value {
    json!({ "log_id": log_id, "unit": unit.to_string(), "partition": unit.partition() })
}

fn seen_json((found, manifest): &Seen) -> Value {
    let mut json = json!({
        "log_id": found.log_id,
        "unit": found.unit.to_string(),
        "partition": found.unit.partition(),
        "name": found.name,
    });
    match manifest {
        Ok(manifest) => {
            json["origin"] = json!(manifest.facts.origin);
            json["created_at_ms"] = json!(manifest.created_at_ms);
            json["log_time_ms"] = json!(manifest.facts.log_time_ms);
            json["files"] = json!(manifest.files.len());
            json["bytes"] = json!(manifest.bytes());
        }
        Err(why) => json["error"] = json!(why),
    }
    json
}

fn seen_text(seen: &[Seen]) -> String {
    let rows = seen.iter().map(|(found, manifest)| {
        let (created, files, bytes) = match manifest {
            Ok(manifest) => {
                (time(manifest.created_at_ms), manifest.files.len().to_string(), manifest.bytes().to_string())
            }
            Err(_) => ("cannot be restored".to_owned(), String::new(), String::new()),
        };
        [found.log_id.clone(), found.unit.to_string(), found.name.clone(), created, files, bytes]
    });
    let mut text = table(["log", "of", "name", "created", "files", "bytes"], rows);
    for why in seen.iter().filter_map(|(_, manifest)| manifest.as_ref().err()) {
        text.push('\n');
        text.push_str(why);
    }
    text
}

fn time(ms: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_seconds(time).to_string()
}
