//! Consistency tokens.

use std::time::{Duration, Instant};

use receipt_codec::token::{ConsistencyToken, PartitionOffsets};
use receipt_proto::v1::{
    self, GetMessageReadReceiptsRequest, mark_conversation_read_request::UpTo, receipt_result::Result as Answer,
};
use tonic::Code;

use crate::harness::*;

fn ask(conversation: &str, tokens: Vec<String>) -> GetMessageReadReceiptsRequest {
    GetMessageReadReceiptsRequest {
        messages: vec![message_ref(conversation, "m")],
        consistency_tokens: tokens,
        ..Default::default()
    }
}

fn ahead(server: &Server, partition: u32) -> String {
    let position = PartitionOffsets { partition, conversations_offset: 1_000_000, reads_offset: 0 };
    ConsistencyToken { log_id: *server.log.id().as_bytes(), positions: vec![position] }.encode()
}

#[tokio::test]
async fn s29_reads_follow_writes() {
    let server = Server::start().await;
    server.publish(vec![group("g", &["a", "b"])]).await;
    for i in 0..50 {
        let message = format!("m{i}");
        let events = vec![to_all("g", &message, "a")];
        let request = v1::PublishConversationEventsRequest { events, wait: false };
        server.client().publish_conversation_events(request).await.unwrap();
        // The receipt's token is enough: it includes the message too.
        let answer = server.client().send_message_read_receipts(receipts("b", "g", &[&message], false)).await.unwrap();
        let token = answer.into_inner().consistency_token;
        let counts = server.counts("a", &[("g", &message)], &[&token]).await;
        let Some(Answer::Receipt(receipt)) = &counts.results[0].result else { panic!("{counts:?}") };
        assert_eq!(receipt.read_count, 1, "{message}");
    }
    server.stop().await;
}

#[tokio::test]
async fn s29_an_answers_token_is_of_its_state_and_of_the_tokens_asked_with() {
    let server = Server::start().await;
    let conversations = [0, 1, 2].map(|partition| server.conversation_in(partition));
    let mut tokens = Vec::new();
    for conversation in &conversations[..2] {
        tokens.push(server.publish(vec![group(conversation, &["a", "b"]), to_all(conversation, "m", "a")]).await);
    }
    let answer = server.client().get_message_read_receipts(ask(&conversations[2], tokens.clone())).await.unwrap();
    let given = ConsistencyToken::decode(&answer.into_inner().consistency_token).unwrap();
    let asked: Vec<_> = tokens.iter().flat_map(|token| ConsistencyToken::decode(token).unwrap().positions).collect();
    assert_eq!(given.log_id, *server.log.id().as_bytes());
    assert_eq!(given.positions[..2], asked);
    assert_eq!(given.positions[2].partition, 2);
    // The state's own position is in it where it is further than the token.
    let answer = server.client().get_message_read_receipts(ask(&conversations[0], vec![])).await.unwrap();
    let given = ConsistencyToken::decode(&answer.into_inner().consistency_token).unwrap();
    assert_eq!(given.positions, asked[..1]);
    server.stop().await;
}

