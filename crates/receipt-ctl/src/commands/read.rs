//! `receiptctl read`: a user has read these messages.

use clap::Args;
use receipt_proto::v1;
use serde_json::json;

use crate::{
    cli::ActingUser,
    client,
    output::{Output, table},
    render,
};

/// A user has read these messages of one conversation, 1 to 100.
///
/// With --wait the answer says what each came to: READ, PENDING (no such message yet; counted if it comes in time),
/// NOT_REQUESTED, NOT_IN_AUDIENCE or EXPIRED. Exit code 1 where one came to any of the last three, as that one does not
/// count. Without --wait the exit code says only whether the log has the receipts.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl read team m1 m2 m3 --user bob
  receiptctl read team m1 --user bob --wait --json")]
pub(crate) struct Read {
    /// The conversation's id.
    conversation: String,
    /// Ids of the messages.
    #[arg(required = true)]
    messages: Vec<String>,
    #[command(flatten)]
    acting: ActingUser,
    /// Wait until the receipts are counted, and say what each came to.
    #[arg(long)]
    wait: bool,
}

impl Read {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let request = v1::SendMessageReadReceiptsRequest {
            user_id: self.acting.user,
            conversation_id: self.conversation,
            message_ids: self.messages.clone(),
            wait: self.wait,
        };
        let response = client::receipts(addr)?.send_message_read_receipts(request).await?.into_inner();
        let outcomes = response.outcomes.iter().map(|outcome| render::receipt_outcome(*outcome));
        let outcomes: Vec<_> = self.messages.iter().zip(outcomes).collect();
        let json = json!({
            "consistency_token": response.consistency_token,
            "outcomes": outcomes.iter().map(|(message, outcome)| json!({ "message_id": message, "outcome": outcome }))
                .collect::<Vec<_>>(),
        });
        output.print(&json, || {
            let token = render::token_line(&response.consistency_token);
            if outcomes.is_empty() {
                return token;
            }
            let rows = outcomes.iter().map(|(message, outcome)| [(*message).clone(), (*outcome).to_owned()]);
            format!("{}\n{token}", table(["message", "outcome"], rows))
        })?;
        render::check_counted(outcomes.iter().map(|(_, outcome)| *outcome))
    }
}
