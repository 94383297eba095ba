//! `receiptctl snapshot`: consistent copies of a stopped receiptd in a folder or an object store, and back.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::bail;
use clap::{Args, Subcommand};
use receipt_proto::v1;
use receipt_snapshot::{Manifest, Place, Snapshot as Found, SnapshotError, list};
use serde_json::{Value, json};
use tokio::{runtime::Handle, sync::watch, task::spawn_blocking};

use super::{log::stopped_by_ctrl_c, replay::Which as Site};
use crate::{
    output::{Output, table},
    snapshot::{self, Meter, PutBack, Target, Which},
};

/// Copy state and log of a stopped receiptd to a folder or an object store, and restore them.
///
/// A PLACE is a folder, file:///FOLDER, or s3://BUCKET/PREFIX in an S3-compatible object store. For that one the
/// environment says where it is and who you are: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT, and
/// AWS_ALLOW_HTTP=true for one without TLS.
///
/// A snapshot is there as a whole or not at all, and never changes. Each of its files is kept with its hash.
#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Verify(Verify),
    Restore(Restore),
}

/// Take a snapshot of each partition's stores, and of the embedded log.
///
/// A snapshot's name is how far it is, so that one of a state that has not changed since the last is there already, and
/// nothing is copied. Interrupted, the same command goes on. On Kafka the log is not copied: back that up as you do with
/// Kafka.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl snapshot create
  receiptctl snapshot create --data-dir /var/lib/receiptd --to /var/backups/receiptd --keep 7
  AWS_REGION=eu-central-1 receiptctl snapshot create --data-dir /var/lib/receiptd --to s3://backups/receiptd")]
struct Create {
    #[command(flatten)]
    site: Site,
    /// Where to put those of a data directory. A receiptd that serves puts them where it was told to by --snapshots.
    #[arg(long, value_name = "PLACE", requires = "data_dir")]
    to: Option<String>,
    /// Keep the newest N snapshots of each store and of the log, and delete older ones. Left out: all stay. A receiptd that
    /// serves keeps as many as --snapshot-keep says.
    #[arg(long, value_name = "N", requires = "data_dir", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
}

/// List the snapshots of a place.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl snapshot list --from /var/backups/receiptd")]
struct List {
    #[command(flatten)]
    which: InPlace,
}

/// Read all of a place's snapshots, and compare each file with its hash.
///
/// Exit code 0: all are as they were created; 1: one is damaged, or of a newer format.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl snapshot verify --from s3://backups/receiptd --newest")]
struct Verify {
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

/// Put snapshots back into a data directory.
///
/// The newest ones are taken. Where the data directory has a log, or --kafka says where it is, state is restored, which
/// receiptd then folds on from the log; snapshots of another log, of one that has lost records, or from before what the
/// log still has, are refused. Into a directory without a log, the log is restored too. It gets a new identity, as it has
/// lost what came after the snapshot: consistency tokens of the old one are refused, and streams that go on from a token
/// of it begin with a reset.
///
/// All is fetched aside, in DIR/replay, and checked. Then it takes the place of what is there. Interrupted, the same
/// command goes on.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl snapshot restore --from /var/backups/receiptd --data-dir /var/lib/receiptd-new
  receiptctl snapshot restore --from s3://backups/receiptd --data-dir /var/lib/receiptd --kafka 127.0.0.1:9092 \\
    --before 2026-03-01T12:00:00Z")]
struct Restore {
    #[command(flatten)]
    site: Site,
    /// Where the snapshots are.
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// Where a place has several embedded logs: which one to restore.
    #[arg(long, value_name = "ID")]
    log_id: Option<String>,
    /// The snapshot of that partition's receipts with this name, and not the newest.
    #[arg(long, value_name = "NAME", requires = "partition")]
    at: Option<String>,
    /// The newest that were created before this time, such as 2026-03-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    before: Option<SystemTime>,
}

impl Snapshot {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        match self.command {
            Command::Create(command) => command.run(addr, output).await,
            Command::List(command) => command.run(output).await,
            Command::Verify(command) => command.run(output).await,
            Command::Restore(command) => command.run(output).await,
        }
    }
}

impl Create {
    async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let stop = stopped_by_ctrl_c();
        let partition = self.site.partition;
        let taken = match (self.site.stopped()?, &self.to) {
            (None, _) => snapshot::create_live(addr, partition, stop, output.json).await?,
            (Some(_), None) => bail!("give --to: where to put the snapshots of this data directory"),
            (Some(data_dir), Some(to)) => {
                let place = Place::open(to, Handle::current())?;
                let site = self.site.open(data_dir).await?;
                let keep = self.keep.map(|count| count as usize);
                spawn_blocking(move || {
                    let taken = snapshot::create(&site, &place, partition, keep, &stop, output.json);
                    // In order, so that the next to open it has nothing to recover.
                    let closed = site.log.close();
                    let taken = taken?;
                    closed?;
                    anyhow::Ok(taken)
                })
                .await??
            }
        };
        let seconds = start.elapsed().as_secs_f64();
        let place = taken.first().map(|one| one.place.clone());
        let json = json!({
            "place": place,
            "snapshots": taken.iter().map(taken_json).collect::<Vec<_>>(),
            "seconds": seconds,
        });
        output.print(&json, || {
            let header = ["of", "name", "files", "bytes", "put now", "older ones deleted"];
            let rows = taken.iter().map(|one| {
                let put = if one.was_there { "was there".to_owned() } else { one.put_bytes.to_string() };
                let (files, bytes, deleted) = (one.files.to_string(), one.bytes.to_string(), one.deleted.len());
                [one.unit.clone(), one.name.clone(), files, bytes, put, deleted.to_string()]
            });
            format!("{}\nin {}; {seconds:.1} s", table(header, rows), place.unwrap_or_default())
        })
    }
}

