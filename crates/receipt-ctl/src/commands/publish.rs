//! `receiptctl publish`: something happened in a conversation.

use anyhow::bail;
use clap::{Args, Subcommand};
use prost_types::Timestamp;
use receipt_proto::v1::{self, conversation_event::Event, message_sent::Audience};
use serde_json::json;

use crate::{client, output::Output, render};

/// Append one event to a conversation's log.
///
/// With --wait the answer says what became of it: APPLIED, REPEATED (its version or message was known; changed nothing)
/// or REJECTED with the reason (it went to the dead letters; changed nothing). Exit code 1 where it is REJECTED. Without
/// --wait the exit code says only whether the log has the event.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl publish group-create team alice bob carol --group-type work
  receiptctl publish members-add team dave --version 2
  receiptctl publish send team m1 --sender alice --all --wait
  receiptctl publish send team m2 --sender alice --only bob --only carol
  receiptctl publish send alice-bob m1 --sender alice --to bob --occurred-at 2025-01-31T12:00:00Z
  receiptctl publish recall team m1
  receiptctl publish dismiss team")]
pub(crate) struct Publish {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Rises with every event of the conversation; an event at or below the last is a repeat. 0: not given.
    #[arg(long, global = true, default_value_t = 0)]
    version: u64,
    /// When it happened, in RFC 3339, such as 2025-01-31T12:00:00Z. Left out: when the log takes it.
    #[arg(long, global = true, value_name = "TIME")]
    occurred_at: Option<Timestamp>,
    /// Wait until the event is folded, and say what became of it.
    #[arg(long, global = true)]
    wait: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A group begins, with these members.
    GroupCreate {
        /// The group's conversation id.
        conversation: String,
        /// Its first members.
        members: Vec<String>,
        /// Decides, with the receipt policy, whether its messages may ask for receipts.
        #[arg(long, value_name = "TYPE")]
        group_type: String,
    },
    /// These join a group.
    MembersAdd {
        /// The group's conversation id.
        conversation: String,
        /// Who joins.
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// These leave a group.
    MembersRemove {
        /// The group's conversation id.
        conversation: String,
        /// Who leaves.
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// Nothing more is sent in a group; receipts for what was sent go on.
    Dismiss {
        /// The group's conversation id.
        conversation: String,
    },
    /// A message is sent, asking for receipts unless --no-receipt says otherwise.
    Send(Send),
    /// A message is taken back; its receipts go on counting.
    Recall {
        /// The conversation's id.
        conversation: String,
        /// The message's id.
        message: String,
    },
}

#[derive(Debug, Args)]
struct Send {
    /// The conversation's id.
    conversation: String,
    /// The message's id, unique within the conversation.
    message: String,
    /// Who sends it; need not be a member.
    #[arg(long, value_name = "USER")]
    sender: String,
    #[command(flatten)]
    audience: To,
    /// Ask for no receipts: the message is only a position that a mark may name.
    #[arg(long)]
    no_receipt: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// One-to-one: to this user.
    #[arg(long, value_name = "USER")]
    to: Option<String>,
    /// To the group's members at this point of the log.
    #[arg(long)]
    all: bool,
    /// To this member only; may be repeated.
    #[arg(long, value_name = "USER")]
    only: Vec<String>,
}

impl Publish {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let Common { version, occurred_at, wait } = self.common;
        let (conversation_id, event) = self.what.event();
        let event = v1::ConversationEvent { conversation_id, occurred_at, version, event: Some(event) };
        let request = v1::PublishConversationEventsRequest { events: vec![event], wait };
        let response = client::receipts(addr)?.publish_conversation_events(request).await?.into_inner();
        let outcomes: Vec<_> = response.outcomes.iter().map(|o| (result_name(o.result), o.reason.as_str())).collect();
        let json = json!({
            "consistency_token": response.consistency_token,
            "outcomes": outcomes.iter().map(|(result, reason)| json!({ "result": result, "reason": reason }))
                .collect::<Vec<_>>(),
        });
        output.print(&json, || {
            let outcomes = outcomes.iter().map(|(result, reason)| match *reason {
                "" => (*result).to_owned(),
                reason => format!("{result}: {reason}"),
            });
            outcomes.chain([render::token_line(&response.consistency_token)]).collect::<Vec<_>>().join("\n")
        })?;
        match outcomes.iter().find(|(result, _)| !matches!(*result, "APPLIED" | "REPEATED")) {
            None => Ok(()),
            Some((result, _)) => bail!("the event was not applied: {result}; the answer says why"),
        }
    }
}

impl What {
    /// The conversation and what happened in it.
    fn event(self) -> (String, Event) {
        match self {
            Self::GroupCreate { conversation, members, group_type } => {
                (conversation, Event::GroupCreated(v1::GroupCreated { group_type, member_ids: members }))
            }
            Self::MembersAdd { conversation, members } => {
                (conversation, Event::MembersAdded(v1::MembersAdded { member_ids: members }))
            }
            Self::MembersRemove { conversation, members } => {
                (conversation, Event::MembersRemoved(v1::MembersRemoved { member_ids: members }))
            }
            Self::Dismiss { conversation } => (conversation, Event::GroupDismissed(v1::GroupDismissed {})),
            Self::Send(send) => {
                let audience = match send.audience {
                    To { to: Some(peer), .. } => Audience::PeerId(peer),
                    To { all: true, .. } => Audience::AllMembers(v1::AllMembers {}),
                    To { only, .. } => Audience::ListedMembers(v1::ListedMembers { member_ids: only }),
                };
                let event = Event::MessageSent(v1::MessageSent {
                    message_id: send.message,
                    sender_id: send.sender,
                    need_read_receipt: !send.no_receipt,
                    audience: Some(audience),
                });
                (send.conversation, event)
            }
            Self::Recall { conversation, message } => {
                (conversation, Event::MessageRecalled(v1::MessageRecalled { message_id: message }))
            }
        }
    }
}

fn result_name(result: i32) -> &'static str {
    render::short(v1::EventResult::try_from(result).unwrap_or_default().as_str_name(), "EVENT_RESULT_")
}
