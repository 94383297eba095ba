//! `receiptctl log import`: records of a file into a log.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use clap::{ArgGroup, Args};
use receipt_log::Topic;
use serde_json::json;

use super::log::{end, stopped_by_ctrl_c};
use crate::{
    copy::{self, Timestamps},
    kafka::{Settings, setting, settings, settings_file},
    log_file::topic_named,
    output::{Output, table},
    transfer::{self, Checked, Imported, Taken},
};

/// Append the records of a file that `log export` has written to a log of its own.
///
/// Into the embedded log of a data directory, which is made with as many partitions as the exported log has, or into
/// topics on Kafka that have as many. Keys, values, headers, timestamps and order stay; offsets begin at 0. What the log
/// has already is compared with the file, what it lacks is appended, and what was appended is read back and compared: one
/// that was interrupted goes on when the same command is run again, and one that is finished is verified.
///
/// All of the file is read and checked first: nothing is appended of one that was cut short, changed or damaged, or in which
/// a record's timestamp is more than a day ahead of this machine's clock. The error names the frame or line.
///
/// receipts.conversations and receipts.reads are taken. receipts.deltas and receipts.dead-letter follow from those: the
/// receiptd that folds the log appends them anew. The log is another one than the exported: a consistency token of that is
/// refused, and a state of that does not fit.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("to").required(true).args(["data_dir", "kafka"])),
    after_long_help = "\
Examples:
  receiptctl log import log.pb --data-dir /tmp/receiptd
  receiptctl log import log.jsonl.gz --kafka 127.0.0.1:9092 --topic-prefix bug-17.
  receiptctl log import log.pb --data-dir /tmp/receiptd --timestamps-not-after now"
)]
pub(super) struct Import {
    /// The file, in any of the formats of `log export`.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Into the embedded log of this data directory; made where there is none.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Into the topics on these brokers, which `receiptctl topics create` makes.
    #[arg(long, value_name = "SERVERS")]
    kafka: Option<String>,
    /// What the names of the topics on Kafka begin with.
    #[arg(long, value_name = "PREFIX", conflicts_with = "data_dir", default_value = "", hide_default_value = true)]
    topic_prefix: String,
    /// A setting of librdkafka. May be repeated. Others see the command line: put a secret into a file
    /// (--kafka-settings-file).
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "data_dir", value_parser = setting)]
    kafka_setting: Vec<(String, String)>,
    /// A file with such settings, NAME=VALUE on a line each.
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir", value_parser = settings_file)]
    kafka_settings_file: Option<Settings>,
    /// This topic of the file. May be repeated. Left out: receipts.conversations and receipts.reads.
    #[arg(long, value_name = "TOPIC", value_parser = topic_named)]
    topic: Vec<Topic>,
    /// Take a file whose count and digest at its end are not its own, or missing, such as one edited by hand.
    #[arg(long)]
    edited: bool,
    /// Take records in a partition that is not their key's, too. They are dead letters.
    #[arg(long)]
    misplaced: bool,
    #[command(flatten)]
    timestamps: Timestamps,
}

impl Import {
    pub(super) async fn run(self, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let stop = stopped_by_ctrl_c();
        let Self { file, data_dir, kafka, topic_prefix, topic, edited, misplaced, timestamps, .. } = self;
        let settings = settings(self.kafka_settings_file, self.kafka_setting);
        let topics = if topic.is_empty() { copy::TOPICS.to_vec() } else { topic };
        let taken = Taken { topics, edited, misplaced, timestamps };
        let checked = {
            let (file, taken) = (file.clone(), taken.clone());
            tokio::task::spawn_blocking(move || transfer::check(&file, &taken)).await??
        };
        tell(&checked, &taken);
        let target = end(data_dir, kafka, topic_prefix, settings)?.target(checked.header.partitions).await?;
        let imported = transfer::import(&file, &checked, &taken, &target.log, &stop, output.json).await;
        // In order, so that the next to open it has nothing to recover; also where the import goes on later.
        let closed = target.log.close();
        let done = imported?;
        closed?;
        let seconds = start.elapsed().as_secs_f64();
        let json = json!({
            "log": checked.header.origin,
            "target": target.log.origin(),
            "partitions": done.iter().map(partition_json).collect::<Vec<_>>(),
            "seconds": seconds,
        });
        output.print(&json, || {
            let rows = done.iter().map(|Imported { section, copied }| {
                let numbers = [u64::from(section.partition), copied.compared, copied.appended, copied.verified];
                let [partition, compared, appended, verified] = numbers.map(|number| number.to_string());
                [section.topic.to_string(), partition, compared, appended, verified]
            });
            let table = table(["topic", "partition", "compared", "appended", "read back"], rows);
            let records: u64 = done.iter().map(|done| done.copied.compared + done.copied.appended).sum();
            format!(
                "{table}\n{records} records of {}\nare in {}; {seconds:.1} s",
                checked.header.origin,
                target.log.origin()
            )
        })
    }
}

/// What people should know before.
fn tell(checked: &Checked, taken: &Taken) {
    let sections = || checked.header.sections.iter().zip(&checked.records);
    let mut left_out: BTreeMap<Topic, u64> = BTreeMap::new();
    for (section, records) in sections().filter(|(section, _)| !taken.topics.contains(&section.topic)) {
        *left_out.entry(section.topic).or_default() += records;
    }
    for (topic, records) in left_out {
        eprintln!("{records} records of {topic} are in the file, and are not imported");
    }
    for topic in &taken.topics {
        if !sections().any(|(section, _)| section.topic == *topic) {
            eprintln!("the file has nothing of {topic}");
        }
    }
    for (number, (section, _)) in (0..).zip(sections()) {
        if checked.renumbered.contains(&number) {
            let (topic, partition) = (section.topic, section.partition);
            eprintln!(
                "{topic}/{partition}: offsets in the file begin later or have gaps; in the target they go on from 0"
            );
        }
    }
}

fn partition_json(Imported { section, copied }: &Imported) -> serde_json::Value {
    json!({
        "topic": section.topic.name(),
        "partition": section.partition,
        "records_compared": copied.compared,
        "records_appended": copied.appended,
        "records_verified": copied.verified,
    })
}
