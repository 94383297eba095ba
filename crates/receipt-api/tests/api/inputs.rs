//! Wrong inputs, each refused by the field or limit it breaks, and nothing appended.

use prost_types::Timestamp;
use receipt_proto::v1::{
    self, conversation_event::Event as Kind, mark_conversation_read_request::UpTo, read_event::Target,
};
use tonic::Code::InvalidArgument;

use crate::harness::*;

/// What was wrong, and with which field or limit.
type Wrong<T> = (T, &'static str, &'static str, Option<u64>);

const FIELD: &str = "INVALID_FIELD";
const LIMIT: &str = "LIMIT_EXCEEDED";
const TOKEN: &str = "INVALID_CONSISTENCY_TOKEN";

fn long(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn many(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("u{i}")).collect()
}

fn read_event(messages: Vec<String>) -> v1::ReadEvent {
    let target = Some(Target::Messages(v1::MessageIds { message_ids: messages }));
    v1::ReadEvent { conversation_id: "c".to_owned(), reader_id: "u".to_owned(), read_at: None, target }
}

fn publish(events: Vec<v1::ConversationEvent>) -> v1::PublishConversationEventsRequest {
    v1::PublishConversationEventsRequest { events, wait: false }
}

fn wrong_events() -> Vec<Wrong<v1::PublishConversationEventsRequest>> {
    let good = || to_all("c", "m", "u");
    let big = Kind::MembersAdded(v1::MembersAdded { member_ids: vec![long(128); 9_000] });
    let long_list = Kind::MembersAdded(v1::MembersAdded { member_ids: many(10_001) });
    let changed = Kind::PolicyChanged(v1::PolicyChanged { policy: Some(v1::ReceiptPolicy::default()) });
    let before_1970 = v1::ConversationEvent { occurred_at: Some(Timestamp { seconds: -1, nanos: 0 }), ..good() };
    vec![
        (publish(vec![]), FIELD, "events", None),
        (publish(vec![good(); 1001]), LIMIT, "events", Some(1000)),
        (publish(vec![good(), to_all("c", "", "u")]), FIELD, "events[1].message_sent.message_id", None),
        (publish(vec![to_all("c", &long(129), "u")]), LIMIT, "events[0].message_sent.message_id", Some(128)),
        (publish(vec![to_all("c", "m\n", "u")]), FIELD, "events[0].message_sent.message_id", None),
        (publish(vec![to_all(&long(257), "m", "u")]), LIMIT, "events[0].conversation_id", Some(256)),
        (publish(vec![group("c", &["u", ""])]), FIELD, "events[0].group_created.member_ids[1]", None),
        (publish(vec![event("c", long_list)]), LIMIT, "events[0].members_added.member_ids", Some(10_000)),
        (publish(vec![good(), event("c", big)]), LIMIT, "events[1]", Some(1_000_000)),
        (publish(vec![event("", changed)]), FIELD, "events[0].policy_changed", None),
        (publish(vec![event("", Kind::Tick(v1::Tick {}))]), FIELD, "events[0].tick", None),
        (publish(vec![v1::ConversationEvent::default()]), FIELD, "events[0].event", None),
        (publish(vec![before_1970]), FIELD, "events[0].occurred_at", None),
    ]
}

#[tokio::test]
async fn s39_wrong_events_are_refused_whole() {
    let server = Server::start().await;
    let before = server.ends();
    for (request, reason, field, limit) in wrong_events() {
        let answer = server.client().publish_conversation_events(request).await;
        refused(answer, InvalidArgument, reason, field, limit);
    }
    let good = || read_event(texts(&["m"]));
    let wrong = [
        (vec![], FIELD, "events", None),
        (vec![good(); 1001], LIMIT, "events", Some(1000)),
        (vec![good(), read_event(many(101))], LIMIT, "events[1].messages.message_ids", Some(100)),
        (vec![read_event(vec![])], FIELD, "events[0].messages.message_ids", None),
        (vec![v1::ReadEvent { reader_id: String::new(), ..good() }], FIELD, "events[0].reader_id", None),
        (vec![v1::ReadEvent { target: None, ..good() }], FIELD, "events[0].target", None),
    ];
    for (events, reason, field, limit) in wrong {
        let answer = server.client().publish_read_events(v1::PublishReadEventsRequest { events }).await;
        refused(answer, InvalidArgument, reason, field, limit);
    }
    assert_eq!(server.ends(), before);
    server.stop().await;
}

