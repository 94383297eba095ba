//! `receiptctl log`: a log as a whole.

use std::{path::PathBuf, process, time::Instant};

use anyhow::bail;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;
use tokio::{signal::ctrl_c, sync::watch};

use super::{log_export::Export, log_import::Import, trim::Trim};
use crate::{
    copy::{self, Done, End, Timestamps},
    kafka::{Settings, setting, settings, settings_file},
    output::{Output, table},
};

/// Copy a log, between the embedded one and Kafka too; export records into a file, and import them; trim it.
#[derive(Debug, Args)]
pub(crate) struct Log {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Copy(Copy),
    Trim(Trim),
    Export(Export),
    Import(Import),
}

/// Copy a log into another one, partition by partition: keys, values, headers, timestamps and order stay.
///
/// What the target has already is compared with the source, what it lacks is appended, and what was appended is read
/// back and compared. So a copy that was interrupted goes on where it stopped when the same command is run again, and one
/// that is finished is verified. What is copied is what the source has at the start. Neither log may have a receiptd on
/// it; of an embedded log that is checked. Nothing is copied where a record's timestamp is more than a day ahead of this
/// machine's clock: the error names the record.
///
/// The topics receipts.conversations and receipts.reads are copied. receipts.deltas and receipts.dead-letter follow from
/// those: the receiptd that folds the copy appends them anew.
///
/// The copy is another log: state is folded anew from it, in a data directory without `receipts` and `inboxes`; a
/// consistency token of the old log is refused, and streams that go on from a token of it begin with a reset.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("from").required(true).args(["from_data_dir", "from_kafka"])),
    group(ArgGroup::new("to").required(true).args(["to_data_dir", "to_kafka"])),
    after_long_help = "\
Examples:
  receiptctl log copy --from-data-dir /var/lib/receiptd --to-kafka 127.0.0.1:9092
  receiptctl log copy --from-kafka kafka.example:9093 --from-topic-prefix chat. \\
    --from-kafka-setting security.protocol=SSL --to-data-dir /var/lib/receiptd"
)]
struct Copy {
    /// Copy the embedded log of this data directory of receiptd.
    #[arg(long, value_name = "DIR")]
    from_data_dir: Option<PathBuf>,
    /// Copy the log on these brokers, HOST:PORT with commas between.
    #[arg(long, value_name = "SERVERS")]
    from_kafka: Option<String>,
    /// What the names of the source's topics begin with.
    #[arg(
        long,
        value_name = "PREFIX",
        conflicts_with = "from_data_dir",
        default_value = "",
        hide_default_value = true
    )]
    from_topic_prefix: String,
    /// A setting of librdkafka for the source, such as security.protocol=SASL_SSL. May be repeated. Others see the command
    /// line: put a secret into a file (--from-kafka-settings-file).
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "from_data_dir", value_parser = setting)]
    from_kafka_setting: Vec<(String, String)>,
    /// A file with such settings, NAME=VALUE on a line each.
    #[arg(long, value_name = "FILE", conflicts_with = "from_data_dir", value_parser = settings_file)]
    from_kafka_settings_file: Option<Settings>,
    /// Into the embedded log of this data directory; made where there is none.
    #[arg(long, value_name = "DIR")]
    to_data_dir: Option<PathBuf>,
    /// Into the topics on these brokers, which `receiptctl topics create` makes.
    #[arg(long, value_name = "SERVERS")]
    to_kafka: Option<String>,
    /// What the names of the target's topics begin with.
    #[arg(long, value_name = "PREFIX", conflicts_with = "to_data_dir", default_value = "", hide_default_value = true)]
    to_topic_prefix: String,
    /// A setting of librdkafka for the target. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "to_data_dir", value_parser = setting)]
    to_kafka_setting: Vec<(String, String)>,
    /// A file with such settings, NAME=VALUE on a line each.
    #[arg(long, value_name = "FILE", conflicts_with = "to_data_dir", value_parser = settings_file)]
    to_kafka_settings_file: Option<Settings>,
    #[command(flatten)]
    timestamps: Timestamps,
}

impl Log {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        match self.command {
            Command::Copy(command) => command.run(output).await,
            Command::Trim(command) => command.run(addr, output).await,
            Command::Export(command) => command.run(addr, output).await,
            Command::Import(command) => command.run(output).await,
        }
    }
}

