//! `receiptctl dead-letters`: records that were refused, and trying them again.

use std::{fmt, str::FromStr, time::Duration};

use clap::{Args, Subcommand};
use receipt_proto::v1::{self, get_dead_letter_response::Event};
use serde_json::{Value, json};
use tonic::Request;

use crate::{
    client::{self, Admin},
    event_json,
    output::{Output, table},
    render,
};

/// How long a call may take. Without one of its own the server takes 5 s.
const CALL_MAX: Duration = Duration::from_secs(60);

/// Records that were refused: why, what is in them, and trying them again.
///
/// A record that cannot be read, or that breaks a rule, changes nothing. It becomes a dead letter, a record of the topic
/// receipts.dead-letter in the partition of the same number, and its partition goes on. A dead letter is named by its
/// partition and its offset in that topic, such as 3/17.
///
/// Mend the cause first (create the group, set the producer's partitioner right), then retry. What cannot be mended,
/// such as bytes that are no event, is for its producer to send again; its dead letter may be left where it is.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl dead-letters list --newest-first
  receiptctl dead-letters show 3/17
  receiptctl publish group-create team alice bob --group-type work --wait
  receiptctl dead-letters retry 3/17 3/18")]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(List),
    Show(Show),
    Retry(Retry),
}

/// Which there are, by page: partition after partition, in each the oldest first.
///
/// For each: where it is, when it was refused, where the record itself stands, its key, the bytes of its value, and why
/// it was refused. A record that was folded again after a crash may be listed twice.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl dead-letters list
  receiptctl dead-letters list --partition 3 --newest-first --page-size 20
  receiptctl dead-letters list --all --json | jq -r '.dead_letters[].reason' | sort | uniq -c | sort -rn")]
struct List {
    /// Of this partition only.
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// In each partition the newest first.
    #[arg(long)]
    newest_first: bool,
    /// Dead letters of a page, 1 to 1,000; 0 means the server's default of 100, and with --all 1,000.
    #[arg(long, value_name = "N", default_value_t = 0)]
    page_size: u32,
    /// Go on where the page that gave this token ended.
    #[arg(long, value_name = "TOKEN", default_value = "")]
    page_token: String,
    /// Walk all pages.
    #[arg(long)]
    all: bool,
}

/// One of them, with the event in it if there is one.
///
/// With --json also the value's bytes, in hexadecimal.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl dead-letters show 3/17
  receiptctl dead-letters show 3/17 --json | jq -r .value_hex | xxd -r -p > value.bin")]
struct Show {
    /// Which one: its partition and offset.
    #[arg(value_name = "PARTITION/OFFSET")]
    dead_letter: Place,
}

/// Append the records in them to their topics again, in the order given; where each one stands then.
///
/// The record goes into the partition that its key belongs in, with its own headers. It arrives anew: windows and
/// retention go by the time of the retry. It is judged anew, too: an event at or below the last version of its
/// conversation is a repeat, and one that is still wrong becomes a dead letter once more. Within a conversation give the
/// oldest first. Where one that is named cannot be retried, none is. A call that fails with UNAVAILABLE may have appended
/// some.
///
/// The dead letter stays in the list, as the log only grows. Retrying twice appends twice, which is harmless for reads,
/// for messages, and for whatever has a version.
///
/// A record that was over the log's limits is not in its dead letter as a whole, and cannot be retried; the error says
/// where it stands.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl dead-letters retry 3/17
  receiptctl dead-letters retry 3/17 3/18 0/4

  # All that were refused as their group was not there yet, 100 a call
  receiptctl dead-letters list --all --json |
    jq -r '.dead_letters[] | select(.reason | contains(\"the group was never created\")) | .dead_letter' |
    xargs -r -n 100 receiptctl dead-letters retry")]
struct Retry {
    /// Which ones, up to 100: partition and offset of each.
    #[arg(value_name = "PARTITION/OFFSET", required = true)]
    dead_letters: Vec<Place>,
}