#[tokio::test]
async fn s29_a_state_that_is_behind_says_so_before_the_deadline() {
    let server = Server::start().await;
    let conversations = [0, 1].map(|partition| server.conversation_in(partition));
    let token = ahead(&server, 0);
    let start = Instant::now();
    let request = within(ask(&conversations[0], vec![token.clone()]), Duration::from_millis(400));
    let status = refused(
        server.client().get_message_read_receipts(request).await,
        Code::DeadlineExceeded,
        "STATE_BEHIND",
        "",
        None,
    );
    assert!((Duration::from_millis(250)..Duration::from_millis(400)).contains(&start.elapsed()));
    assert_eq!(metadata(&status, "partition").as_deref(), Some("0"));
    let states = v1::GetMessageReadStatesRequest {
        message: Some(message_ref(&conversations[0], "m")),
        reader_ids: texts(&["u"]),
        consistency_tokens: vec![token.clone()],
        ..Default::default()
    };
    let answer = server.client().get_message_read_states(within(states, Duration::from_millis(300))).await;
    refused(answer, Code::DeadlineExceeded, "STATE_BEHIND", "", None);
    // A question that does not touch that partition does not wait for it.
    server.client().get_message_read_receipts(ask(&conversations[1], vec![token])).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn s29_a_token_of_a_partition_that_there_is_not_is_refused() {
    let server = Server::start().await;
    let answer = server.client().get_message_read_receipts(ask("g", vec![ahead(&server, PARTITIONS)])).await;
    refused(answer, Code::InvalidArgument, "INVALID_CONSISTENCY_TOKEN", "consistency_tokens[0]", None);
    server.stop().await;
}

#[tokio::test]
async fn a_write_that_waits_in_vain_is_durable_and_says_so() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let server = Server::with(Setup { unfolded: true, ..Setup::default() }).await;
    let events = vec![group("g", &["a", "b"]), to_all("g", "m", "a")];
    let publish = v1::PublishConversationEventsRequest { events, wait: true };
    let answer = server.client().publish_conversation_events(within(publish, TIMEOUT)).await;
    let published = refused(answer, Code::DeadlineExceeded, "STATE_BEHIND", "", None);
    let receipt = receipts("b", "g", &["m"], true);
    let answer = server.client().send_message_read_receipts(within(receipt, TIMEOUT)).await;
    let sent = refused(answer, Code::DeadlineExceeded, "STATE_BEHIND", "", None);
    let mark = v1::MarkConversationReadRequest {
        user_id: "b".to_owned(),
        conversation_id: "g".to_owned(),
        up_to: Some(UpTo::MessageId("m".to_owned())),
        wait: true,
    };
    let answer = server.client().mark_conversation_read(within(mark, TIMEOUT)).await;
    let marked = refused(answer, Code::DeadlineExceeded, "STATE_BEHIND", "", None);
    let partition = server.log.partition_for(b"g");
    for (status, reads_offset) in [(published, 0), (sent, 1), (marked, 2)] {
        assert!(status.message().contains("durable"), "{status}");
        let token = ConsistencyToken::decode(&metadata(&status, "consistency_token").unwrap()).unwrap();
        assert_eq!(token.positions, [PartitionOffsets { partition, conversations_offset: 2, reads_offset }]);
    }
    server.stop().await;
}

#[tokio::test]
async fn who_waits_does_not_hold_a_stop_up() {
    let server = Server::start().await;
    let conversation = server.conversation_in(0);
    let request = within(ask(&conversation, vec![ahead(&server, 0)]), Duration::from_secs(3600));
    let states = v1::GetMessageReadStatesRequest {
        message: Some(message_ref(&conversation, "m")),
        reader_ids: texts(&["u"]),
        consistency_tokens: vec![ahead(&server, 0)],
        ..Default::default()
    };
    let asked = within(states, Duration::from_secs(3600));
    let (mut first, mut second, mut third) = (server.client(), server.client(), server.client());
    let mut waiting = std::pin::pin!(first.get_message_read_receipts(request));
    let mut asking = std::pin::pin!(second.get_message_read_states(asked));
    // A connection takes calls in their order: once the third is answered, the server has the two before.
    tokio::select! {
        biased;
        answer = &mut waiting => panic!("it did not wait: {answer:?}"),
        answer = &mut asking => panic!("it did not wait: {answer:?}"),
        answer = third.get_message_read_receipts(ask(&server.conversation_in(1), vec![])) => drop(answer.unwrap()),
    }
    server.stop().await;
    let status = refused(asking.await, Code::Unavailable, "SHUTTING_DOWN", "", None);
    assert!(retries(&status));
    let answer = waiting.await.unwrap().into_inner();
    let unavailable = Answer::Error(v1::ReceiptError::Unavailable.into());
    assert_eq!(answer.results[0].result, Some(unavailable));
}
