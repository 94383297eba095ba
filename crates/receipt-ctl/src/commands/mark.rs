//! `receiptctl mark`: a user has read everything up to here.

use clap::Args;
use prost_types::Timestamp;
use receipt_proto::v1::{self, mark_conversation_read_request::UpTo};
use serde_json::json;

use crate::{cli::ActingUser, client, output::Output, render};

/// A user has read everything of a conversation up to a message, or (one-to-one) up to a time.
///
/// With --wait the answer says what it came to for the message named: READ, PENDING (no such message yet; counted if it
/// comes in time) or EXPIRED. For a time it is READ. Exit code 1 where it is EXPIRED. Without --wait the exit code says
/// only whether the log has the mark.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl mark team --up-to m17 --user bob
  receiptctl mark alice-bob --time 2025-01-31T12:00:00Z --user bob --wait")]
pub(crate) struct Mark {
    /// The conversation's id.
    conversation: String,
    #[command(flatten)]
    up_to: Target,
    #[command(flatten)]
    acting: ActingUser,
    /// Wait until the mark is counted, and say what it came to.
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// Up to and including this message.
    #[arg(long, value_name = "MESSAGE")]
    up_to: Option<String>,
    /// One-to-one: all that was sent at or before this time, in RFC 3339.
    #[arg(long, value_name = "TIME")]
    time: Option<Timestamp>,
}

impl Mark {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let request = v1::MarkConversationReadRequest {
            user_id: self.acting.user,
            conversation_id: self.conversation,
            wait: self.wait,
            up_to: self.up_to.up_to.map(UpTo::MessageId).or(self.up_to.time.map(UpTo::Time)),
        };
        let response = client::receipts(addr)?.mark_conversation_read(request).await?.into_inner();
        let outcome = self.wait.then(|| render::receipt_outcome(response.outcome));
        let json = json!({ "consistency_token": response.consistency_token, "outcome": outcome });
        output.print(&json, || {
            let token = render::token_line(&response.consistency_token);
            outcome.map_or(token.clone(), |outcome| format!("{outcome}\n{token}"))
        })?;
        render::check_counted(outcome)
    }
}
