//! `receiptctl replay`: state and log, one against the other.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use anyhow::bail;
use clap::{Args, Subcommand};
use receipt_log::KafkaOptions;
use receipt_proto::v1;
use receipt_snapshot::{Place, SnapshotError};
use receipt_store::Place as Row;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{as_of::AsOf, log::stopped_by_ctrl_c};
use crate::{
    kafka::MaybeKafkaArgs,
    output::{Output, table},
    replay::{self, Changes, Site},
};

/// Fold the log anew: to prove the state, or to replace it.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(Verify),
    Rebuild(Rebuild),
    AsOf(AsOf),
}

/// Of which receiptd, and which partition.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The data directory of a receiptd that is stopped. Left out: the receiptd at --addr does it while it serves.
    #[arg(long, value_name = "DIR", env = "RECEIPTD_DATA_DIR")]
    pub(super) data_dir: Option<PathBuf>,
    #[command(flatten)]
    kafka: MaybeKafkaArgs,
    /// This partition only.
    #[arg(long, value_name = "N")]
    pub(super) partition: Option<u32>,
    /// Of a stopped receiptd, fold so many partitions at a time. Left out: as many as there are cores. One that serves
    /// folds one at a time.
    #[arg(long, value_name = "N", requires = "data_dir", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

/// Compare the state with what its log says, entry by entry.
///
/// For each partition the log is folded anew, aside, up to where the state is, and both are compared: a digest of each,
/// and the first entries that differ, with what the state has and what the log says. Nothing of the state changes.
/// Interrupted, the same command goes on. Exit code 0: all are equal; 1: one differs or cannot be read.
///
/// A receiptd that serves compares a copy of its state at this moment, one partition after the other, and goes on serving.
///
/// What depends on the order in which the two topics were folded, and shows in no answer, is not compared: how far
/// up-to reads are expanded, and how far a message has applied its group's leaves.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl replay verify
  receiptctl replay verify --data-dir /var/lib/receiptd
  receiptctl replay verify --data-dir /var/lib/receiptd --kafka 127.0.0.1:9092 --partition 3 --json")]
struct Verify {
    #[command(flatten)]
    which: Which,
    /// Fold aside in DIR/replay of this directory, and not of the data directory.
    #[arg(long, value_name = "DIR", requires = "data_dir")]
    aside: Option<PathBuf>,
    /// Of a stopped receiptd, begin with the newest snapshot of this place that is no further than the state, and not with
    /// the log's beginning. Needed where the log was trimmed.
    #[arg(long, value_name = "PLACE", requires = "data_dir")]
    from: Option<String>,
    /// Have a receiptd that serves begin with the newest snapshot of its own place, and not with the log's beginning. So it
    /// does anyway, where the log was trimmed.
    #[arg(long, conflicts_with = "data_dir")]
    from_snapshot: bool,
}

/// Fold the state anew from the log, and put it in the place of the one that is there.
///
/// All partitions, or one, are folded aside in DIR/replay, from the log's beginning to where the state is. Then each takes
/// the place of the live one, which is deleted. Nobody is told anything anew. Interrupted, the same command goes on;
/// whenever that is, the next start of receiptd finds a complete store.
///
/// A receiptd that serves goes on serving meanwhile, and takes one partition after the other; queries wait for as long as
/// it takes to open a store. A partition that is sealed serves again, if its state was what was wrong.
///
/// Where the log has lost records that the state has applied, as on Kafka by an unclean leader election, the state is
/// dropped, and receiptd folds the partition again from what the log has now. It then notifies senders again.
///
/// On a stopped receiptd it is also the way to change settings of the fold: all partitions are folded by these, and
/// inboxes of the old ones are deleted, for the next start to fold anew.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl replay rebuild --partition 3
  receiptctl replay rebuild --data-dir /var/lib/receiptd --partition 3
  receiptctl replay rebuild --data-dir /var/lib/receiptd --retention 90d")]
struct Rebuild {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    changes: Changes,
    /// Of a stopped receiptd, begin with the newest snapshot of this place that is no further than the state, and not with
    /// the log's beginning. Needed where the log was trimmed.
    #[arg(long, value_name = "PLACE", requires = "data_dir")]
    from: Option<String>,
    /// Have a receiptd that serves begin with the newest snapshot of its own place, and not with the log's beginning. So it
    /// does anyway, where the log was trimmed.
    #[arg(long, conflicts_with = "data_dir")]
    from_snapshot: bool,
}

impl Which {
    fn threads(&self) -> usize {
        self.threads.map_or_else(|| thread::available_parallelism().map_or(1, usize::from), usize::from)
    }

    pub(super) async fn open(&self, data_dir: &Path) -> anyhow::Result<Site> {
        Site::open(data_dir, self.kafka()).await
    }

    /// Where its log is, if on Kafka.
    pub(super) fn kafka(&self) -> Option<KafkaOptions> {
        self.kafka.options()
    }

