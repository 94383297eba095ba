//! `receiptctl inspect message`.

use clap::Args;
use receipt_ctl::story::{Answer, Asks, Happening, MessageLife, MessageNow, What};
use receipt_domain::answer::ReceiptOutcome;
use serde_json::{Value, json};

use super::{LINES_MAX, Which, at_json, at_text, head, id, nothing_known, print, shortened, time, why_not};
use crate::{
    commands::log::stopped_by_ctrl_c,
    inspect::{Began, Followed, follow},
    output::{Output, table},
    source::Source,
};

/// The life of a message: who sent it, who read it, who left without, and by which record.
///
/// Beside it what is answered about it at the log's end: counts, readers, who has not read it, who left without having
/// read it, reads that wait for it, and until when by log time it is kept and its id is known.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl inspect message team m1
  receiptctl inspect message team m1 --data-dir /var/lib/receiptd --json | jq '.events[] | select(.user == \"bob\")'")]
pub(super) struct Message {
    /// Where it is.
    conversation: String,
    /// Which.
    message: String,
    #[command(flatten)]
    which: Which,
}

impl Message {
    pub(super) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let conversation = id("the conversation", &self.conversation)?;
        let message = id("the message", &self.message)?;
        let stop = stopped_by_ctrl_c();
        let source = Source::open(self.which.source.clone(), addr).await?;
        let life = MessageLife::new(message);
        let followed = follow(&source, &self.which, conversation, life, &stop, output.json).await?;
        let life = &followed.story.watcher;
        let now = life.now(followed.story.now());
        let mut json = head(&followed, &source.origin);
        json["conversation_id"] = json!(self.conversation);
        json["message_id"] = json!(self.message);
        if let Some(unknown) = nothing_known(&followed) {
            (json["events"], json["now"]) = (Value::Null, Value::Null);
            return print(output, &followed, json, &unknown, String::new);
        }
        let events = life.happenings.iter().map(|one| happening_json(one, followed.partition));
        json["events"] = events.collect();
        json["now"] = now_json(&now);
        print(output, &followed, json, &unknown(&followed), || text(&followed, &now))
    }
}

/// What of the answer only records would say that the log has lost.
fn unknown(followed: &Followed<MessageLife>) -> Vec<String> {
    let (life, before) = (&followed.story.watcher, followed.records_before());
    let was_sent_since = life.happenings.iter().any(|one| matches!(one.what, What::Sent { .. }));
    match &followed.began {
        Began::WithState(_) if life.was_known => vec![format!(
            "the records {before} that sent it and had it read, and those that named it and changed nothing"
        )],
        Began::WithState(_) if !was_sent_since => {
            vec![format!(
                "whether there was such a message {before} that has been forgotten, and the records that named it"
            )]
        }
        _ => Vec::new(),
    }
}

fn happening_json(happening: &Happening, partition: u32) -> Value {
    let mut json = json!({ "event": name(&happening.what), "record": at_json(happening.at, partition) });
    match &happening.what {
        What::Sent { sender, occurred_at_ms, position, asks, audience } => {
            json["sender_id"] = json!(sender.as_str());
            json["occurred_at"] = json!(occurred_at_ms.map(time));
            json["position"] = json!(position);
            json["asks"] = json!(asks_name(*asks));
            json["audience"] = json!(audience);
        }
        What::SentInVain(why) | What::RecalledInVain(why) => json["reason"] = json!(why),
        What::Recalled { again } => json["again"] = json!(again),
        What::Read { user, read_at_ms, before_ms, waited } => {
            json["user"] = json!(user.as_str());
            json["read_at"] = json!(time(*read_at_ms));
            json["read_at_before"] = json!(before_ms.map(time));
            json["waiting_read_offset"] = json!(waited);
        }
        What::ReadInVain { user, outcome } => {
            json["user"] = json!(user.as_str());
            json["outcome"] = json!(outcome_name(*outcome));
        }
        What::Left { user, had_read } => {
            json["user"] = json!(user.as_str());
            json["had_read"] = json!(had_read);
        }
        What::SentAgain | What::RecallRepeated | What::Dismissed | What::Expired | What::Forgotten => {}
    }
    json
}

fn name(what: &What) -> &'static str {
    match what {
        What::Sent { .. } => "SENT",
        What::SentAgain => "SENT_AGAIN",
        What::SentInVain(_) => "SENDING_REFUSED",
        What::Recalled { .. } => "RECALLED",
        What::RecallRepeated => "RECALLED_AGAIN",
        What::RecalledInVain(_) => "RECALL_REFUSED",
        What::Dismissed => "GROUP_DISMISSED",
        What::Read { before_ms: None, .. } => "READ",
        What::Read { .. } => "READ_EARLIER",
        What::ReadInVain { .. } => "READ_WITHOUT_EFFECT",
        What::Left { .. } => "LEFT",
        What::Expired => "EXPIRED",
        What::Forgotten => "FORGOTTEN",
    }
}

fn asks_name(asks: Asks) -> &'static str {
    match asks {
        Asks::Yes => "YES",
        Asks::NotRequested => "NOT_REQUESTED",
        Asks::NotAllowed => "NOT_ALLOWED_BY_POLICY",
        Asks::No => "NO",
    }
}

fn outcome_name(outcome: ReceiptOutcome) -> &'static str {
    match outcome {
        ReceiptOutcome::Pending => "PENDING",
        ReceiptOutcome::NotRequested => "NOT_REQUESTED",
        ReceiptOutcome::Expired => "EXPIRED",
        ReceiptOutcome::NotInAudience => "NOT_IN_AUDIENCE",
        ReceiptOutcome::Read => "READ",
    }
}

