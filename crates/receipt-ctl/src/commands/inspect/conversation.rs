//! `receiptctl inspect conversation`.

use anyhow::bail;
use clap::Args;
use receipt_ctl::story::{ConversationLife, ConversationNow, Entry, KindNow, MessageLine};
use receipt_domain::fold::Outcome;
use serde_json::{Value, json};

use super::{LINES_MAX, Which, at_json, at_text, head, id, nothing_known, print, shortened, time, why_not};
use crate::{
    commands::log::stopped_by_ctrl_c,
    inspect::{Began, Followed, follow},
    output::{Output, table},
    source::Source,
};

/// What a conversation is, and each of its events with what became of it.
///
/// Type, whether its messages may ask for receipts, who is a member, the last version, its messages with their counts, and
/// its events: applied, repeated, or dead letters and why. Policies in between are among them.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl inspect conversation team
  receiptctl inspect conversation team --json | jq '.events[] | select(.outcome != \"APPLIED\")'")]
pub(super) struct Conversation {
    /// Which.
    conversation: String,
    #[command(flatten)]
    which: Which,
}

impl Conversation {
    pub(super) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let conversation = id("the conversation", &self.conversation)?;
        let stop = stopped_by_ctrl_c();
        let source = Source::open(self.which.source.clone(), addr).await?;
        let life = ConversationLife::default();
        let followed = follow(&source, &self.which, conversation, life, &stop, output.json).await?;
        let life = &followed.story.watcher;
        let mut json = head(&followed, &source.origin);
        json["conversation_id"] = json!(self.conversation);
        if let Some(unknown) = nothing_known(&followed) {
            for name in ["read_events", "events", "now"] {
                json[name] = Value::Null;
            }
            return print(output, &followed, json, &unknown, String::new);
        }
        let now = ConversationLife::now(followed.story.now());
        if now.is_none() && life.reads == 0 && !life.entries.iter().any(is_of_it) {
            let conversation = self.conversation.escape_debug();
            if followed.is_whole() {
                bail!("the log has nothing of a conversation \"{conversation}\"");
            }
            bail!(
                "there is no conversation \"{conversation}\", and the log has nothing of one; whether records {} named it is \
                 unknown",
                followed.records_before()
            );
        }
        // Counted from where the fold began, if the conversation came after that.
        json["read_events"] = if life.was_there { Value::Null } else { json!(life.reads) };
        json["events"] = life.entries.iter().map(|entry| entry_json(entry, followed.partition)).collect();
        json["now"] = now.as_ref().map_or(Value::Null, now_json);
        print(output, &followed, json, &unknown(&followed, now.is_some()), || text(&followed, now.as_ref()))
    }
}

/// What of the answer only records would say that the log has lost.
fn unknown(followed: &Followed<ConversationLife>, is_there: bool) -> Vec<String> {
    let before = followed.records_before();
    match &followed.began {
        Began::WithState(_) if followed.story.watcher.was_there => {
            vec![format!("its events {before}, the read events there, and how many receipts it has had in all")]
        }
        Began::WithState(_) if !is_there => vec![format!("whether records {before} named it")],
        _ => Vec::new(),
    }
}

/// Not a policy.
fn is_of_it(entry: &Entry) -> bool {
    !entry.what.starts_with("policy: ")
}

fn outcome(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Applied => ("APPLIED", ""),
        Outcome::Repeated | Outcome::Skipped => ("REPEATED", ""),
        Outcome::Rejected(why) => ("REJECTED", &why.0),
    }
}

fn entry_json(entry: &Entry, partition: u32) -> Value {
    let (outcome, reason) = outcome(&entry.outcome);
    json!({
        "record": at_json(Some(entry.at), partition),
        "version": entry.version,
        "what": entry.what,
        "outcome": outcome,
        "reason": reason,
        "not_allowed_by_policy": entry.not_allowed,
    })
}

