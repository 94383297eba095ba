//! `receiptctl inspect log`.

use std::collections::BTreeMap;

use clap::Args;
use receipt_log::{StoredRecord, Topic};
use receipt_projector::{DeadLetter, decode};
use receipt_proto::timestamp_from_ms;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    commands::log::stopped_by_ctrl_c,
    event_json,
    log_file::topic_named,
    output::Output,
    progress::Progress,
    source::{Bounds, Source, SourceArgs},
};

/// Characters of a record's JSON in a line for people.
const LINE_CHARS: usize = 400;

/// Records around an offset: key, arrival, headers, the event in each, and whether it is a dead letter.
///
/// A record of receipts.conversations or receipts.reads that cannot be read says why. One that was refused by a rule says
/// so where its dead letter is there; receipts.dead-letter is read for that, in the partition of the same number.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl inspect log conversations 3 17 --around 5
  receiptctl inspect log receipts.deltas 0 0 --data-dir /var/lib/receiptd --json")]
pub(super) struct Log {
    /// The topic, such as receipts.reads or reads.
    #[arg(value_parser = topic_named)]
    topic: Topic,
    /// The partition.
    partition: u32,
    /// The offset.
    offset: u64,
    /// So many records before and after it, too.
    #[arg(long, value_name = "N", default_value_t = 0)]
    around: u64,
    #[command(flatten)]
    source: SourceArgs,
}

/// Why records were refused, by their offsets, and where their dead letters stand.
type Refused = BTreeMap<u64, (u64, String)>;

impl Log {
    pub(super) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let Self { topic, partition, offset, around, source } = self;
        let stop = stopped_by_ctrl_c();
        let source = Source::open(source, addr).await?;
        let bounds = source.bounds(topic, partition).await?;
        let from = offset.saturating_sub(around).clamp(bounds.start, bounds.end);
        let to = offset.saturating_add(around).saturating_add(1).clamp(from, bounds.end);
        let mut records = source.records((topic, partition), (from, to), &stop).await?;
        let mut found = Vec::new();
        while let Some(record) = records.next().await? {
            found.push(record);
        }
        let is_event = matches!(topic, Topic::Conversations | Topic::Reads);
        let refused = if is_event && !found.is_empty() {
            refused(&source, (topic, partition), (from, to), &stop, output.json).await?
        } else {
            Refused::new()
        };
        let shown: Vec<_> = found.iter().map(|record| shown(record, &source, (topic, partition), &refused)).collect();
        let json = json!({
            "log": source.origin,
            "topic": topic.name(),
            "partition": partition,
            "start_offset": bounds.start,
            "end_offset": bounds.end,
            "records": shown,
        });
        output.print(&json, || {
            let mut lines: Vec<_> =
                found.iter().zip(&shown).map(|(record, shown)| text(record, shown, offset)).collect();
            lines.extend(lines.is_empty().then(|| "there is no such record".to_owned()));
            lines.push(format!("{topic} {partition} has offsets from {} up to {}", bounds.start, bounds.end));
            lines.join("\n")
        })
    }
}

/// The dead letters of records in a span.
async fn refused(
    source: &Source,
    (topic, partition): (Topic, u32),
    (from, to): (u64, u64),
    stop: &watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Refused> {
    let Bounds { start, end } = source.bounds(Topic::DeadLetter, partition).await?;
    let mut refused = Refused::new();
    if start == end {
        return Ok(refused);
    }
    let progress = Progress::new("dead letters", end - start, quiet);
    let mut letters = source.records((Topic::DeadLetter, partition), (start, end), stop).await?;
    while let Some(record) = letters.next().await? {
        progress.at(record.offset - start);
        let letter = DeadLetter::read(&record);
        if let Some(source) = letter.source
            && (source.topic, source.partition) == (topic, partition)
            && (from..to).contains(&source.offset)
        {
            refused.insert(source.offset, (record.offset, letter.reason));
        }
    }
    progress.finish();
    Ok(refused)
}

fn shown(record: &StoredRecord, source: &Source, (topic, partition): (Topic, u32), refused: &Refused) -> Value {
    let (partitions, value) = (source.partitions, record.value.as_deref());
    let why = match topic {
        Topic::Conversations => decode::conversations(partitions, partition, record).event.err(),
        Topic::Reads => decode::reads(partitions, partition, record).event.err(),
        Topic::Deltas | Topic::DeadLetter => None,
    };
    let headers =
        record.headers.iter().map(|(name, value)| json!({ "name": name, "value": String::from_utf8_lossy(value) }));
    let mut json = json!({
        "offset": record.offset,
        "arrival": record.timestamp_ms.map(|ms| timestamp_from_ms(ms).to_string()),
        "key": record.key.as_deref().map(String::from_utf8_lossy),
        "value_bytes": value.map(<[u8]>::len),
        "headers": headers.collect::<Vec<_>>(),
        "event": value.and_then(|value| event_of(topic, record, value)),
        "unreadable": why.map(|why| why.0),
        "value_hex": value.map(|value| value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    });
    if let Some((offset, reason)) = refused.get(&record.offset) {
        json["dead_letter"] = json!({ "dead_letter": format!("{partition}/{offset}"), "reason": reason });
    }
    json
}

/// The event in a record, or the one that a dead letter holds.
fn event_of(topic: Topic, record: &StoredRecord, value: &[u8]) -> Option<Value> {
    let topic = match topic {
        Topic::DeadLetter => DeadLetter::read(record).source?.topic,
        other => other,
    };
    event_json::of_value(topic, value)
}

fn text(record: &StoredRecord, shown: &Value, asked: u64) -> String {
    let mark = if record.offset == asked { "->" } else { "  " };
    let arrival = record.timestamp_ms.map(|ms| timestamp_from_ms(ms).to_string()).unwrap_or_default();
    let key = record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default().escape_default().to_string();
    let what = match &shown["event"] {
        Value::Null => format!("{} bytes", record.value.as_ref().map_or(0, |value| value.len())),
        event => event.to_string().chars().take(LINE_CHARS).collect(),
    };
    let mut lines = vec![format!("{mark} {} {arrival} {key} {what}", record.offset)];
    for (name, value) in &record.headers {
        lines.push(format!("     header {name}: {}", String::from_utf8_lossy(value).escape_debug()));
    }
    if let Some(why) = shown["unreadable"].as_str() {
        lines.push(format!("     unreadable: {why}"));
    }
    if let Some(letter) = shown.get("dead_letter") {
        let text = |name: &str| letter[name].as_str().unwrap_or_default().to_owned();
        lines.push(format!("     dead letter {}: {}", text("dead_letter"), text("reason")));
    }
    lines.join("\n")
}