#[tokio::test]
async fn s13_wrong_receipts_are_refused_whole() {
    let server = Server::start().await;
    server.publish(vec![group("g", &["u", "v"])]).await;
    let before = server.ends();
    let of = |messages| v1::SendMessageReadReceiptsRequest { message_ids: messages, ..receipts("u", "c", &[], false) };
    let wrong: Vec<Wrong<_>> = vec![
        (receipts("", "c", &["m"], false), FIELD, "user_id", None),
        (receipts(&long(129), "c", &["m"], false), LIMIT, "user_id", Some(128)),
        (receipts("u", "", &["m"], false), FIELD, "conversation_id", None),
        (of(vec![]), FIELD, "message_ids", None),
        (of(many(101)), LIMIT, "message_ids", Some(100)),
        (of(vec!["m".to_owned(); 101]), LIMIT, "message_ids", Some(100)),
        (receipts("u", "c", &["m", "\u{7f}"], true), FIELD, "message_ids[1]", None),
    ];
    for (request, reason, field, limit) in wrong {
        refused(server.client().send_message_read_receipts(request).await, InvalidArgument, reason, field, limit);
    }
    let mark = |user: &str, conversation: &str, up_to| {
        let (user_id, conversation_id) = (user.to_owned(), conversation.to_owned());
        v1::MarkConversationReadRequest { user_id, conversation_id, up_to, wait: false }
    };
    let time = |seconds, nanos| Some(UpTo::Time(Timestamp { seconds, nanos }));
    let wrong: Vec<Wrong<_>> = vec![
        (mark("", "c", time(1, 0)), FIELD, "user_id", None),
        (mark("u", &long(257), time(1, 0)), LIMIT, "conversation_id", Some(256)),
        (mark("u", "c", None), FIELD, "up_to", None),
        (mark("u", "c", Some(UpTo::MessageId(long(129)))), LIMIT, "message_id", Some(128)),
        (mark("u", "c", Some(UpTo::MessageId(String::new()))), FIELD, "message_id", None),
        // S20.
        (mark("u", "c", time(-1, 0)), FIELD, "time", None),
        (mark("u", "c", time(1, 1_000_000_000)), FIELD, "time", None),
        // S19.
        (mark("u", "g", time(1, 0)), FIELD, "time", None),
    ];
    for (request, reason, field, limit) in wrong {
        refused(server.client().mark_conversation_read(request).await, InvalidArgument, reason, field, limit);
    }
    assert_eq!(server.ends(), before);
    server.stop().await;
}

