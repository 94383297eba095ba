//! `receiptctl replay`: state and log of a receiptd that is stopped, one against the other.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, time::Instant};

use anyhow::bail;
use clap::{Args, Subcommand};
use receipt_log::KafkaOptions;
use receipt_store::Difference;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::log::stopped_by_ctrl_c;
use crate::{
    kafka::setting,
    output::{Output, table},
    replay::{self, Changes, Outcome, Rebuilt, Site, Verified},
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
}

/// Of which receiptd, and which partition.
#[derive(Debug, Args)]
struct Which {
    /// The data directory of a receiptd that is stopped.
    #[arg(long, value_name = "DIR", env = "RECEIPTD_DATA_DIR")]
    data_dir: PathBuf,
    /// Brokers of the Kafka cluster that its log is on, HOST:PORT with commas between. Left out: its log is in the data
    /// directory.
    #[arg(long, value_name = "SERVERS", env = "RECEIPTD_KAFKA")]
    kafka: Option<String>,
    /// What the names of the topics on Kafka begin with.
    #[arg(long, value_name = "PREFIX", env = "RECEIPTD_TOPIC_PREFIX", default_value = "", hide_default_value = true)]
    topic_prefix: String,
    /// A setting of librdkafka, such as security.protocol=SASL_SSL. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    kafka_setting: Vec<(String, String)>,
    /// This partition only.
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
}

/// Compare the state with what its log says, entry by entry.
///
/// For each partition the log is folded anew, aside, up to where the state is, and both are compared: a digest of each,
/// and the first entries that differ, with what the state has and what the log says. Nothing of the state changes.
/// Interrupted, the same command goes on. Exit code 0: all are equal; 1: one differs or cannot be read.
///
/// What depends on the order in which the two topics were folded, and shows in no answer, is not compared: how far
/// up-to reads are expanded, and how far a message has applied its group's leaves.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl replay verify --data-dir /var/lib/receiptd
  receiptctl replay verify --data-dir /var/lib/receiptd --kafka 127.0.0.1:9092 --partition 3 --json")]
struct Verify {
    #[command(flatten)]
    which: Which,
    /// Fold aside in DIR/replay of this directory, and not of the data directory.
    #[arg(long, value_name = "DIR")]
    aside: Option<PathBuf>,
}

/// Fold the state anew from the log, and put it in the place of the one that is there.
///
/// All partitions, or one, are folded aside in DIR/replay, from the log's beginning to its end. Then each takes the place
/// of the live one, which is deleted. Interrupted, the same command goes on; whenever that is, the next start of receiptd
/// finds a complete store. With other settings it is the way to change them: all partitions are folded by these, and
/// inboxes of the old ones are deleted, for the next start to fold anew.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl replay rebuild --data-dir /var/lib/receiptd --partition 3
  receiptctl replay rebuild --data-dir /var/lib/receiptd --retention 90d")]
struct Rebuild {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    changes: Changes,
}

impl Which {
    async fn open(&self) -> anyhow::Result<Site> {
        let settings: BTreeMap<_, _> = self.kafka_setting.iter().cloned().collect();
        let topic_prefix = self.topic_prefix.clone();
        let kafka =
            self.kafka.clone().map(|servers| KafkaOptions { topic_prefix, settings, ..KafkaOptions::new(servers) });
        Site::open(&self.data_dir, kafka).await
    }
}

impl Replay {
    pub(crate) async fn run(self, output: Output) -> anyhow::Result<()> {
        match self.command {
            Command::Verify(command) => command.run(output).await,
            Command::Rebuild(command) => command.run(output).await,
        }
    }
}

impl Verify {
    async fn run(self, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let stop = stopped_by_ctrl_c();
        let site = self.which.open().await?;
        let partitions = site.partitions(self.which.partition)?;
        let log = site.log.origin();
        let aside = site.aside("verify", self.aside.as_deref());
        let runtime = Handle::current();
        let verified = tokio::task::spawn_blocking(move || {
            replay::verify(&site, &partitions, &aside, &stop, &runtime, output.json)
        })
        .await??;
        let wrong: Vec<_> = verified.iter().filter(|one| !one.outcome.is_equal()).map(|one| one.partition).collect();
        let seconds = start.elapsed().as_secs_f64();
        let json = json!({
            "log": log,
            "equal": wrong.is_empty(),
            "partitions": verified.iter().map(verified_json).collect::<Vec<_>>(),
            "seconds": seconds,
        });
        output.print(&json, || verified_text(&verified, seconds))?;
        if !wrong.is_empty() {
            let wrong: Vec<_> = wrong.iter().map(u32::to_string).collect();
            bail!("not as the log says: partition {}", wrong.join(", "));
        }
        Ok(())
    }
}

