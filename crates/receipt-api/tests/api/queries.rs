//! Counts and states.

use receipt_domain::settings::Settings;
use receipt_proto::{
    timestamp_from_ms,
    v1::{
        self, ReceiptError, conversation_event::Event as Kind, reader_state::State, receipt_result::Result as Answer,
    },
};
use tonic::Code;

use crate::harness::*;

async fn started() -> Server {
    let server = Server::start().await;
    let events = vec![
        group("g", &["a", "b", "c", "d"]),
        to_all("g", "m", "a"),
        silent(to_all("g", "quiet", "a")),
        to_peer("p", "m", "a", "b"),
    ];
    server.publish(events).await;
    server.read("b", "g", &["m"]).await;
    let removed = v1::MembersRemoved { member_ids: texts(&["d"]) };
    server.publish(vec![event("g", Kind::MembersRemoved(removed))]).await;
    server
}

fn error(error: ReceiptError) -> Option<Answer> {
    Some(Answer::Error(error.into()))
}

#[tokio::test]
async fn s24_s25_s40_each_message_has_its_own_answer() {
    let server = started().await;
    let asked = [("g", "m"), ("g", "none"), ("nowhere", "m"), ("g", "quiet"), ("p", "m"), ("g", "m")];
    let counts = server.counts("a", &asked, &[]).await;
    for ((conversation, message), result) in asked.iter().zip(&counts.results) {
        assert_eq!(result.message, Some(message_ref(conversation, message)));
    }
    let group = v1::MessageReceipt {
        conversation_id: "g".to_owned(),
        message_id: "m".to_owned(),
        read_count: 1,
        unread_count: 1,
        audience_count: 3,
        kept_until: Some(timestamp_from_ms(START_MS + Settings::default().retention_ms)),
        ..Default::default()
    };
    let peer = v1::MessageReceipt {
        conversation_id: "p".to_owned(),
        read_count: 0,
        audience_count: 1,
        peer_id: "b".to_owned(),
        ..group.clone()
    };
    let answers: Vec<_> = counts.results.into_iter().map(|result| result.result).collect();
    let expected = [
        Some(Answer::Receipt(group.clone())),
        error(ReceiptError::NotFound),
        error(ReceiptError::NotFound),
        error(ReceiptError::NotRequested),
        Some(Answer::Receipt(peer)),
        Some(Answer::Receipt(group)),
    ];
    assert_eq!(answers, expected);
    // Who is not the sender is told so before anything else about the message, but not of what is not there.
    let counts = server.counts("b", &asked[..4], &[]).await;
    let answers: Vec<_> = counts.results.into_iter().map(|result| result.result).collect();
    let (denied, not_found) = (error(ReceiptError::PermissionDenied), error(ReceiptError::NotFound));
    assert_eq!(answers, [denied.clone(), not_found.clone(), not_found, denied]);
    // A service may ask for any.
    let counts = server.counts("", &asked[..1], &[]).await;
    assert!(matches!(counts.results[0].result, Some(Answer::Receipt(_))));
    server.stop().await;
}

#[tokio::test]
async fn s28_states_are_told_in_the_order_asked() {
    let server = started().await;
    let request = |user: &str, message: &str| v1::GetMessageReadStatesRequest {
        user_id: user.to_owned(),
        message: Some(message_ref("g", message)),
        reader_ids: texts(&["stranger", "b", "d", "c", "a"]),
        ..Default::default()
    };
    let answer = server.client().get_message_read_states(request("a", "m")).await.unwrap().into_inner();
    let users: Vec<_> = answer.states.iter().map(|state| state.user_id.as_str()).collect();
    assert_eq!(users, ["stranger", "b", "d", "c", "a"]);
    let read_at = receipt_proto::timestamp_from_ms(START_MS);
    let states: Vec<_> = answer.states.into_iter().filter_map(|state| state.state).collect();
    let expected = [
        State::NotInAudience(v1::NotInAudience {}),
        State::ReadAt(read_at),
        State::LeftUnread(v1::LeftUnread {}),
        State::Unread(v1::Unread {}),
        State::NotInAudience(v1::NotInAudience {}),
    ];
    assert_eq!(states, expected);
    let receipt = answer.receipt.unwrap();
    assert_eq!((receipt.read_count, receipt.unread_count), (1, 1));
    let refusals = [
        ("a", "none", Code::NotFound, "MESSAGE_NOT_FOUND"),
        ("b", "m", Code::PermissionDenied, "NOT_ALLOWED"),
        ("a", "quiet", Code::FailedPrecondition, "RECEIPT_NOT_REQUESTED"),
    ];
    for (user, message, code, reason) in refusals {
        refused(server.client().get_message_read_states(request(user, message)).await, code, reason, "", None);
    }
    server.stop().await;
}
