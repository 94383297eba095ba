//! `receiptctl log export`: records of a log into a file.

use std::{path::PathBuf, time::Instant};

use anyhow::bail;
use clap::Args;
use receipt_log::Topic;
use serde_json::json;

use super::log::stopped_by_ctrl_c;
use crate::{
    copy,
    log_file::{Format, topic_named},
    output::{Output, table},
    source::{Source, SourceArgs},
    transfer::{self, Exported, Request},
};

/// Write records of a log into a file, for a bug report or a test.
///
/// The log of a receiptd that is stopped (--data-dir), one on Kafka (--kafka), or that of the receiptd at --addr, beside
/// which this may run. What is written is what the log has at the start. Nothing of the log changes.
///
/// The file begins with which log and which offsets it is of, and ends with a count and a digest, so that one which was
/// cut short or changed is noticed. It is written as FILE.part and gets its name when it is complete. Interrupted, the
/// same command goes on from there; a compressed file is begun anew.
///
/// Two formats hold the same. protobuf: length-delimited messages of receipts.v1.LogFileFrame, the smaller and quicker
/// one. jsonl: a JSON document a line, with events decoded, to be read, searched and edited; bytes that are no event, or
/// would not come out the same, stand in it in base64.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl log export log.pb --data-dir /var/lib/receiptd
  receiptctl log export log.jsonl.gz --topic reads --topic dead-letter
  receiptctl log export - --format jsonl --topic conversations --partition 3 --from 1000 --to 1010 | jq .event")]
pub(super) struct Export {
    /// The file; one whose name ends in .gz is compressed. -: standard output.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    source: SourceArgs,
    /// Of this topic, such as receipts.reads or reads. May be repeated. Left out: receipts.conversations and
    /// receipts.reads, from which the others follow.
    #[arg(long, value_name = "TOPIC", value_parser = topic_named)]
    topic: Vec<Topic>,
    /// Of this partition only.
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// From this offset on, of one partition of one topic. Left out: all that there are.
    #[arg(long, value_name = "OFFSET", requires = "partition", requires = "topic")]
    from: Option<u64>,
    /// Up to the one before this offset.
    #[arg(long, value_name = "OFFSET", requires = "partition", requires = "topic")]
    to: Option<u64>,
    /// How records are written. Left out: jsonl where the file's name ends in .jsonl or .jsonl.gz, else protobuf.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Export {
    pub(super) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let request = self.request()?;
        let stop = stopped_by_ctrl_c();
        let source = Source::open(self.source, addr).await?;
        let to_stdout = self.file.as_os_str() == "-";
        let exported = if to_stdout {
            transfer::export_to_stdout(&source, &request, &stop).await?
        } else {
            transfer::export(&source, &request, &self.file, &stop, output.json).await?
        };
        let seconds = start.elapsed().as_secs_f64();
        let Exported { header, records, before } = &exported;
        if to_stdout {
            eprintln!("{records} records of {}; {seconds:.1} s", header.origin);
            return Ok(());
        }
        let bytes = self.file.metadata()?.len();
        let sections = header.sections.iter().map(|section| {
            json!({
                "topic": section.topic.name(),
                "partition": section.partition,
                "from_offset": section.from_offset,
                "to_offset": section.to_offset,
            })
        });
        let json = json!({
            "log_id": header.log_id,
            "log": header.origin,
            "file": self.file,
            "sections": sections.collect::<Vec<_>>(),
            "records": records,
            "records_before": before,
            "bytes": bytes,
            "seconds": seconds,
        });
        output.print(&json, || {
            let rows = header.sections.iter().map(|section| {
                let [partition, from, to] =
                    [u64::from(section.partition), section.from_offset, section.to_offset].map(|n| n.to_string());
                [section.topic.to_string(), partition, from, to]
            });
            let table = table(["topic", "partition", "from offset", "up to"], rows);
            format!(
                "{table}\n{records} records of {}\nare in {}: {bytes} bytes; {seconds:.1} s",
                header.origin,
                self.file.display()
            )
        })
    }

    fn request(&self) -> anyhow::Result<Request> {
        let mut topics = if self.topic.is_empty() { copy::TOPICS.to_vec() } else { self.topic.clone() };
        topics.sort_unstable();
        topics.dedup();
        if topics.len() > 1 && (self.from.is_some() || self.to.is_some()) {
            bail!("--from and --to are offsets of one topic: give one --topic");
        }
        let name = self.file.to_string_lossy();
        let by_name =
            if name.ends_with(".jsonl") || name.ends_with(".jsonl.gz") { Format::Jsonl } else { Format::Protobuf };
        let format = self.format.unwrap_or(by_name);
        Ok(Request { format, topics, partition: self.partition, from: self.from, to: self.to })
    }
}
