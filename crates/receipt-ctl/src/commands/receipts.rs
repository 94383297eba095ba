//! `receiptctl receipts`: how many have read these messages.

use anyhow::bail;
use clap::{Args, CommandFactory as _, error::ErrorKind};
use receipt_proto::v1::{self, receipt_result};
use serde_json::{Value, json};

use super::message_ref;
use crate::{
    cli::{ActingUser, After, Cli},
    client,
    output::{Output, table},
    render,
};

/// How many have, and have not, read each of up to 100 messages.
///
/// The messages are pairs of conversation and message, or with --conversation messages of that one. Each has its own
/// receipt or its own error; one bad message does not fail the others. For the messages' sender, or a service.
///
/// Exit code 1 where a message has an error, after the whole answer.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl receipts team m1 --user alice
  receiptctl receipts team m1 other-team m7
  receiptctl receipts --conversation team m1 m2 m3 --json")]
pub(crate) struct Receipts {
    /// Pairs of conversation and message; messages only, with --conversation.
    #[arg(required = true, value_name = "CONVERSATION MESSAGE")]
    messages: Vec<String>,
    /// All messages are of this conversation.
    #[arg(long, short, value_name = "CONVERSATION")]
    conversation: Option<String>,
    #[command(flatten)]
    acting: ActingUser,
    #[command(flatten)]
    after: After,
}

impl Receipts {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let response = client::receipts(addr)?.get_message_read_receipts(self.request()).await?.into_inner();
        Self::print(&response, output)
    }

    /// What is asked.
    pub(crate) fn request(&self) -> v1::GetMessageReadReceiptsRequest {
        let messages = match &self.conversation {
            Some(conversation) => self.messages.iter().map(|message| message_ref(conversation, message)).collect(),
            None => pairs(&self.messages),
        };
        v1::GetMessageReadReceiptsRequest {
            user_id: self.acting.user.clone(),
            messages,
            consistency_tokens: self.after.after.clone(),
        }
    }

    /// The answer, and an error where a message has one.
    pub(crate) fn print(response: &v1::GetMessageReadReceiptsResponse, output: Output) -> anyhow::Result<()> {
        let results: Vec<_> = response.results.iter().map(result_json).collect();
        let json = json!({ "results": results, "consistency_token": response.consistency_token });
        output.print(&json, || {
            let header = ["conversation", "message", "read", "unread", "notes"];
            let table = table(header, response.results.iter().map(row));
            format!("{table}\n{}", render::token_line(&response.consistency_token))
        })?;
        let without = response.results.iter().filter(|result| !has_receipt(result)).count();
        match without {
            0 => Ok(()),
            without => bail!("{without} of {} messages have no receipt: the answer says why", response.results.len()),
        }
    }
}

fn has_receipt(result: &v1::ReceiptResult) -> bool {
    matches!(result.result, Some(receipt_result::Result::Receipt(_)))
}

/// Conversation and message in turn; an odd number is a usage error.
fn pairs(messages: &[String]) -> Vec<v1::MessageRef> {
    let (pairs, rest) = messages.as_chunks::<2>();
    if !rest.is_empty() {
        let problem = "messages are pairs of CONVERSATION and MESSAGE; or give --conversation";
        Cli::command().error(ErrorKind::WrongNumberOfValues, problem).exit();
    }
    pairs.iter().map(|[conversation, message]| message_ref(conversation, message)).collect()
}

fn error_name(error: i32) -> &'static str {
    render::short(v1::ReceiptError::try_from(error).unwrap_or_default().as_str_name(), "RECEIPT_ERROR_")
}

fn result_json(result: &v1::ReceiptResult) -> Value {
    let message = result.message.clone().unwrap_or_default();
    let mut json = json!({ "conversation_id": message.conversation_id, "message_id": message.message_id });
    match &result.result {
        Some(receipt_result::Result::Receipt(receipt)) => json["receipt"] = render::receipt_json(receipt),
        Some(receipt_result::Result::Error(error)) => json["error"] = json!(error_name(*error)),
        None => json["error"] = json!(error_name(0)),
    }
    json
}

fn row(result: &v1::ReceiptResult) -> [String; 5] {
    let message = result.message.clone().unwrap_or_default();
    let (read, unread, notes) = match &result.result {
        Some(receipt_result::Result::Receipt(receipt)) => {
            (receipt.read_count.to_string(), receipt.unread_count.to_string(), notes(receipt))
        }
        Some(receipt_result::Result::Error(error)) => (String::new(), String::new(), error_name(*error).to_owned()),
        None => (String::new(), String::new(), error_name(0).to_owned()),
    };
    [message.conversation_id, message.message_id, read, unread, notes]
}

fn notes(receipt: &v1::MessageReceipt) -> String {
    let mut notes = Vec::new();
    if receipt.recalled {
        notes.push("recalled".to_owned());
    }
    if receipt.is_peer_read {
        notes.push(format!("{} read it {}", receipt.peer_id, render::time(receipt.peer_read_at.as_ref())));
    }
    notes.join(", ")
}