impl Copy {
    async fn run(self, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let settings_from = settings(self.from_kafka_settings_file, self.from_kafka_setting);
        let from = end(self.from_data_dir, self.from_kafka, self.from_topic_prefix, settings_from)?;
        let settings_to = settings(self.to_kafka_settings_file, self.to_kafka_setting);
        let to = end(self.to_data_dir, self.to_kafka, self.to_topic_prefix, settings_to)?;
        if copy::are_one(&from, &to) {
            bail!("source and target are the same data directory");
        }
        let stop = stopped_by_ctrl_c();
        let source = from.source().await?;
        let target = to.target(source.log.partitions()).await?;
        let copied = copy::run(&source.log, &target.log, self.timestamps, &stop, output.json).await;
        // In order, so that the next to open it has nothing to recover; also where the copy goes on later.
        let closed = target.log.close();
        let done = copied?;
        closed?;
        let seconds = start.elapsed().as_secs_f64();
        let (source, target) = (source.log.origin(), target.log.origin());
        let json = json!({
            "source": source,
            "target": target,
            "partitions": done.iter().map(partition_json).collect::<Vec<_>>(),
            "seconds": seconds,
        });
        output.print(&json, || text(&source, &target, &done, seconds))
    }
}

/// Where a log is.
pub(super) fn end(
    data_dir: Option<PathBuf>,
    servers: Option<String>,
    topic_prefix: String,
    settings: Settings,
) -> anyhow::Result<End> {
    match (data_dir, servers) {
        (Some(dir), None) => Ok(End::DataDir(dir)),
        (None, Some(servers)) => Ok(End::Kafka { servers, topic_prefix, settings }),
        // The command line has been checked.
        _ => bail!("give either a data directory or Kafka's brokers"),
    }
}

/// Turns true at the first Ctrl-C. The second one ends the process at once, which is safe too.
pub(super) fn stopped_by_ctrl_c() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        if ctrl_c().await.is_ok() {
            stop.send_replace(true);
            if ctrl_c().await.is_ok() {
                process::exit(130);
            }
        }
    });
    stopped
}

fn partition_json(done: &Done) -> serde_json::Value {
    json!({
        "topic": done.topic.name(),
        "partition": done.partition,
        "records_compared": done.copied.compared,
        "records_appended": done.copied.appended,
        "records_verified": done.copied.verified,
    })
}

fn text(source: &str, target: &str, done: &[Done], seconds: f64) -> String {
    let rows = done.iter().map(|done| {
        let copied = &done.copied;
        let numbers = [copied.compared, copied.appended, copied.verified].map(|number| number.to_string());
        let [compared, appended, verified] = numbers;
        [done.topic.to_string(), done.partition.to_string(), compared, appended, verified]
    });
    let table = table(["topic", "partition", "compared", "appended", "read back"], rows);
    let records: u64 = done.iter().map(|done| done.copied.compared + done.copied.appended).sum();
    format!("{table}\n{records} records of {source}\nare the same in {target}; {seconds:.1} s")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Cli;

    fn parses(line: &str) -> bool {
        Cli::try_parse_from(format!("receiptctl log copy {line}").split_whitespace()).is_ok()
    }

    #[test]
    fn each_end_is_a_data_directory_or_kafka() {
        assert!(parses("--from-data-dir a --to-data-dir b"));
        assert!(parses(
            "--from-data-dir a --to-kafka b:1 --to-topic-prefix c. --to-kafka-setting d=e --to-kafka-setting f=g"
        ));
        assert!(parses("--from-kafka a:1,b:2 --from-topic-prefix c. --from-kafka-setting d=e --to-data-dir f"));
        assert!(parses("--from-kafka a:1 --to-kafka a:1 --to-topic-prefix b."));
        assert!(!parses("--from-data-dir a"));
        assert!(!parses("--to-data-dir a"));
        assert!(!parses("--from-data-dir a --from-kafka b:1 --to-data-dir c"));
        assert!(!parses("--from-data-dir a --from-topic-prefix b. --to-data-dir c"));
        assert!(!parses("--from-data-dir a --to-kafka-setting b=c --to-data-dir d"));
    }
}
