//! `receiptctl log export`: records of a log into a file.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::bail;
use clap::Args;
use receipt_log::{Topic, Whole};
use serde_json::json;
use tokio::sync::watch;

use super::log::stopped_by_ctrl_c;
use crate::{
    copy,
    log_file::{Format, topic_named},
    output::{Output, table},
    source::{Salvaged, Source, SourceArgs},
    transfer::{self, Exported, LeftOut, Request, left_out},
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
///
/// --until-damage exports a log on which receiptd does not start because a file of it is damaged. Of each partition of each
/// topic it writes the records before the first one that is damaged or missing, and names what is damaged and what is left
/// out, as far as that can be known: a partition may have had more at its end. It reads a copy in DIR/replay, whose table
/// files are links where possible, and leaves the log as it is. The exit code is 0 where the log is whole, 3 where damage was
/// found and the file has what is whole, and 1 where there is no file.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl log export log.pb --data-dir /var/lib/receiptd
  receiptctl log export log.pb --data-dir /var/lib/receiptd --until-damage
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
    /// Export what is whole of a damaged log: up to the first damage in each partition. Needs --data-dir.
    #[arg(long)]
    until_damage: bool,
    /// How many partitions the log has, where neither the damaged log nor the state says it.
    #[arg(long, value_name = "N", requires = "until_damage", value_parser = clap::value_parser!(u32).range(1..=1024))]
    partitions: Option<u32>,
    /// How records are written. Left out: jsonl where the file's name ends in .jsonl or .jsonl.gz, else protobuf.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Export {
    pub(super) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let start = Instant::now();
        let request = self.request()?;
        let stop = stopped_by_ctrl_c();
        if !self.until_damage {
            let source = Source::open(self.source, addr).await?;
            return write(&source, None, &request, &self.file, &stop, start, output).await;
        }
        let Some(dir) = self.source.embedded().cloned() else {
            bail!(
                "--until-damage reads the embedded log of a receiptd that is stopped: give its --data-dir, and no --kafka"
            );
        };
        let partitions = self.partitions;
        let salvaged = tokio::task::spawn_blocking(move || Salvaged::open(&dir, partitions)).await??;
        let asked = |whole: &&Whole| {
            request.topics.contains(&whole.topic) && self.partition.is_none_or(|partition| partition == whole.partition)
        };
        let partitions: Vec<_> = salvaged.partitions.iter().filter(asked).cloned().collect();
        let lost = (salvaged.damage.as_slice(), partitions.as_slice());
        write(&salvaged.source, Some(lost), &request, &self.file, &stop, start, output).await?;
        match LeftOut::of(lost.0, lost.1) {
            Some(left_out) => Err(left_out.into()),
            None => Ok(()),
        }
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

/// Writes the file, and tells what is in it, and of a damaged log what is not.
async fn write(
    source: &Source,
    lost: Option<(&[String], &[Whole])>,
    request: &Request,
    file: &Path,
    stop: &watch::Receiver<bool>,
    start: Instant,
    output: Output,
) -> anyhow::Result<()> {
    let lines = lost.map_or_else(Vec::new, |(damage, partitions)| left_out::lines(damage, partitions));
    if file.as_os_str() == "-" {
        let Exported { header, records, .. } = transfer::export_to_stdout(source, request, stop).await?;
        lines.iter().for_each(|line| eprintln!("{line}"));
        eprintln!("{records} records of {}; {:.1} s", header.origin, start.elapsed().as_secs_f64());
        return Ok(());
    }
    let Exported { header, records, before } = transfer::export(source, request, file, stop, output.json).await?;
    let (seconds, bytes) = (start.elapsed().as_secs_f64(), file.metadata()?.len());
    let sections = header.sections.iter().map(|section| {
        json!({
            "topic": section.topic.name(),
            "partition": section.partition,
            "from_offset": section.from_offset,
            "to_offset": section.to_offset,
        })
    });
    let mut json = json!({
        "log_id": header.log_id,
        "log": header.origin,
        "file": file,
        "sections": sections.collect::<Vec<_>>(),
        "records": records,
        "records_before": before,
        "bytes": bytes,
        "seconds": seconds,
    });
    if let (Some((damage, partitions)), Some(json)) = (lost, json.as_object_mut()) {
        json.insert("left_out".to_owned(), left_out::json(damage, partitions));
    }
    output.print(&json, || {
        let rows = header.sections.iter().map(|section| {
            let [partition, from, to] =
                [u64::from(section.partition), section.from_offset, section.to_offset].map(|n| n.to_string());
            [section.topic.to_string(), partition, from, to]
        });
        let table = table(["topic", "partition", "from offset", "up to"], rows);
        let lines: String = lines.iter().map(|line| format!("\n{line}")).collect();
        let origin = &header.origin;
        format!(
            "{table}\n{records} records of {origin}\nare in {}: {bytes} bytes; {seconds:.1} s{lines}",
            file.display()
        )
    })
}
