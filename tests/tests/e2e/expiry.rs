//! Time passes, and messages go (S30).

use std::time::{Duration, Instant};

use receipt_proto::v1::{self, ReceiptError, receipt_result};
use receipt_tests::{
    events,
    poll::until,
    server::{DataDir, Server},
};
use tonic::Code;
use tonic_types::StatusExt as _;

/// Log time comes on ticks: a second apart, where nobody talks.
const EXPIRES_MAX: Duration = Duration::from_secs(60);

async fn result(server: &Server) -> Result<(u32, u32), ReceiptError> {
    let request =
        v1::GetMessageReadReceiptsRequest { messages: vec![events::message_ref("team", "m1")], ..Default::default() };
    let response = server.receipts().get_message_read_receipts(request).await.unwrap().into_inner();
    match response.results[0].result.clone().unwrap() {
        receipt_result::Result::Receipt(receipt) => Ok((receipt.read_count, receipt.unread_count)),
        receipt_result::Result::Error(error) => Err(ReceiptError::try_from(error).unwrap()),
    }
}

/// What a call for one list fails with.
async fn list_error(server: &Server) -> (Code, String) {
    let request = v1::GetGroupMessageReadMemberListRequest {
        message: Some(events::message_ref("team", "m1")),
        filter: v1::MemberFilter::Unread.into(),
        ..Default::default()
    };
    match server.receipts().get_group_message_read_member_list(request).await {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => {
            let reason = status.get_error_details().error_info().map(|info| info.reason.clone());
            (status.code(), reason.unwrap_or_default())
        }
    }
}

async fn receipt_outcome(server: &Server, user: &str) -> v1::ReceiptOutcome {
    let request = v1::SendMessageReadReceiptsRequest {
        user_id: user.into(),
        conversation_id: "team".into(),
        message_ids: vec!["m1".into()],
        wait: true,
    };
    let response = server.receipts().send_message_read_receipts(request).await.unwrap().into_inner();
    response.outcomes().next().unwrap()
}

async fn send(server: &Server) -> v1::EventResult {
    let request =
        v1::PublishConversationEventsRequest { events: vec![events::sent_to_all("team", "m1", "alice")], wait: true };
    let response = server.receipts().publish_conversation_events(request).await.unwrap().into_inner();
    response.outcomes[0].result()
}

/// Nobody writes anything after the receipt: the ticks alone bring the end.
#[tokio::test(flavor = "multi_thread")]
async fn s30_a_message_answers_then_has_expired_then_is_forgotten() {
    let dir = DataDir::new();
    let flags = ["--retention", "3s", "--early-window", "1s", "--partitions", "1"];
    let server = Server::start(&dir, &flags).await;
    let created = events::group_created("team", "work", &["alice", "bob", "carol"]);
    let request = v1::PublishConversationEventsRequest { events: vec![created], wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
    let start = Instant::now();
    assert_eq!(send(&server).await, v1::EventResult::Applied);
    assert_eq!(receipt_outcome(&server, "bob").await, v1::ReceiptOutcome::Read);
    assert_eq!(result(&server).await, Ok((1, 1)));
    assert_eq!(list_error(&server).await, (Code::Ok, String::new()));

    // Each is looked at until it is something else, and never goes back.
    let seen = until("the message has expired", EXPIRES_MAX, async || {
        let seen = result(&server).await;
        (seen != Ok((1, 1))).then_some(seen)
    });
    assert_eq!(seen.await, Err(ReceiptError::Expired));
    assert!(start.elapsed() > Duration::from_secs(3), "expired after {:?}", start.elapsed());
    let error = list_error(&server).await;
    assert_eq!(error, (Code::FailedPrecondition, "MESSAGE_EXPIRED".to_owned()));
    assert_eq!(receipt_outcome(&server, "carol").await, v1::ReceiptOutcome::Expired);

    let seen = until("the message is forgotten", EXPIRES_MAX, async || {
        let seen = result(&server).await;
        (seen != Err(ReceiptError::Expired)).then_some(seen)
    });
    assert_eq!(seen.await, Err(ReceiptError::NotFound));
    assert!(start.elapsed() > Duration::from_secs(6), "forgotten after {:?}", start.elapsed());
    assert_eq!(list_error(&server).await, (Code::NotFound, "MESSAGE_NOT_FOUND".to_owned()));

    // Its id is free again, and nobody has read what bears it now.
    assert_eq!(send(&server).await, v1::EventResult::Applied);
    assert_eq!(result(&server).await, Ok((0, 2)));
}

/// What expired while the server was away has expired when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn s30_expiry_goes_on_after_a_restart() {
    let dir = DataDir::new();
    let flags = ["--retention", "3s", "--early-window", "1s", "--partitions", "1", "--accept-clock-jump"];
    let server = Server::start(&dir, &flags).await;
    let created = events::group_created("team", "work", &["alice", "bob"]);
    let request = v1::PublishConversationEventsRequest { events: vec![created], wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
    assert_eq!(send(&server).await, v1::EventResult::Applied);
    server.term().await;
    let server = Server::start(&dir, &flags).await;
    until("the message is forgotten", EXPIRES_MAX, async || {
        (result(&server).await == Err(ReceiptError::NotFound)).then_some(())
    })
    .await;
}
