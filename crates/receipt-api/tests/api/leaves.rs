//! Leaves: senders are notified of them, and those who left without reading are listed (S3, S4, S24, S26).

use receipt_proto::v1::{
    self, MemberFilter, conversation_event::Event as Kind, receipt_result,
    subscribe_message_read_receipts_request::Start,
};

use crate::{
    harness::{Server, event, group, message_ref, texts, to_all},
    streams::{Seen, next, subscribe},
};

fn removed(conversation: &str, members: &[&str]) -> v1::ConversationEvent {
    event(conversation, Kind::MembersRemoved(v1::MembersRemoved { member_ids: texts(members) }))
}

async fn receipt(server: &Server, message: &str) -> v1::MessageReceipt {
    let answer = server.counts("ann", &[("c", message)], &[]).await;
    let Some(receipt_result::Result::Receipt(receipt)) = answer.results[0].result.clone() else { panic!("{answer:?}") };
    receipt
}

#[tokio::test]
async fn s3_a_leave_is_notified_live_resumed_and_from_the_oldest() {
    let server = Server::start().await;
    server.publish(vec![group("c", &["ann", "ben", "cem", "dan"]), to_all("c", "m1", "ann")]).await;
    let (mut live, mut seen) = (subscribe(&server, "ann", None).await, Seen::default());
    seen.take(next(&mut live).await);
    server.read("ben", "c", &["m1"]).await;
    server.read("cem", "c", &["m1"]).await;
    seen.until(&mut live, "m1", 2).await;
    let before = seen.token.clone();
    server.publish(vec![removed("c", &["dan"])]).await;
    while seen.counts["m1"].1 > 0 {
        seen.take(next(&mut live).await);
    }
    assert_eq!(seen.counts["m1"], (2, 0, false));
    for start in [Start::ResumeToken(before), Start::Oldest(v1::Oldest {})] {
        let mut stream = subscribe(&server, "ann", Some(start)).await;
        let mut seen = Seen::default();
        seen.take(next(&mut stream).await);
        assert_eq!(seen.counts["m1"], (2, 0, false));
    }
    // A reader who leaves changes no count but their own.
    server.publish(vec![removed("c", &["ben"])]).await;
    let told = next(&mut live).await;
    let Some(v1::receipt_delta::Change::Receipt(told)) = told.deltas[0].change.clone() else { panic!("{told:?}") };
    assert_eq!((told.read_count, told.read_left_count, told.audience_count), (2, 1, 3));
    assert_eq!(told, receipt(&server, "m1").await, "the last word is the answer");
    drop(live);
    server.stop().await;
}

#[tokio::test]
async fn s24_s26_those_who_left_without_reading_are_counted_and_listed() {
    let server = Server::start().await;
    let members: Vec<String> = (0..40).map(|n| format!("u{n:02}")).collect();
    let names: Vec<&str> = members.iter().map(String::as_str).chain(["ann"]).collect();
    server.publish(vec![group("c", &names), removed("c", &["u00"]), to_all("c", "m1", "ann")]).await;
    server.read("u05", "c", &["m1"]).await;
    // Not in the order of joining; one of them has read it, and one was never in the audience.
    let leaving: Vec<&str> = names[2..12].iter().rev().copied().collect();
    server.publish(vec![removed("c", &leaving)]).await;
    let expected: Vec<&str> = names[2..12].iter().copied().filter(|name| *name != "u05").collect();
    let counts = receipt(&server, "m1").await;
    assert_eq!((counts.audience_count, counts.read_count, counts.unread_count), (39, 1, 29));
    assert_eq!(counts.read_left_count, 1);
    assert!(counts.kept_until.is_some());
    for latest_first in [false, true] {
        let (mut walked, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = v1::GetGroupMessageReadMemberListRequest {
                user_id: "ann".to_owned(),
                message: Some(message_ref("c", "m1")),
                filter: MemberFilter::LeftUnread.into(),
                latest_first,
                page_size: 4,
                page_token,
                ..Default::default()
            };
            let page = server.client().get_group_message_read_member_list(request).await.unwrap().into_inner();
            assert!(page.members.iter().all(|member| member.left && member.read_at.is_none()), "{page:?}");
            walked.extend(page.members.into_iter().map(|member| member.user_id));
            if page.is_finished {
                break;
            }
            page_token = page.next_page_token;
        }
        if latest_first {
            walked.reverse();
        }
        assert_eq!(walked, expected);
    }
    server.stop().await;
}
