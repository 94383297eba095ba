//! `receiptctl snapshot`: consistent copies of a stopped receiptd in a folder or an object store, and back.

mod look;

use std::{
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::bail;
use clap::{Args, Subcommand};
use receipt_proto::v1;
use receipt_snapshot::Place;
use serde_json::{Value, json};
use tokio::{runtime::Handle, task::spawn_blocking};

use self::look::{List, Verify};
use super::{log::stopped_by_ctrl_c, replay::Which as Site};
use crate::{
    output::{Output, table},
    snapshot::{self, PutBack, Target, Which},
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

/// Put snapshots back into a data directory.
///
/// The newest ones are taken; one whose manifest is damaged or of a newer format is passed over, and named. Where the data directory has a log, or --kafka says where it is, state is restored, which
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

impl Restore {
    async fn run(self, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let stop = stopped_by_ctrl_c();
        let place = snapshot::open(&self.from)?;
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