/// Where a record stands: partition and offset.
#[derive(Debug, Clone, Copy)]
struct Place {
    partition: u32,
    offset: u64,
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let place = text.split_once('/').and_then(|(partition, offset)| {
            Some(Self { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
        });
        place.ok_or("must be a partition and an offset, such as 3/17")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

impl DeadLetters {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let client = client::admin(addr)?;
        match self.what {
            What::List(list) => list.run(client, output).await,
            What::Show(show) => show.run(client, output).await,
            What::Retry(retry) => retry.run(client, output).await,
        }
    }
}

impl List {
    async fn run(self, mut client: Admin, output: Output) -> anyhow::Result<()> {
        let mut request = v1::ListDeadLettersRequest {
            partition: self.partition,
            newest_first: self.newest_first,
            page_size: if self.all && self.page_size == 0 { 1_000 } else { self.page_size },
            page_token: self.page_token,
        };
        let mut letters = Vec::new();
        let page = loop {
            let page = client.list_dead_letters(patient(request.clone())).await?.into_inner();
            letters.extend_from_slice(&page.dead_letters);
            if page.is_finished || !self.all {
                break page;
            }
            request.page_token = page.next_page_token;
        };
        let json = json!({
            "dead_letters": letters.iter().map(letter_json).collect::<Vec<_>>(),
            "next_page_token": page.next_page_token,
            "is_finished": page.is_finished,
        });
        output.print(&json, || {
            let header = ["dead letter", "refused at", "record", "key", "bytes", "reason"];
            let text = table(header, letters.iter().map(row));
            if page.is_finished { text } else { format!("{text}\nnext page: --page-token {}", page.next_page_token) }
        })
    }
}

impl Show {
    async fn run(self, mut client: Admin, output: Output) -> anyhow::Result<()> {
        let Place { partition, offset } = self.dead_letter;
        let request = v1::GetDeadLetterRequest { partition, offset };
        let shown = client.get_dead_letter(patient(request)).await?.into_inner();
        let letter = shown.dead_letter.unwrap_or_default();
        let event = event_json(shown.event.as_ref());
        let undecodable = match &shown.event {
            Some(Event::Undecodable(why)) => Some(why),
            _ => None,
        };
        let headers: Vec<_> =
            shown.headers.iter().map(|header| (&header.name, String::from_utf8_lossy(&header.value))).collect();
        let mut json = letter_json(&letter);
        json["headers"] = headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json["event"] = event.clone();
        json["undecodable"] = json!(undecodable);
        json["value_hex"] = shown.value.as_deref().map_or(Value::Null, |value| json!(hex(value)));
        output.print(&json, || {
            let [place, refused_at, record, key, bytes, reason] = row(&letter);
            let names = ["dead letter", "refused at", "record", "key", "bytes", "reason"];
            let lines = names.into_iter().zip([place, refused_at, record, key, bytes, reason]);
            let mut lines: Vec<_> = lines.map(|(name, value)| format!("{name}: {value}")).collect();
            lines.extend(headers.iter().map(|(name, value)| format!("header {name}: {value}")));
            lines.extend(undecodable.map(|why| format!("the value is no event: {why}")));
            if !event.is_null() {
                lines.push(format!("{event:#}"));
            }
            lines.join("\n")
        })
    }
}

impl Retry {
    async fn run(self, mut client: Admin, output: Output) -> anyhow::Result<()> {
        let letters = self.dead_letters.iter();
        let dead_letters =
            letters.map(|&Place { partition, offset }| v1::DeadLetterRef { partition, offset }).collect();
        let request = v1::RetryDeadLettersRequest { dead_letters };
        let response = client.retry_dead_letters(patient(request)).await?.into_inner();
        let retried = self.dead_letters.iter().zip(&response.retried).map(|(letter, retried)| {
            json!({
                "dead_letter": letter.to_string(),
                "topic": retried.topic,
                "partition": retried.partition,
                "offset": retried.offset,
            })
        });
        let json = json!({
            "retried": retried.collect::<Vec<_>>(),
            "consistency_token": response.consistency_token,
        });
        output.print(&json, || {
            let rows = self.dead_letters.iter().zip(&response.retried).map(|(letter, retried)| {
                [letter.to_string(), record(&retried.topic, retried.partition, retried.offset)]
            });
            let text = table(["dead letter", "appended as"], rows);
            format!("{text}\n{}", render::token_line(&response.consistency_token))
        })
    }
}

fn patient<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_MAX);
    request
}

fn letter_json(letter: &v1::DeadLetter) -> Value {
    json!({
        "dead_letter": place(letter),
        "partition": letter.partition,
        "offset": letter.offset,
        "refused_at": render::time_json(letter.refused_at.as_ref()),
        "source_topic": letter.source_topic,
        "source_partition": letter.source_partition,
        "source_offset": letter.source_offset,
        "reason": letter.reason,
        "key": letter.key.as_deref().map(String::from_utf8_lossy),
        "value_bytes": letter.value_bytes,
        "left_out": letter.left_out().map(part).collect::<Vec<_>>(),
    })
}

fn row(letter: &v1::DeadLetter) -> [String; 6] {
    let parts: Vec<_> = letter.left_out().map(|left_out| part(left_out).to_lowercase()).collect();
    let left_out = if parts.is_empty() { String::new() } else { format!(" (without its {})", parts.join(", ")) };
    [
        place(letter),
        render::time(letter.refused_at.as_ref()),
        record(&letter.source_topic, letter.source_partition, letter.source_offset),
        letter.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default().escape_default().to_string(),
        letter.value_bytes.to_string(),
        format!("{}{left_out}", letter.reason),
    ]
}

fn event_json(event: Option<&Event>) -> Value {
    match event {
        Some(Event::ConversationEvent(event)) => event_json::conversation(event),
        Some(Event::ReadEvent(event)) => event_json::read(event),
        Some(Event::Undecodable(_)) | None => Value::Null,
    }
}

fn place(letter: &v1::DeadLetter) -> String {
    Place { partition: letter.partition, offset: letter.offset }.to_string()
}

fn record(topic: &str, partition: u32, offset: u64) -> String {
    if topic.is_empty() { "not said".to_owned() } else { format!("{topic} {partition}/{offset}") }
}

fn part(part: v1::RecordPart) -> &'static str {
    render::short(part.as_str_name(), "RECORD_PART_")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_partition_and_an_offset() {
        let place: Place = "3/18446744073709551615".parse().unwrap();
        assert_eq!((place.partition, place.offset), (3, u64::MAX));
        for text in ["", "3", "3/", "/17", "3/17/1", "-3/17", "3/x", "4294967296/1"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