fn verified_json(one: &Verified) -> Value {
    let mut json = json!({
        "partition": one.partition,
        "equal": one.outcome.is_equal(),
        "conversations_offset": one.applied.conversations,
        "reads_offset": one.applied.reads,
    });
    match &one.outcome {
        Outcome::Compared(found) => {
            json["state"] = json!({ "digest": found.this.digest.to_string(), "rows": found.this.rows });
            json["log"] = json!({ "digest": found.other.digest.to_string(), "rows": found.other.rows });
            json["differences"] = json!(found.differences);
            json["first"] = found.first.iter().map(difference_json).collect();
        }
        Outcome::Wrong(why) => json["error"] = json!(why),
    }
    json
}

fn difference_json(difference: &Difference) -> Value {
    let Difference { place, this, other } = difference;
    json!({
        "row": place.row,
        "conversation": place.conversation,
        "message": place.message,
        "user": place.user,
        "more": place.more,
        "state": this,
        "log": other,
    })
}

fn verified_text(verified: &[Verified], seconds: f64) -> String {
    let header = ["partition", "conversations up to", "reads up to", "digest of the state", "digest by the log", ""];
    let rows = verified.iter().map(|one| {
        let (state, log, result) = match &one.outcome {
            Outcome::Compared(found) if one.outcome.is_equal() => {
                (found.this.digest.to_string(), found.other.digest.to_string(), "equal".to_owned())
            }
            Outcome::Compared(found) => {
                let result = format!("{} entries differ", found.differences);
                (found.this.digest.to_string(), found.other.digest.to_string(), result)
            }
            Outcome::Wrong(_) => (String::new(), String::new(), "not compared".to_owned()),
        };
        let short = |digest: String| digest.get(..16).unwrap_or_default().to_owned();
        let [conversations, reads] = [one.applied.conversations, one.applied.reads].map(|offset| offset.to_string());
        [one.partition.to_string(), conversations, reads, short(state), short(log), result]
    });
    let mut text = table(header, rows);
    for one in verified {
        match &one.outcome {
            Outcome::Wrong(why) => {
                let _ = write!(text, "\npartition {}: {why}", one.partition);
            }
            Outcome::Compared(found) => {
                for Difference { place, this, other } in &found.first {
                    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
                    let (state, log) = (shown(this), shown(other));
                    let _ = write!(text, "\npartition {}: {place}\n  state: {state}\n  log:   {log}", one.partition);
                }
            }
        }
    }
    let records: u64 = verified.iter().map(|one| one.applied.conversations + one.applied.reads).sum();
    format!("{text}\n{records} records; {seconds:.1} s")
}

impl Rebuild {
    async fn run(self, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let stop = stopped_by_ctrl_c();
        let site = self.which.open().await?;
        let partitions = site.partitions(self.which.partition)?;
        let settings = self.changes.target(&site)?;
        let log = site.log.origin();
        let runtime = Handle::current();
        let rebuilt = tokio::task::spawn_blocking(move || {
            replay::rebuild(&site, &partitions, settings, &stop, &runtime, output.json)
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
            let header = ["partition", "conversations up to", "reads up to", "messages", "receipts"];
            let rows = rebuilt.iter().map(|one| {
                let Rebuilt { partition, applied, messages, receipts } = one;
                [u64::from(*partition), applied.conversations, applied.reads, *messages, *receipts]
                    .map(|number| number.to_string())
            });
            let duration = |ms| humantime::format_duration(std::time::Duration::from_millis(ms));
            format!(
                "{}\nfolded with retention {}, early window {}, at most {} members of a group; {seconds:.1} s",
                table(header, rows),
                duration(settings.retention_ms),
                duration(settings.early_window_ms),
                settings.max_group_members,
            )
        })
    }
}

fn rebuilt_json(one: &Rebuilt) -> Value {
    json!({
        "partition": one.partition,
        "conversations_offset": one.applied.conversations,
        "reads_offset": one.applied.reads,
        "messages": one.messages,
        "receipts": one.receipts,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

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
    }
}