    /// The data directory of a receiptd that is stopped, if that is meant, and not one that serves.
    ///
    /// Where its log is goes with a data directory only: one that serves knows.
    pub(super) fn stopped(&self) -> anyhow::Result<Option<&Path>> {
        if self.data_dir.is_none() && self.kafka().is_some() {
            bail!(
                "--kafka: give the --data-dir of a receiptd that is stopped, too; one that serves knows where its log is"
            );
        }
        Ok(self.data_dir.as_deref())
    }
}

/// Where the snapshots are that are begun with.
fn begun_with(from: Option<&str>) -> Result<Option<Place>, SnapshotError> {
    from.map(crate::snapshot::open).transpose()
}

impl Replay {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        match self.command {
            Command::Verify(command) => command.run(addr, output).await,
            Command::Rebuild(command) => command.run(addr, output).await,
            Command::AsOf(command) => command.run(addr, output).await,
        }
    }
}

impl Verify {
    async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let stop = stopped_by_ctrl_c();
        let (log, verified) = match self.which.stopped()? {
            None => {
                (None, replay::verify_live(addr, (self.which.partition, self.from_snapshot), stop, output.json).await?)
            }
            Some(data_dir) => {
                let site = self.which.open(data_dir).await?;
                let partitions = site.partitions(self.which.partition)?;
                let log = site.log.origin();
                let aside = site.aside("verify", self.aside.as_deref());
                let from = begun_with(self.from.as_deref())?;
                let (runtime, threads) = (Handle::current(), self.which.threads());
                let verify = move || {
                    let from = from.as_ref();
                    replay::verify(&site, &partitions, threads, (&aside, from), &stop, &runtime, output.json)
                };
                (Some(log), tokio::task::spawn_blocking(verify).await??)
            }
        };
        let wrong: Vec<_> = verified.iter().filter(|one| !one.equal).map(|one| one.partition.to_string()).collect();
        let seconds = start.elapsed().as_secs_f64();
        let json = json!({
            "log": log,
            "equal": wrong.is_empty(),
            "partitions": verified.iter().map(verified_json).collect::<Vec<_>>(),
            "seconds": seconds,
        });
        output.print(&json, || verified_text(&verified, seconds))?;
        if !wrong.is_empty() {
            bail!("not as the log says: partition {}", wrong.join(", "));
        }
        Ok(())
    }
}

fn verified_json(one: &v1::VerifiedPartition) -> Value {
    let mut json = json!({
        "partition": one.partition,
        "equal": one.equal,
        "conversations_offset": one.conversations_offset,
        "reads_offset": one.reads_offset,
    });
    if one.error.is_empty() {
        json["state"] = json!({ "digest": one.state_digest, "rows": one.state_rows });
        json["log"] = json!({ "digest": one.log_digest, "rows": one.log_rows });
        json["differences"] = json!(one.differences);
        json["first"] = one.first.iter().map(difference_json).collect();
    } else {
        json["error"] = json!(one.error);
    }
    json
}

fn difference_json(difference: &v1::StateDifference) -> Value {
    let named = |text: &String| (!text.is_empty()).then(|| text.clone());
    json!({
        "row": difference.row,
        "conversation": named(&difference.conversation_id),
        "message": named(&difference.message_id),
        "user": named(&difference.user_id),
        "more": difference.more,
        "state": difference.state,
        "log": difference.log,
    })
}

fn verified_text(verified: &[v1::VerifiedPartition], seconds: f64) -> String {
    let header = ["partition", "conversations up to", "reads up to", "digest of the state", "digest by the log", ""];
    let rows = verified.iter().map(|one| {
        let result = match one {
            one if one.equal => "equal".to_owned(),
            one if one.error.is_empty() => format!("{} entries differ", one.differences),
            _ => "not compared".to_owned(),
        };
        let short = |digest: &str| digest.get(..16).unwrap_or_default().to_owned();
        let [conversations, reads] = [one.conversations_offset, one.reads_offset].map(|offset| offset.to_string());
        let (state, log) = (short(&one.state_digest), short(&one.log_digest));
        [one.partition.to_string(), conversations, reads, state, log, result]
    });
    let mut text = table(header, rows);
    for one in verified {
        if !one.error.is_empty() {
            let _ = write!(text, "\npartition {}: {}", one.partition, one.error);
        }
        for difference in &one.first {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
            let (state, log) = (shown(&difference.state), shown(&difference.log));
            let place = place(difference);
            let _ = write!(text, "\npartition {}: {place}\n  state: {state}\n  log:   {log}", one.partition);
        }
    }
    let records: u64 = verified.iter().map(|one| one.conversations_offset + one.reads_offset).sum();
    format!("{text}\n{records} records; {seconds:.1} s")
}