fn now_json(now: &MessageNow) -> Value {
    let mut json = json!({
        "log_time": time(now.log_time_ms),
        "kept_until": now.kept_until_ms.map(time),
        "id_known_until": now.known_until_ms.map(time),
    });
    let waiting = now.waiting.iter().map(|read| {
        json!({
            "offset": read.offset,
            "user": read.user.as_str(),
            "read_at": time(read.read_at_ms),
            "until": time(read.until_ms),
            "up_to": read.up_to,
        })
    });
    json["waiting_reads"] = waiting.collect();
    match &now.answer {
        Err(why) => json["error"] = json!(why_not(*why)),
        Ok(Answer { receipt, readers, unread, left_unread }) => {
            let readers = readers.iter().map(|reader| {
                json!({ "user_id": reader.user.as_str(), "read_at": time(reader.read_at_ms), "left": reader.left })
            });
            json["read_count"] = json!(receipt.read_count);
            json["unread_count"] = json!(receipt.unread_count);
            json["audience_count"] = json!(receipt.audience_count);
            json["read_left_count"] = json!(receipt.read_left_count);
            json["recalled"] = json!(receipt.recalled);
            json["readers"] = readers.collect();
            json["unread"] = unread.iter().map(|user| user.as_str()).collect();
            json["left_unread"] = left_unread.iter().map(|user| user.as_str()).collect();
        }
    }
    json
}

fn text(followed: &Followed<MessageLife>, now: &MessageNow) -> String {
    let happenings = &followed.story.watcher.happenings;
    let rows = happenings.iter().take(LINES_MAX).map(|one| {
        let (what, who) = in_words(&one.what);
        [one.at.map(|at| time(at.arrival_ms)).unwrap_or_default(), at_text(one.at, followed.partition), what, who]
    });
    let mut lines = vec![table(["arrival", "record", "what", "who"], rows)];
    lines.extend(shortened(happenings.len()));
    match &now.answer {
        Err(why) => lines.push(format!("now: {}", why_not(*why))),
        Ok(Answer { receipt, unread, left_unread, .. }) => {
            let recalled = if receipt.recalled { ", recalled" } else { "" };
            lines.push(format!("now: {} read, {} unread{recalled}", receipt.read_count, receipt.unread_count));
            for (what, users) in [("unread", unread), ("left without having read it", left_unread)] {
                if !users.is_empty() {
                    let named: Vec<_> = users.iter().take(20).map(ToString::to_string).collect();
                    let more = if users.len() > 20 { format!(" and {} more", users.len() - 20) } else { String::new() };
                    lines.push(format!("{what}: {}{more}", named.join(", ")));
                }
            }
        }
    }
    for read in &now.waiting {
        let (user, until) = (&read.user, time(read.until_ms));
        lines.push(format!("a read of {user} waits for it until log time {until} (receipts.reads {})", read.offset));
    }
    if let (Some(kept), Some(known)) = (now.kept_until_ms, now.known_until_ms) {
        let log_time = time(now.log_time_ms);
        let (kept, known) = (time(kept), time(known));
        lines.push(format!("kept until log time {kept}, its id known until {known}; log time is {log_time}"));
    }
    lines.join("\n")
}

fn in_words(what: &What) -> (String, String) {
    let none = String::new;
    match what {
        What::Sent { sender, occurred_at_ms, position, asks, audience } => {
            let asks = match asks {
                Asks::Yes => match audience {
                    Some(audience) => format!("asks {audience} users"),
                    None => "asks".to_owned(),
                },
                Asks::No => "does not ask; whether it was to is unknown".to_owned(),
                Asks::NotRequested => "does not ask".to_owned(),
                Asks::NotAllowed => "may not ask by the policy".to_owned(),
            };
            let sent = occurred_at_ms.map(|ms| format!(" {}", time(ms))).unwrap_or_default();
            (format!("sent{sent}, as message {position}; {asks}"), sender.to_string())
        }
        What::SentAgain => ("sent again: a repeat".to_owned(), none()),
        What::SentInVain(why) => (format!("sending refused: {why}"), none()),
        What::Recalled { again: false } => ("recalled".to_owned(), none()),
        What::Recalled { again: true } => ("recalled, which changes nothing".to_owned(), none()),
        What::RecallRepeated => ("recalled again: a repeat".to_owned(), none()),
        What::RecalledInVain(why) => (format!("recall refused: {why}"), none()),
        What::Dismissed => ("the group was dismissed".to_owned(), none()),
        What::Read { user, read_at_ms, before_ms, waited } => {
            let before = before_ms.map(|before| format!(", not {}", time(before))).unwrap_or_default();
            let waited = waited.map(|offset| format!(", by receipts.reads {offset}, which waited")).unwrap_or_default();
            (format!("read {}{before}{waited}", time(*read_at_ms)), user.to_string())
        }
        What::ReadInVain { user, outcome } => {
            let what = match outcome {
                ReceiptOutcome::Read => "read again, which changes nothing",
                ReceiptOutcome::Pending => "read before it was sent: waits",
                ReceiptOutcome::NotRequested => "read, and it does not ask",
                ReceiptOutcome::NotInAudience => "read, by somebody it is not for",
                ReceiptOutcome::Expired => "read too early or too late",
            };
            (what.to_owned(), user.to_string())
        }
        What::Left { user, had_read: true } => ("left, having read it".to_owned(), user.to_string()),
        What::Left { user, had_read: false } => ("left without having read it".to_owned(), user.to_string()),
        What::Expired => ("expired".to_owned(), none()),
        What::Forgotten => ("forgotten: its id is free".to_owned(), none()),
    }
}