#[tokio::test]
async fn s24_wrong_questions_for_counts_are_refused() {
    let server = Server::start().await;
    let ask = |messages| v1::GetMessageReadReceiptsRequest { messages, ..Default::default() };
    let good = || vec![message_ref("c", "m")];
    let with_tokens = |consistency_tokens| v1::GetMessageReadReceiptsRequest { consistency_tokens, ..ask(good()) };
    let foreign = Server::start().await;
    let token = foreign.publish(vec![group("g", &["u"])]).await;
    let damaged = texts(&[&token[1..]]);
    let wrong: Vec<Wrong<_>> = vec![
        (ask(vec![]), FIELD, "messages", None),
        (ask(vec![message_ref("c", "m"); 101]), LIMIT, "messages", Some(100)),
        (ask(vec![message_ref("c", "m"), message_ref("c", "")]), FIELD, "messages[1].message_id", None),
        (ask(vec![message_ref(&long(257), "m")]), LIMIT, "messages[0].conversation_id", Some(256)),
        (v1::GetMessageReadReceiptsRequest { user_id: "\0".to_owned(), ..ask(good()) }, FIELD, "user_id", None),
        (with_tokens(texts(&["nonsense"])), TOKEN, "consistency_tokens[0]", None),
        (with_tokens(texts(&[""])), TOKEN, "consistency_tokens[0]", None),
        (with_tokens(damaged), TOKEN, "consistency_tokens[0]", None),
        (with_tokens(vec![token]), TOKEN, "consistency_tokens[0]", None),
        (with_tokens(many(101)), LIMIT, "consistency_tokens", Some(100)),
    ];
    for (request, reason, field, limit) in wrong {
        refused(server.client().get_message_read_receipts(request).await, InvalidArgument, reason, field, limit);
    }
    foreign.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn s26_s28_wrong_questions_for_lists_and_states_are_refused() {
    let server = Server::start().await;
    let list = v1::GetGroupMessageReadMemberListRequest {
        message: Some(message_ref("c", "m")),
        filter: v1::MemberFilter::Read.into(),
        ..Default::default()
    };
    let wrong: Vec<Wrong<v1::GetGroupMessageReadMemberListRequest>> = vec![
        (v1::GetGroupMessageReadMemberListRequest { message: None, ..list.clone() }, FIELD, "message", None),
        (
            v1::GetGroupMessageReadMemberListRequest { message: Some(message_ref("c", "")), ..list.clone() },
            FIELD,
            "message.message_id",
            None,
        ),
        (v1::GetGroupMessageReadMemberListRequest { filter: 0, ..list.clone() }, FIELD, "filter", None),
        (v1::GetGroupMessageReadMemberListRequest { filter: 4, ..list.clone() }, FIELD, "filter", None),
        (v1::GetGroupMessageReadMemberListRequest { filter: -1, ..list.clone() }, FIELD, "filter", None),
        (v1::GetGroupMessageReadMemberListRequest { page_size: 1001, ..list.clone() }, LIMIT, "page_size", Some(1000)),
        (
            v1::GetGroupMessageReadMemberListRequest { page_token: "x".to_owned(), ..list.clone() },
            "INVALID_PAGE_TOKEN",
            "page_token",
            None,
        ),
    ];
    for (request, reason, field, limit) in wrong {
        let answer = server.client().get_group_message_read_member_list(request).await;
        refused(answer, InvalidArgument, reason, field, limit);
    }
    let states = |reader_ids| v1::GetMessageReadStatesRequest {
        reader_ids,
        message: list.message.clone(),
        ..Default::default()
    };
    let wrong: Vec<Wrong<_>> = vec![
        (states(vec![]), FIELD, "reader_ids", None),
        (states(many(101)), LIMIT, "reader_ids", Some(100)),
        (states(texts(&["u", ""])), FIELD, "reader_ids[1]", None),
        (v1::GetMessageReadStatesRequest { message: None, ..states(many(1)) }, FIELD, "message", None),
    ];
    for (request, reason, field, limit) in wrong {
        refused(server.client().get_message_read_states(request).await, InvalidArgument, reason, field, limit);
    }
    server.stop().await;
}

#[tokio::test]
async fn wrong_policies_are_refused() {
    let server = Server::start().await;
    let before = server.ends();
    let policy = |every_group_type, group_types| v1::SetReceiptPolicyRequest {
        policy: Some(v1::ReceiptPolicy { every_group_type, group_types }),
    };
    let wrong: Vec<Wrong<_>> = vec![
        (v1::SetReceiptPolicyRequest { policy: None }, FIELD, "policy", None),
        (policy(true, many(1)), FIELD, "policy.group_types", None),
        (policy(false, many(10_001)), LIMIT, "policy.group_types", Some(10_000)),
        (policy(false, vec![long(129)]), LIMIT, "policy.group_types[0]", Some(128)),
    ];
    for (request, reason, field, limit) in wrong {
        refused(server.admin.clone().set_receipt_policy(request).await, InvalidArgument, reason, field, limit);
    }
    assert_eq!(server.ends(), before);
    server.stop().await;
}
