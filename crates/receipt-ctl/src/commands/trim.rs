//! `receiptctl log trim`: records go that no state needs any more.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::Args;
use receipt_projector::{TrimLimits, plan_trim, trim};
use receipt_proto::v1;
use receipt_snapshot::Place;
use serde_json::{Value, json};
use tokio::{sync::watch, task::spawn_blocking};

use super::{log::stopped_by_ctrl_c, replay::Which};
use crate::{
    output::{Output, table},
    replay::Site,
    snapshot::{self, Meter},
};

/// Take records away from the log that no state needs any more.
///
/// --older-than or --all says how much.
///
/// Of receipts.conversations and receipts.reads those go that are behind the oldest snapshot of the partition's receipts,
/// and of receipts.deltas those behind the oldest one of its inboxes. That snapshot is read and compared with its hashes
/// first: one that is damaged, of another log, or from before what the log still has, does not count. A partition without a
/// snapshot keeps all. Dead letters go by their age alone, where --older-than is given.
///
/// What is gone is gone: from then on state is folded anew from a snapshot only. Nothing goes that the state itself has not
/// made durable. Start with --dry-run.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl log trim --older-than 30d --dry-run
  receiptctl log trim --older-than 30d
  receiptctl log trim --data-dir /var/lib/receiptd --snapshots /var/backups/receiptd --all")]
pub(crate) struct Trim {
    #[command(flatten)]
    which: Which,
    /// Of a stopped receiptd, where its snapshots are. One that serves knows its own.
    #[arg(long, value_name = "PLACE", requires = "data_dir")]
    snapshots: Option<String>,
    /// Only what arrived longer ago than this.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, required_unless_present = "all")]
    older_than: Option<Duration>,
    /// All that snapshots stand for, whenever it arrived.
    #[arg(long, conflicts_with = "older_than")]
    all: bool,
    /// Tell what would go, and take nothing away.
    #[arg(long)]
    dry_run: bool,
}

impl Trim {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let stop = stopped_by_ctrl_c();
        if self.which.partition.is_some() {
            bail!("--partition: all partitions are trimmed together");
        }
        let older_than =
            self.older_than.map(|age| SystemTime::now().checked_sub(age).context("--older-than")).transpose()?;
        let older_than_ms = older_than.map(|time| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis());
        let older_than_ms = older_than_ms.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX));
        let trimmed = match (self.which.stopped()?, &self.snapshots) {
            (None, _) => {
                let older_than = older_than_ms.map(receipt_proto::timestamp_from_ms);
                let request = v1::TrimLogRequest { older_than, dry_run: self.dry_run, all: self.all };
                snapshot::trim_live(addr, request, stop, output.json).await?
            }
            (Some(_), None) => bail!("give --snapshots: where the snapshots are that the log is trimmed behind"),
            (Some(data_dir), Some(snapshots)) => {
                let place = snapshot::open(snapshots)?;
                let site = self.which.open(data_dir).await?;
                let dry_run = self.dry_run;
                spawn_blocking(move || stopped(&site, &place, older_than_ms, dry_run, &stop, output.json)).await??
            }
        };
        let seconds = start.elapsed().as_secs_f64();
        let json = json!({
            "dry_run": self.dry_run,
            "partitions": trimmed.iter().map(trimmed_json).collect::<Vec<_>>(),
            "seconds": seconds,
        });
        output.print(&json, || {
            let gone = if self.dry_run { "would go" } else { "gone" };
            let header = ["topic", "partition", "from", "to before", gone, "by what"];
            let rows = trimmed.iter().map(|one| {
                let numbers = [one.start_offset, one.end_offset, one.trimmed_before - one.start_offset];
                let [start, end, records] = numbers.map(|number| number.to_string());
                [one.topic.clone(), one.partition.to_string(), start, end, records, one.why.clone()]
            });
            format!("{}\n{seconds:.1} s", table(header, rows))
        })
    }
}

fn stopped(
    site: &Site,
    place: &Place,
    older_than_ms: Option<u64>,
    dry_run: bool,
    stop: &watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<v1::TrimmedPartition>> {
    let mut meter = Meter::new(0, stop, quiet);
    let durable = |partition| Some(site.durable(partition));
    let limits = TrimLimits { older_than_ms, durable: &durable };
    let trims = plan_trim(&site.log, place, limits, &mut |bytes| meter.told(bytes))?;
    meter.finish();
    if !dry_run {
        trim(&site.log, &trims, "receiptctl")?;
    }
    site.log.close()?;
    Ok(trims.into_iter().map(receipt_projector::Trim::told).collect())
}

fn trimmed_json(one: &v1::TrimmedPartition) -> Value {
    json!({
        "topic": one.topic,
        "partition": one.partition,
        "start_offset": one.start_offset,
        "end_offset": one.end_offset,
        "trimmed_before": one.trimmed_before,
        "records": one.trimmed_before - one.start_offset,
        "why": one.why,
    })
}
