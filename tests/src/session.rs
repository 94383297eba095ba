//! The smallest session there is: a group, a message, and one who reads it.

use receipt_proto::v1;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::{events, server::Server};

/// Publishes a group with a message and has it read; where that is in the log.
///
/// # Panics
/// If it is refused.
pub async fn something_happens(server: &Server) -> String {
    let created = events::group_created("team", "work", &["alice", "bob", "carol"]);
    let events = vec![created, events::sent_to_all("team", "m1", "alice")];
    let request = v1::PublishConversationEventsRequest { events, wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
    let request = v1::SendMessageReadReceiptsRequest {
        user_id: "bob".into(),
        conversation_id: "team".into(),
        message_ids: vec!["m1".into()],
        wait: true,
    };
    server.receipts().send_message_read_receipts(request).await.unwrap().into_inner().consistency_token
}

/// Read and unread of that message, by a state that includes the token.
///
/// # Errors
/// Why there is no answer.
///
/// # Panics
/// If the answer is none.
pub async fn counts(server: &Server, token: Option<&str>) -> Result<(u32, u32), String> {
    let request = v1::GetMessageReadReceiptsRequest {
        messages: vec![events::message_ref("team", "m1")],
        consistency_tokens: token.into_iter().map(str::to_owned).collect(),
        ..Default::default()
    };
    let response = server.receipts().get_message_read_receipts(request).await;
    let results = response.map_err(|status| status.to_string())?.into_inner().results;
    match &results[0].result {
        Some(v1::receipt_result::Result::Receipt(receipt)) => Ok((receipt.read_count, receipt.unread_count)),
        Some(v1::receipt_result::Result::Error(error)) => {
            Err(v1::ReceiptError::try_from(*error).unwrap().as_str_name().to_owned())
        }
        None => Err("nothing".to_owned()),
    }
}

/// The reason of an error.
#[must_use]
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}
