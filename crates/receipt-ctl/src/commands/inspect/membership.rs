//! `receiptctl inspect membership`.

use clap::Args;
use receipt_ctl::story::{MembershipLife, Named, Stay, StayMessages};
use receipt_domain::fold::Outcome;
use serde_json::{Value, json};

use super::{Which, at_json, at_text, head, id, nothing_known, print, time};
use crate::{
    commands::log::stopped_by_ctrl_c,
    inspect::{Began, Followed, follow},
    output::{Output, table},
    source::Source,
};

/// Each stay of a user in a conversation: by which record it began and ended, and what was to read in it.
///
/// A stay has a number in its group, which decides whose a message is to read. Who leaves and comes back has a new one.
/// Member changes that named the user and changed nothing are told too.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl inspect membership team bob
  receiptctl inspect membership team bob --data-dir /var/lib/receiptd --json")]
pub(super) struct Membership {
    /// Where.
    conversation: String,
    /// Who.
    user: String,
    #[command(flatten)]
    which: Which,
}

impl Membership {
    pub(super) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let conversation = id("the conversation", &self.conversation)?;
        let user = id("the user", &self.user)?;
        let stop = stopped_by_ctrl_c();
        let source = Source::open(self.which.source.clone(), addr).await?;
        let life = MembershipLife::new(user);
        let followed = follow(&source, &self.which, conversation, life, &stop, output.json).await?;
        let (life, now) = (&followed.story.watcher, followed.story.now());
        let stays: Vec<_> = life.stays.iter().map(|stay| (stay, life.messages(now, stay))).collect();
        let mut json = head(&followed, &source.origin);
        json["conversation_id"] = json!(self.conversation);
        json["user_id"] = json!(self.user);
        if let Some(unknown) = nothing_known(&followed) {
            for name in ["stays", "events", "read_events", "last_read"] {
                json[name] = Value::Null;
            }
            return print(output, &followed, json, &unknown, String::new);
        }
        json["stays"] = stays.iter().map(|(stay, messages)| stay_json(stay, *messages, followed.partition)).collect();
        json["events"] = life.named.iter().map(|named| named_json(named, followed.partition)).collect();
        // Counted from where the fold began, if the conversation came after that.
        json["read_events"] = if life.was_there { Value::Null } else { json!(life.reads) };
        json["last_read"] = match life.last_read {
            None if !life.was_there => Value::Null,
            at => at_json(at, followed.partition),
        };
        print(output, &followed, json, &unknown(&followed), || text(&followed, &stays))
    }
}

/// What of the answer only records would say that the log has lost.
fn unknown(followed: &Followed<MembershipLife>) -> Vec<String> {
    let before = followed.records_before();
    match &followed.began {
        Began::WithState(_) if followed.story.watcher.was_there => vec![format!(
            "the records {before}, read events among them, and stays that had ended longer before than the retention"
        )],
        _ => Vec::new(),
    }
}

fn stay_json(stay: &Stay, messages: StayMessages, partition: u32) -> Value {
    json!({
        "ordinal": stay.ordinal,
        "joined": at_json(stay.joined, partition),
        "joined_position": stay.joined_position,
        "left": stay.left.as_ref().map(|left| at_json(left.at, partition)),
        "left_log_time": stay.left.as_ref().map(|left| time(left.log_time_ms)),
        "left_position": stay.left.as_ref().map(|left| left.position),
        "read": messages.read,
        "unread": messages.unread,
    })
}

fn named_json(named: &Named, partition: u32) -> Value {
    let reason = if let Outcome::Rejected(why) = &named.outcome { why.0.as_str() } else { "" };
    json!({
        "record": at_json(Some(named.at), partition),
        "what": named.what,
        "became": became(named),
        "reason": reason,
    })
}

fn became(named: &Named) -> &'static str {
    match &named.outcome {
        Outcome::Applied if named.changed => "APPLIED",
        Outcome::Applied => "CHANGED_NOTHING",
        Outcome::Repeated | Outcome::Skipped => "REPEATED",
        Outcome::Rejected(_) => "REJECTED",
    }
}

fn text(followed: &Followed<MembershipLife>, stays: &[(&Stay, StayMessages)]) -> String {
    let (life, partition) = (&followed.story.watcher, followed.partition);
    let rows = stays.iter().map(|(stay, messages)| {
        let (left, by) = match &stay.left {
            Some(left) => {
                (format!("{}, before message {}", time(left.log_time_ms), left.position), at_text(left.at, partition))
            }
            None => (String::new(), String::new()),
        };
        [
            stay.ordinal.to_string(),
            match stay.joined {
                Some(at) => format!("{}, before message {}", time(at.log_time_ms), stay.joined_position),
                None => format!("before message {}", stay.joined_position),
            },
            at_text(stay.joined, partition),
            left,
            by,
            messages.read.to_string(),
            messages.unread.to_string(),
        ]
    });
    let mut lines = vec![table(["stay", "joined", "by", "left", "by", "read", "unread"], rows)];
    for named in life.named.iter().filter(|named| !named.changed) {
        let reason = if let Outcome::Rejected(why) = &named.outcome { format!(": {why}") } else { String::new() };
        let became = became(named).to_lowercase().replace('_', " ");
        lines.push(format!("{}: was to {}, {became}{reason}", at_text(Some(named.at), partition), named.what));
    }
    match (stays.is_empty(), life.was_there) {
        (true, false) => lines.push("was never a member".to_owned()),
        (true, true) => lines.push("is no member; of earlier stays none is known".to_owned()),
        (false, _) => {}
    }
    if let Some(at) = life.last_read {
        let since = if followed.is_whole() { "" } else { " since then" };
        lines.push(format!("{} read events{since}, the last one {}", life.reads, at_text(Some(at), partition)));
    }
    lines.join("\n")
}
