//! `receiptctl states`: what given users did with one message.

use clap::Args;
use receipt_proto::v1::{self, reader_state::State};
use serde_json::json;

use super::message_ref;
use crate::{
    cli::{ActingUser, After},
    client,
    output::{Output, table},
    render,
};

/// What up to 100 given users did with one message: READ, UNREAD, LEFT_UNREAD or NOT_IN_AUDIENCE. For the message's
/// sender, or a service.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl states team m1 bob carol --user alice")]
pub(crate) struct States {
    /// The conversation's id.
    conversation: String,
    /// The message's id.
    message: String,
    /// The users to ask about.
    #[arg(required = true)]
    readers: Vec<String>,
    #[command(flatten)]
    acting: ActingUser,
    #[command(flatten)]
    after: After,
}

impl States {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let response = client::receipts(addr)?.get_message_read_states(self.request()).await?.into_inner();
        Self::print(&response, output)
    }

    /// What is asked.
    pub(crate) fn request(&self) -> v1::GetMessageReadStatesRequest {
        v1::GetMessageReadStatesRequest {
            user_id: self.acting.user.clone(),
            message: Some(message_ref(&self.conversation, &self.message)),
            reader_ids: self.readers.clone(),
            consistency_tokens: self.after.after.clone(),
        }
    }

    /// The answer.
    pub(crate) fn print(response: &v1::GetMessageReadStatesResponse, output: Output) -> anyhow::Result<()> {
        let states = response.states.iter().map(|state| {
            let (name, read_at) = state_name(state.state.as_ref());
            json!({ "user_id": state.user_id, "state": name, "read_at": render::time_json(read_at) })
        });
        let json = json!({
            "states": states.collect::<Vec<_>>(),
            "receipt": render::optional_receipt_json(response.receipt.as_ref()),
            "consistency_token": response.consistency_token,
        });
        output.print(&json, || {
            let rows = response.states.iter().map(|state| {
                let (name, read_at) = state_name(state.state.as_ref());
                [state.user_id.clone(), name.to_owned(), render::time(read_at)]
            });
            let table = table(["user", "state", "read at"], rows);
            let receipt = render::receipt_line(response.receipt.as_ref());
            format!("{table}\n{receipt}\n{}", render::token_line(&response.consistency_token))
        })
    }
}

fn state_name(state: Option<&State>) -> (&'static str, Option<&prost_types::Timestamp>) {
    match state {
        Some(State::ReadAt(time)) => ("READ", Some(time)),
        Some(State::Unread(_)) => ("UNREAD", None),
        Some(State::LeftUnread(_)) => ("LEFT_UNREAD", None),
        Some(State::NotInAudience(_)) => ("NOT_IN_AUDIENCE", None),
        None => ("UNSPECIFIED", None),
    }
}
