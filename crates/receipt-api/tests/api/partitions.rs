//! A partition that does not serve.

use receipt_log::Topic;
use receipt_proto::v1::{
    self, MemberFilter, ReceiptError, mark_conversation_read_request::UpTo, receipt_result::Result as Answer,
};
use tonic::Code;

use crate::harness::*;

async fn started() -> (Server, [String; 2]) {
    let server = Server::with(Setup { sealed: Some(1), ..Setup::default() }).await;
    let conversations = [server.conversation_in(0), server.conversation_in(1)];
    (server, conversations)
}

#[tokio::test]
async fn s24_a_sealed_partition_does_not_fail_the_others() {
    let (server, [serving, sealed]) = started().await;
    server.publish(vec![group(&serving, &["a", "b"]), to_all(&serving, "m", "a")]).await;
    let events = vec![group(&sealed, &["a", "b"]), to_all(&sealed, "m", "a")];
    let request = v1::PublishConversationEventsRequest { events, wait: false };
    let token = server.client().publish_conversation_events(request).await.unwrap().into_inner().consistency_token;
    // Also where a token names it.
    let counts = server.counts("a", &[(&sealed, "m"), (&serving, "m")], &[&token]).await;
    assert_eq!(counts.results[0].result, Some(Answer::Error(ReceiptError::Unavailable.into())));
    assert!(matches!(counts.results[1].result, Some(Answer::Receipt(_))));
    server.stop().await;
}

#[tokio::test]
async fn a_sealed_partition_says_why_it_does_not_answer() {
    let (server, [_, sealed]) = started().await;
    let list = v1::GetGroupMessageReadMemberListRequest {
        message: Some(message_ref(&sealed, "m")),
        filter: MemberFilter::Read.into(),
        ..Default::default()
    };
    let answer = server.client().get_group_message_read_member_list(list).await;
    let status = refused(answer, Code::Unavailable, "PARTITION_SEALED", "", None);
    assert_eq!(metadata(&status, "partition").as_deref(), Some("1"));
    assert_eq!(metadata(&status, "why"), None, "for the operator alone");
    assert!(!retries(&status));
    // What would wait for it is refused before it is written; what would not is taken.
    let before = server.ends();
    let answer = server.client().send_message_read_receipts(receipts("b", &sealed, &["m"], true)).await;
    refused(answer, Code::Unavailable, "PARTITION_SEALED", "", None);
    let request = v1::PublishConversationEventsRequest { events: vec![group(&sealed, &["a"])], wait: true };
    let answer = server.client().publish_conversation_events(request).await;
    refused(answer, Code::Unavailable, "PARTITION_SEALED", "", None);
    assert_eq!(server.ends(), before);
    server.client().send_message_read_receipts(receipts("b", &sealed, &["m"], false)).await.unwrap();
    let mark = v1::MarkConversationReadRequest {
        user_id: "b".to_owned(),
        conversation_id: sealed,
        up_to: Some(UpTo::Time(receipt_proto::timestamp_from_ms(START_MS))),
        wait: false,
    };
    server.client().mark_conversation_read(mark).await.unwrap();
    assert_eq!(server.log.end_offset(Topic::Reads, 1), 2);
    let answer = server.admin.clone().get_receipt_policy(v1::GetReceiptPolicyRequest {}).await;
    refused(answer, Code::Unavailable, "PARTITION_SEALED", "", None);
    server.stop().await;
}

#[tokio::test]
async fn sealed_partitions_are_listed_too() {
    let (server, [serving, _]) = started().await;
    server.publish(vec![group(&serving, &["a", "b"]), to_all(&serving, "m", "a")]).await;
    server.read("b", &serving, &["m"]).await;
    let answer = server.admin.clone().list_partitions(v1::ListPartitionsRequest {}).await.unwrap().into_inner();
    let of_receipts = answer.partitions.iter().filter(|partition| partition.projection() == v1::Projection::Receipts);
    let sealed: Vec<_> = of_receipts.map(|partition| !partition.sealed.is_empty()).collect();
    assert_eq!(sealed, [false, true, false]);
    let first = &answer.partitions[0];
    assert_eq!((first.conversations, first.messages, first.receipts), (1, 1, 1));
    assert!(first.disk_bytes > 0);
    assert_eq!(first.projection(), v1::Projection::Receipts);
    let positions: Vec<_> =
        first.positions.iter().map(|p| (p.topic.as_str(), p.applied_offset, p.end_offset)).collect();
    // A tick is the first event of each partition.
    let conversations = server.log.end_offset(Topic::Conversations, 0);
    assert_eq!(positions, [("receipts.conversations", conversations, conversations), ("receipts.reads", 1, 1)]);
    server.stop().await;
}