fn taken_json(one: &v1::SnapshotTaken) -> Value {
    json!({
        "log_id": one.log_id,
        "unit": one.unit,
        "partition": one.unit.split_once('-').and_then(|(_, partition)| partition.parse::<u32>().ok()),
        "name": one.name,
        "was_there": one.was_there,
        "files": one.files,
        "bytes": one.bytes,
        "put_bytes": one.put_bytes,
        "deleted": one.deleted,
        "leftover_bytes_deleted": one.leftover_bytes_deleted,
    })
}

impl InPlace {
    fn open(&self) -> Result<Place, SnapshotError> {
        Place::open(&self.from, Handle::current())
    }

    /// Those that are there.
    fn list(&self, place: &Place) -> Result<Vec<Found>, SnapshotError> {
        let mut found = list(place, self.log_id.as_deref())?;
        found.retain(|one| self.partition.is_none() || self.partition == one.unit.partition());
        Ok(found)
    }
}

/// A snapshot, and its manifest or what is wrong with it.
type Seen = (Found, Result<Manifest, String>);

impl List {
    async fn run(self, output: Output) -> anyhow::Result<()> {
        let place = self.which.open()?;
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
        output.print(&json, || seen_text(&seen))
    }
}

/// What is wrong with one snapshot is told of that one; what is wrong with the place ends the command.
fn told(manifest: Result<Manifest, SnapshotError>) -> Result<Result<Manifest, String>, SnapshotError> {
    match manifest {
        Ok(manifest) => Ok(Ok(manifest)),
        Err(error @ (SnapshotError::Corrupt { .. } | SnapshotError::Refused(_))) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

impl Verify {
    async fn run(self, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let stop = stopped_by_ctrl_c();
        let place = self.which.open()?;
        let (which, newest) = (self.which, self.newest);
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
        let json = json!({
            "place": place.to_string(),
            "intact": wrong == 0,
            "snapshots": seen.iter().map(seen_json).collect::<Vec<_>>(),
            "seconds": seconds,
        });
        output.print(&json, || format!("{}\n{} snapshots read; {seconds:.1} s", seen_text(&seen), seen.len()))?;
        if wrong > 0 {
            bail!("{wrong} snapshots cannot be restored");
        }
        Ok(())
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

impl Restore {
    async fn run(self, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let stop = stopped_by_ctrl_c();
        let place = Place::open(&self.from, Handle::current())?;
        let before_ms = self.before.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let before_ms = before_ms.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let (log_id, partition, at) = (self.log_id, self.site.partition, self.at);
        let which = Which { log_id, partition, at, before_ms };
        let Some(data_dir) = self.site.stopped()?.map(Path::to_owned) else {
            bail!("give the --data-dir of a receiptd that is stopped, or an empty directory");
        };
        let target = Target::open(&data_dir, self.site.kafka()).await?;
        let put_back = {
            let place = place.clone();
            spawn_blocking(move || snapshot::restore(&target, &place, &which, &stop, output.json)).await??
        };
        let seconds = start.elapsed().as_secs_f64();
        let PutBack { units, new_log } = put_back;
        let new_log = new_log.map(|log_id| log_id.to_string());
        let snapshots = units.iter().map(|(choice, restored)| {
            json!({
                "unit": choice.snapshot.unit.to_string(),
                "partition": choice.snapshot.unit.partition(),
                "log_id": choice.snapshot.log_id,
                "name": choice.snapshot.name,
                "bytes": restored.manifest.bytes(),
                "fetched_bytes": restored.fetched_bytes,
                "passed_over": choice.passed_over,
            })
        });
        let json = json!({
            "place": place.to_string(),
            "snapshots": snapshots.collect::<Vec<_>>(),
            "new_log_id": new_log,
            "seconds": seconds,
        });
        output.print(&json, || {
            let rows = units.iter().map(|(choice, restored)| {
                let (unit, name) = (choice.snapshot.unit.to_string(), choice.snapshot.name.clone());
                [unit, name, restored.manifest.bytes().to_string(), restored.fetched_bytes.to_string()]
            });
            let mut text = table(["of", "name", "bytes", "fetched now"], rows);
            if let Some(new_log) = &new_log {
                text.push_str(&format!("\nthe restored log is another one from now on: embedded log {new_log}"));
            }
            format!("{text}\nrestored into {}; {seconds:.1} s", data_dir.display())
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Cli;

    fn parses(line: &str) -> bool {
        Cli::try_parse_from(format!("receiptctl snapshot {line}").split_whitespace()).is_ok()
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        assert!(parses("create --data-dir a --to s3://b/c --keep 3"));
        assert!(parses("create --data-dir a --kafka b:1 --topic-prefix c. --to d --partition 1"));
        assert!(parses("create --partition 1"));
        assert!(!parses("create --to b"));
        assert!(!parses("create --data-dir a --to b --keep 0"));
        assert!(parses("restore --data-dir a --from b --before 2026-03-01T12:00:00Z"));
        assert!(!parses("restore --data-dir a --from b --before yesterday"));
        assert!(parses("restore --data-dir a --from b --at 1-2 --partition 0"));
        assert!(!parses("restore --data-dir a --from b --at 1-2"));
        assert!(parses("verify --from a --newest --log-id b"));
        assert!(parses("list --from a --partition 2"));
    }
}