fn now_json(now: &ConversationNow) -> Value {
    let mut json = json!({
        "version": now.version,
        "messages_sent": now.messages_sent,
        "receipts": now.receipts,
        "log_time": time(now.log_time_ms),
        "messages": now.messages.iter().map(message_json).collect::<Vec<_>>(),
    });
    match &now.kind {
        KindNow::Group { group_type, may_ask, dismissed, members, left } => {
            let members = members.iter().map(|member| {
                json!({
                    "user_id": member.user.as_str(),
                    "ordinal": member.ordinal,
                    "joined_position": member.joined_position,
                })
            });
            json["group"] = json!({
                "group_type": group_type.as_str(),
                "may_ask": may_ask,
                "dismissed": dismissed,
                "members": members.collect::<Vec<_>>(),
                "ended_memberships": left,
            });
        }
        KindNow::OneToOne(parties) => {
            let parties = parties
                .iter()
                .map(|(user, marked_ms)| json!({ "user_id": user.as_str(), "has_read_up_to": marked_ms.map(time) }));
            json["one_to_one"] = json!({ "parties": parties.collect::<Vec<_>>() });
        }
    }
    json
}

fn message_json(line: &MessageLine) -> Value {
    let mut json = json!({
        "position": line.position,
        "message_id": line.id,
        "sender_id": line.sender.as_str(),
        "log_time": time(line.log_time_ms),
    });
    match &line.receipt {
        Ok(receipt) => {
            json["read_count"] = json!(receipt.read_count);
            json["unread_count"] = json!(receipt.unread_count);
            json["recalled"] = json!(receipt.recalled);
        }
        Err(why) => json["error"] = json!(why_not(*why)),
    }
    json
}

fn text(followed: &Followed<ConversationLife>, now: Option<&ConversationNow>) -> String {
    let life = &followed.story.watcher;
    let rows = life.entries.iter().take(LINES_MAX).map(|entry| {
        let (name, reason) = outcome(&entry.outcome);
        let mut result = name.to_lowercase();
        if !reason.is_empty() {
            result = format!("{result}: {reason}");
        }
        if entry.not_allowed {
            result.push_str("; may not ask by the policy");
        }
        let version = if entry.version == 0 { String::new() } else { entry.version.to_string() };
        [time(entry.at.arrival_ms), at_text(Some(entry.at), followed.partition), version, entry.what.clone(), result]
    });
    let mut lines = vec![table(["arrival", "record", "version", "event", "became"], rows)];
    lines.extend(shortened(life.entries.len()));
    if let Some(now) = now {
        let rows = now.messages.iter().take(LINES_MAX).map(|line| {
            let (read, unread, notes) = match &line.receipt {
                Ok(receipt) => {
                    let notes = if receipt.recalled { "recalled" } else { "" };
                    (receipt.read_count.to_string(), receipt.unread_count.to_string(), notes)
                }
                Err(why) => (String::new(), String::new(), why_not(*why)),
            };
            [line.position.to_string(), line.id.clone(), line.sender.to_string(), read, unread, notes.to_owned()]
        });
        lines.push(table(["position", "message", "sender", "read", "unread", "notes"], rows));
        lines.extend(shortened(now.messages.len()));
        lines.extend(kind_lines(&now.kind));
        let receipts = match now.receipts {
            Some(receipts) if followed.is_whole() => format!("{receipts} receipts of {} read events", life.reads),
            Some(receipts) => format!("{receipts} receipts of {} read events since then", life.reads),
            None => format!("{} read events since then", life.reads),
        };
        lines.push(format!("{} messages sent, {receipts}; last version {}", now.messages_sent, now.version));
    } else {
        lines.push(format!("there is no such conversation; {} read events name it", life.reads));
    }
    lines.join("\n")
}

fn kind_lines(kind: &KindNow) -> Vec<String> {
    match kind {
        KindNow::Group { group_type, may_ask, dismissed, members, left } => {
            let dismissed = if *dismissed { "dismissed " } else { "" };
            let may = if *may_ask { "may" } else { "may not" };
            let named: Vec<_> = members.iter().take(20).map(|member| member.user.to_string()).collect();
            let more = if members.len() > 20 { format!(" and {} more", members.len() - 20) } else { String::new() };
            vec![
                format!("a {dismissed}group of type {group_type}, whose messages {may} ask for receipts now"),
                format!("{} members, {left} memberships ended: {}{more}", members.len(), named.join(", ")),
            ]
        }
        KindNow::OneToOne(parties) => parties
            .iter()
            .map(|(user, marked_ms)| match marked_ms {
                Some(ms) => format!("one-to-one: {user} has read all up to {}", time(*ms)),
                None => format!("one-to-one: {user}"),
            })
            .collect(),
    }
}
