//! Receipts and marks.

use prost_types::Timestamp;
use receipt_domain::settings::Settings;
use receipt_proto::v1::{self, ReceiptOutcome, mark_conversation_read_request::UpTo};
use tonic::Code;

use crate::harness::*;

fn mark(user: &str, conversation: &str, up_to: UpTo) -> v1::MarkConversationReadRequest {
    let (user_id, conversation_id) = (user.to_owned(), conversation.to_owned());
    v1::MarkConversationReadRequest { user_id, conversation_id, up_to: Some(up_to), wait: true }
}

fn up_to(message: &str) -> UpTo {
    UpTo::MessageId(message.to_owned())
}

fn start_time() -> UpTo {
    UpTo::Time(Timestamp { seconds: i64::try_from(START_MS / 1000).unwrap(), nanos: 0 })
}

#[tokio::test]
async fn s13_s15_each_receipt_has_its_outcome_in_the_order_asked() {
    use ReceiptOutcome::{NotInAudience, NotRequested, Pending, Read};
    let server = Server::start().await;
    let events = vec![
        group("g", &["a", "b"]),
        to_all("g", "m", "a"),
        silent(to_all("g", "quiet", "a")),
        to_all("g", "own", "b"),
    ];
    server.publish(events).await;
    let asked = ["later", "m", "quiet", "own", "m"];
    assert_eq!(server.read("b", "g", &asked).await, [Pending, Read, NotRequested, NotInAudience, Read]);
    assert_eq!(server.read("stranger", "g", &["m"]).await, [NotInAudience]);
    // S16: kept until its message comes.
    server.publish(vec![to_all("g", "later", "a")]).await;
    let counts = server.counts("a", &[("g", "later")], &[]).await;
    let Some(v1::receipt_result::Result::Receipt(receipt)) = &counts.results[0].result else { panic!("{counts:?}") };
    assert_eq!((receipt.read_count, receipt.unread_count), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn s13_s30_an_expired_message_takes_no_more_receipts() {
    let settings = Settings { retention_ms: 60_000, early_window_ms: 60_000, ..Settings::default() };
    let server = Server::with(Setup { settings, ..Setup::default() }).await;
    server.publish(vec![group("g", &["a", "b"]), to_all("g", "m", "a")]).await;
    for message in ["m1", "m2"] {
        server.advance(50_000);
        server.publish(vec![to_all("g", message, "a")]).await;
    }
    assert_eq!(server.read("b", "g", &["m", "m1"]).await, [ReceiptOutcome::Expired, ReceiptOutcome::Read]);
    let answer = server.client().mark_conversation_read(mark("b", "g", up_to("m"))).await.unwrap().into_inner();
    assert_eq!(answer.outcome(), ReceiptOutcome::Expired);
    let counts = server.counts("a", &[("g", "m")], &[]).await;
    let expired = v1::receipt_result::Result::Error(v1::ReceiptError::Expired.into());
    assert_eq!(counts.results[0].result, Some(expired));
    let request = v1::GetMessageReadStatesRequest {
        message: Some(message_ref("g", "m")),
        reader_ids: texts(&["b"]),
        ..Default::default()
    };
    let answer = server.client().get_message_read_states(request).await;
    refused(answer, Code::FailedPrecondition, "MESSAGE_EXPIRED", "", None);
    server.stop().await;
}

#[tokio::test]
async fn s17_a_mark_counts_all_before_it() {
    let server = Server::start().await;
    let messages = ["m0", "m1", "m2"].map(|message| to_all("g", message, "a"));
    server.publish([vec![group("g", &["a", "b"])], messages.to_vec()].concat()).await;
    let answer = server.client().mark_conversation_read(mark("b", "g", up_to("m1"))).await.unwrap().into_inner();
    assert_eq!(answer.outcome(), ReceiptOutcome::Read);
    let asked = [("g", "m0"), ("g", "m1"), ("g", "m2")];
    let counts = server.counts("a", &asked, &[&answer.consistency_token]).await;
    let read_counts = counts.results.into_iter().filter_map(|result| match result.result {
        Some(v1::receipt_result::Result::Receipt(receipt)) => Some(receipt.read_count),
        _ => None,
    });
    assert_eq!(read_counts.collect::<Vec<_>>(), [1, 1, 0]);
    let answer = server.client().mark_conversation_read(mark("b", "g", up_to("none"))).await.unwrap().into_inner();
    assert_eq!(answer.outcome(), ReceiptOutcome::Pending);
    server.stop().await;
}

#[tokio::test]
async fn s19_a_mark_up_to_a_time_is_for_one_to_one_conversations() {
    let server = Server::start().await;
    server.publish(vec![to_peer("p", "m", "a", "b"), group("g", &["a", "b"])]).await;
    server.advance(3000);
    let answer = server.client().mark_conversation_read(mark("b", "p", start_time())).await.unwrap().into_inner();
    assert_eq!(answer.outcome(), ReceiptOutcome::Read);
    let counts = server.counts("a", &[("p", "m")], &[&answer.consistency_token]).await;
    let Some(v1::receipt_result::Result::Receipt(receipt)) = &counts.results[0].result else { panic!("{counts:?}") };
    assert!(receipt.is_peer_read);
    assert_eq!(receipt.peer_id, "b");
    // S20: the time of the read is the server's, not the mark's.
    let seconds = i64::try_from(START_MS / 1000 + 3).unwrap();
    assert_eq!(receipt.peer_read_at, Some(Timestamp { seconds, nanos: 0 }));
    // A conversation that is not known yet may be one-to-one.
    let answer = server.client().mark_conversation_read(mark("b", "q", start_time())).await.unwrap().into_inner();
    assert_eq!(answer.outcome(), ReceiptOutcome::Read);
    let before = server.ends();
    let answer = server.client().mark_conversation_read(mark("b", "g", start_time())).await;
    refused(answer, Code::InvalidArgument, "INVALID_FIELD", "time", None);
    assert_eq!(server.ends(), before);
    server.stop().await;
}
