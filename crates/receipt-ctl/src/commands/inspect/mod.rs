//! `receiptctl inspect`: what a log and a store hold, for whoever wants to know why.

mod conversation;
mod log;
mod membership;
mod message;
mod row;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use receipt_ctl::story::{At, Side};
use receipt_domain::{answer::Unanswerable, id::Id};
use receipt_log::Topic;
use receipt_proto::timestamp_from_ms;
use serde_json::{Value, json};

use crate::{
    inspect::{self, Began, Followed, Which},
    output::Output,
};

/// Lines that a list has for people; --json has all.
const LINES_MAX: usize = 1_000;

/// What the log says of a message, a conversation or a member, and by which record; and what stands in the log and in a
/// store.
///
/// message, conversation and membership fold the log in memory, by the code that receiptd folds with, and tell each record
/// that had a part in it. Where the log has lost its beginning, by a trim or by Kafka's retention, they begin with the oldest
/// snapshot that the log continues from, or with the state: what came of earlier records is known then, and which these were
/// is said to be unknown, with exit code 1. They read one partition as far as it is, and change nothing: of a receiptd that is stopped
/// (--data-dir), on Kafka (--kafka), or of the one at --addr, beside which they may run. On Kafka, give --data-dir too, so
/// that they fold by the settings of its state.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl inspect message team m1
  receiptctl inspect conversation team --data-dir /var/lib/receiptd
  receiptctl inspect membership team bob --kafka 127.0.0.1:9092
  receiptctl inspect log conversations 3 17 --around 5
  receiptctl inspect row --data-dir /var/lib/receiptd --partition 3 --kind message --limit 20")]
pub(crate) struct Inspect {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Message(message::Message),
    Conversation(conversation::Conversation),
    Membership(membership::Membership),
    Log(log::Log),
    Row(row::Row),
}

impl Inspect {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        match self.what {
            What::Message(command) => command.run(addr, output).await,
            What::Conversation(command) => command.run(addr, output).await,
            What::Membership(command) => command.run(addr, output).await,
            What::Log(command) => command.run(addr, output).await,
            What::Row(command) => command.run(output),
        }
    }
}

/// An id as it was given.
fn id<const MAX: usize, const KIND: char>(name: &str, text: &str) -> anyhow::Result<Id<MAX, KIND>> {
    Id::new(text).with_context(|| format!("{name} \"{}\"", text.escape_debug()))
}

/// Prints an answer with what of it is not known. Where that is anything, the exit code is 1.
fn print<W>(
    output: Output,
    followed: &Followed<W>,
    mut json: Value,
    unknown: &[String],
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    json["unknown"] = json!(unknown);
    output.print(&json, || {
        let mut lines = vec![text()];
        lines.extend(began(followed));
        lines.push(foot(followed));
        lines.extend(unknown.iter().map(|what| format!("unknown: {what}")));
        lines.join("\n")
    })?;
    match unknown.len() {
        0 => Ok(()),
        _ => bail!("not all of this is known: the log has lost its beginning, and what is said to be unknown above is"),
    }
}

/// Where nothing could be folded: why. All that the answer would have is unknown then.
fn nothing_known<W>(followed: &Followed<W>) -> Option<[String; 1]> {
    let Began::Nowhere(why) = &followed.began else { return None };
    let before = followed.records_before();
    Some([format!("all of it, as what stood in the log {before} is not known: {why}")])
}

/// With which state the fold began, for people.
fn began<W>(followed: &Followed<W>) -> Option<String> {
    let Began::WithState(state) = &followed.began else { return None };
    let what = match (&state.snapshot, state.created_at_ms) {
        (Some(name), Some(ms)) => format!("the snapshot {name}, created at {}", time(ms)),
        _ => "the state as it is".to_owned(),
    };
    let (conversations, reads) = (followed.conversations.start, followed.reads.start);
    Some(format!(
        "the log begins at receipts.conversations {conversations} and receipts.reads {reads}; what was before is from {what}, \
         at {} and {}",
        state.conversations, state.reads
    ))
}

fn began_json<W>(followed: &Followed<W>) -> Value {
    let Began::WithState(state) = &followed.began else { return Value::Null };
    json!({
        "snapshot": state.snapshot,
        "created_at": state.created_at_ms.map(time),
        "conversations_offset": state.conversations,
        "reads_offset": state.reads,
    })
}

/// What all of these answers have.
fn head<W>(followed: &Followed<W>, log: &str) -> Value {
    let Followed { partition, settings, conversations, reads, .. } = followed;
    json!({
        "log": log,
        "partition": partition,
        "conversations_offset": conversations.end,
        "reads_offset": reads.end,
        "is_whole": followed.is_whole(),
        "conversations_start_offset": conversations.start,
        "reads_start_offset": reads.start,
        "began_with": began_json(followed),
        "retention_ms": settings.retention_ms,
        "early_window_ms": settings.early_window_ms,
        "max_group_members": settings.max_group_members,
    })
}

/// As far as what was folded, and how.
fn foot<W>(followed: &Followed<W>) -> String {
    let Followed { partition, conversations, reads, settings, .. } = followed;
    format!(
        "partition {partition} up to receipts.conversations {} and receipts.reads {}, folded with {}",
        conversations.end,
        reads.end,
        inspect::in_words(settings)
    )
}

fn topic(at: At) -> Topic {
    match at.side {
        Side::Conversations => Topic::Conversations,
        Side::Reads => Topic::Reads,
    }
}

/// A record's place; where it is not known, that.
fn at_json(at: Option<At>, partition: u32) -> Value {
    let Some(at) = at else { return json!({ "unknown": true }) };
    json!({
        "topic": topic(at).name(),
        "partition": partition,
        "offset": at.offset,
        "arrival": time(at.arrival_ms),
        "log_time": time(at.log_time_ms),
    })
}

/// A record's place in few words.
fn at_text(at: Option<At>, partition: u32) -> String {
    at.map_or_else(|| "unknown".to_owned(), |at| format!("{} {partition}/{}", topic(at), at.offset))
}

fn time(ms: u64) -> String {
    timestamp_from_ms(ms).to_string()
}

/// Why nothing is answered about a message.
fn why_not(why: Unanswerable) -> &'static str {
    match why {
        Unanswerable::NotFound => "NOT_FOUND",
        Unanswerable::PermissionDenied => "PERMISSION_DENIED",
        Unanswerable::NotRequested => "NOT_REQUESTED",
        Unanswerable::Expired => "EXPIRED",
    }
}

/// The first lines of many, and how many more there are.
fn shortened(lines: usize) -> Option<String> {
    let more = lines.checked_sub(LINES_MAX).filter(|more| *more > 0)?;
    Some(format!("and {more} more, which --json has"))
}