fn place(difference: &v1::StateDifference) -> Row {
    let named = |text: &String| (!text.is_empty()).then(|| text.clone());
    Row {
        row: difference.row.clone(),
        conversation: named(&difference.conversation_id),
        message: named(&difference.message_id),
        user: named(&difference.user_id),
        more: difference.more.clone(),
    }
}

impl Rebuild {
    async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let stop = stopped_by_ctrl_c();
        let Some(data_dir) = self.which.stopped()? else {
            if self.changes.are_any_given() {
                bail!("settings are changed on a stopped receiptd: stop it, and give its --data-dir");
            }
            let rebuilt =
                replay::rebuild_live(addr, (self.which.partition, self.from_snapshot), stop, output.json).await?;
            let seconds = start.elapsed().as_secs_f64();
            let json =
                json!({ "partitions": rebuilt.iter().map(rebuilt_json).collect::<Vec<_>>(), "seconds": seconds });
            return output.print(&json, || format!("{}\n{seconds:.1} s", rebuilt_table(&rebuilt)));
        };
        let site = self.which.open(data_dir).await?;
        let partitions = site.partitions(self.which.partition)?;
        let settings = self.changes.target(&site)?;
        let from = begun_with(self.from.as_deref())?;
        let log = site.log.origin();
        let (runtime, threads) = (Handle::current(), self.which.threads());
        let rebuilt = tokio::task::spawn_blocking(move || {
            replay::rebuild(&site, &partitions, threads, (settings, from.as_ref()), &stop, &runtime, output.json)
        })
        .await??;
        let seconds = start.elapsed().as_secs_f64();
        let json = json!({
            "log": log,
            "retention_ms": settings.retention_ms,
            "early_window_ms": settings.early_window_ms,
            "max_group_members": settings.max_group_members,
            "partitions": rebuilt.iter().map(rebuilt_json).collect::<Vec<_>>(),
            "seconds": seconds,
        });
        output.print(&json, || {
            let duration = |ms| humantime::format_duration(std::time::Duration::from_millis(ms));
            format!(
                "{}\nfolded with retention {}, early window {}, at most {} members of a group; {seconds:.1} s",
                rebuilt_table(&rebuilt),
                duration(settings.retention_ms),
                duration(settings.early_window_ms),
                settings.max_group_members,
            )
        })
    }
}

fn rebuilt_table(rebuilt: &[v1::RebuiltPartition]) -> String {
    let header = ["partition", "conversations up to", "reads up to", "messages", "receipts"];
    let rows = rebuilt.iter().map(|one| {
        [u64::from(one.partition), one.conversations_offset, one.reads_offset, one.messages, one.receipts]
            .map(|number| number.to_string())
    });
    table(header, rows)
}

fn rebuilt_json(one: &v1::RebuiltPartition) -> Value {
    json!({
        "partition": one.partition,
        "conversations_offset": one.conversations_offset,
        "reads_offset": one.reads_offset,
        "messages": one.messages,
        "receipts": one.receipts,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn parses(line: &str) -> bool {
        Cli::try_parse_from(format!("receiptctl replay {line}").split_whitespace()).is_ok()
    }

    #[test]
    fn settings_are_those_of_all_partitions() {
        assert!(parses("rebuild --data-dir a --partition 3"));
        assert!(parses("rebuild --data-dir a --kafka b:1 --topic-prefix c. --kafka-setting d=e --retention 7d"));
        assert!(!parses("rebuild --data-dir a --partition 3 --retention 7d"));
        assert!(!parses("rebuild --data-dir a --max-group-members 0"));
        assert!(!parses("rebuild --data-dir a --retention soon"));
        assert!(!parses("verify --data-dir a --retention 7d"));
        assert!(parses("verify --data-dir a --aside b --partition 0"));
        assert!(parses("as-of 12:7 --data-dir a receipts team m1"));
        assert!(parses("as-of @1772366400 members team m1 unread --all"));
        assert!(!parses("as-of yesterday states team m1 bob"));
        assert!(parses("rebuild --data-dir a --from s3://b/c"));
        assert!(!parses("rebuild --from b"));
    }

    #[test]
    fn a_receiptd_that_serves_knows_where_its_log_is() {
        let cli = Cli::try_parse_from(["receiptctl", "replay", "verify", "--kafka", "b:1"]).unwrap();
        let crate::cli::Command::Replay(Replay { command: Command::Verify(verify) }) = cli.command else {
            panic!("another command")
        };
        let refused = verify.which.stopped().unwrap_err().to_string();
        assert!(refused.contains("--data-dir"), "{refused}");
        assert!(parses("verify --partition 0"));
        assert!(parses("rebuild"));
        assert!(!parses("verify --aside b"));
        assert!(!parses("verify --threads 2"));
        assert!(parses("rebuild --from-snapshot"));
        assert!(!parses("verify --data-dir a --from-snapshot"));
    }
}
