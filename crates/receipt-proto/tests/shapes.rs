//! A table of wrong shapes: each error names its field, and the limit where there is one (S13, S20, S39).

#![allow(clippy::expect_used, clippy::panic)]

use prost_types::Timestamp;
use receipt_domain::event::{Change, Event};
use receipt_proto::{
    InvalidField, conversation_event, read_event,
    v1::{self, conversation_event::Event as Kind, message_sent::Audience, read_event::Target},
};

fn in_conversation(kind: Kind) -> v1::ConversationEvent {
    v1::ConversationEvent { conversation_id: "c".into(), event: Some(kind), ..Default::default() }
}

fn of_partition(kind: Kind) -> v1::ConversationEvent {
    v1::ConversationEvent { event: Some(kind), ..Default::default() }
}

fn sent(message: &str, sender: &str, audience: Option<Audience>) -> v1::ConversationEvent {
    in_conversation(Kind::MessageSent(v1::MessageSent {
        message_id: message.into(),
        sender_id: sender.into(),
        need_read_receipt: true,
        audience,
    }))
}

fn all() -> Option<Audience> {
    Some(Audience::AllMembers(v1::AllMembers {}))
}

fn policy(every_group_type: bool, group_types: Vec<String>) -> v1::ConversationEvent {
    let policy = Some(v1::ReceiptPolicy { every_group_type, group_types });
    of_partition(Kind::PolicyChanged(v1::PolicyChanged { policy }))
}

fn users(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("u{i}")).collect()
}

fn created(group_type: &str, member_ids: Vec<String>) -> v1::ConversationEvent {
    in_conversation(Kind::GroupCreated(v1::GroupCreated { group_type: group_type.into(), member_ids }))
}

fn added(member_ids: Vec<String>) -> v1::ConversationEvent {
    in_conversation(Kind::MembersAdded(v1::MembersAdded { member_ids }))
}

fn removed(member_ids: Vec<String>) -> v1::ConversationEvent {
    in_conversation(Kind::MembersRemoved(v1::MembersRemoved { member_ids }))
}

fn listed(member_ids: Vec<String>) -> v1::ConversationEvent {
    sent("m", "u", Some(Audience::ListedMembers(v1::ListedMembers { member_ids })))
}

fn at(event: v1::ConversationEvent, seconds: i64, nanos: i32) -> v1::ConversationEvent {
    v1::ConversationEvent { occurred_at: Some(Timestamp { seconds, nanos }), ..event }
}

fn named(conversation: &str, event: v1::ConversationEvent) -> v1::ConversationEvent {
    v1::ConversationEvent { conversation_id: conversation.into(), ..event }
}

/// Field, part of the problem, and whether a limit was exceeded.
type Expected = (&'static str, &'static str, bool);

fn check<T: std::fmt::Debug>(shown: &str, got: Result<T, InvalidField>, (field, problem, limit): Expected) {
    let error = got.expect_err(shown);
    assert_eq!(error.field, field, "{shown}: {error}");
    assert!(error.problem.contains(problem), "{shown}: {error}");
    assert_eq!(error.limit, limit, "{shown}: {error}");
    assert!(error.to_string().starts_with(field) && error.to_string().contains(problem));
}

#[test]
fn s39_ids_of_conversation_events() {
    let long = "x".repeat(129);
    let tick = || of_partition(Kind::Tick(v1::Tick {}));
    let bare_policy = of_partition(Kind::PolicyChanged(v1::PolicyChanged { policy: None }));
    let recalled = in_conversation(Kind::MessageRecalled(v1::MessageRecalled { message_id: "a\u{7}".into() }));
    let peer = |peer: &str| sent("m", "u", Some(Audience::PeerId(peer.into())));
    let one_bad = |bad: &str| vec!["u".to_owned(), "v".to_owned(), bad.to_owned()];
    let table: Vec<(v1::ConversationEvent, Expected)> = vec![
        (named("", sent("m", "u", all())), ("conversation_id", "must not be empty", false)),
        (named(&"x".repeat(257), sent("m", "u", all())), ("conversation_id", "257 bytes, at most 256", true)),
        (named("a\nb", sent("m", "u", all())), ("conversation_id", "U+000A", false)),
        (sent("", "u", all()), ("message_sent.message_id", "must not be empty", false)),
        (sent(&long, "u", all()), ("message_sent.message_id", "129 bytes, at most 128", true)),
        (sent("m", "", all()), ("message_sent.sender_id", "must not be empty", false)),
        (sent("m", &long, all()), ("message_sent.sender_id", "129 bytes, at most 128", true)),
        (sent("m", "u", None), ("message_sent.audience", "must be given", false)),
        (peer(""), ("message_sent.peer_id", "must not be empty", false)),
        (peer("\0"), ("message_sent.peer_id", "U+0000", false)),
        (peer(&long), ("message_sent.peer_id", "129 bytes, at most 128", true)),
        (listed(one_bad("")), ("message_sent.listed_members.member_ids[2]", "must not be empty", false)),
        (recalled, ("message_recalled.message_id", "U+0007", false)),
        (created("", vec![]), ("group_created.group_type", "must not be empty", false)),
        (created(&long, vec![]), ("group_created.group_type", "129 bytes, at most 128", true)),
        (created("work", one_bad(&long)), ("group_created.member_ids[2]", "at most 128", true)),
        (added(one_bad("")), ("members_added.member_ids[2]", "must not be empty", false)),
        (removed(one_bad("\u{85}")), ("members_removed.member_ids[2]", "U+0085", false)),
        (named("c", tick()), ("conversation_id", "must be empty in a tick event", false)),
        (named("c", policy(true, vec![])), ("conversation_id", "must be empty in a policy_changed event", false)),
        (bare_policy, ("policy_changed.policy", "must be given", false)),
        (policy(true, vec!["work".into()]), ("policy_changed.policy.group_types", "must be empty where", false)),
        (policy(false, vec!["".into()]), ("policy_changed.policy.group_types[0]", "must not be empty", false)),
        (
            v1::ConversationEvent { conversation_id: "c".into(), ..Default::default() },
            ("event", "must be given", false),
        ),
    ];
    for (event, expected) in table {
        check(&format!("{event:?}"), conversation_event(event), expected);
    }
}

#[test]
fn s39_lists_of_conversation_events() {
    let full: Vec<(v1::ConversationEvent, &str)> = vec![
        (created("work", users(10_000)), "group_created.member_ids"),
        (added(users(10_000)), "members_added.member_ids"),
        (removed(users(10_000)), "members_removed.member_ids"),
        (listed(users(10_000)), "message_sent.listed_members.member_ids"),
        (policy(false, users(10_000)), "policy_changed.policy.group_types"),
    ];
    for (event, field) in full {
        conversation_event(event.clone()).expect(field);
        let error = conversation_event(with_one_more(event)).expect_err(field);
        assert_eq!(error.field, field);
        assert_eq!(error.problem, "has 10001 entries, at most 10000 are allowed");
        assert!(error.limit);
    }
    for empty in [created("work", vec![]), added(vec![]), removed(vec![]), listed(vec![]), policy(false, vec![])] {
        conversation_event(empty).expect("empty lists change nothing, and are allowed");
    }
}

fn with_one_more(mut event: v1::ConversationEvent) -> v1::ConversationEvent {
    let list = match event.event.as_mut().expect("an event") {
        Kind::GroupCreated(e) => &mut e.member_ids,
        Kind::MembersAdded(e) => &mut e.member_ids,
        Kind::MembersRemoved(e) => &mut e.member_ids,
        Kind::PolicyChanged(e) => &mut e.policy.as_mut().expect("a policy").group_types,
        Kind::MessageSent(v1::MessageSent { audience: Some(Audience::ListedMembers(listed)), .. }) => {
            &mut listed.member_ids
        }
        other => panic!("no list in {other:?}"),
    };
    list.push("one more".into());
    event
}

#[test]
fn s20_times_of_conversation_events() {
    let event = || sent("m", "u", all());
    for (seconds, nanos, problem) in [
        (-1, 0, "is before 1970"),
        (253_402_300_800, 0, "is after 9999"),
        (0, -1, "has -1 nanos"),
        (0, 1_000_000_000, "which must be 0 to 999999999"),
    ] {
        check("time", conversation_event(at(event(), seconds, nanos)), ("occurred_at", problem, false));
    }
    let Ok(Event::Conversation(taken)) = conversation_event(at(event(), 5, 6_999_999)) else {
        panic!("a valid event");
    };
    assert_eq!(taken.occurred_at_ms, Some(5006), "rounded down");
    assert!(matches!(taken.change, Change::MessageSent { need_read_receipt: true, .. }));
}

fn read(conversation: &str, reader: &str, target: Option<Target>) -> v1::ReadEvent {
    v1::ReadEvent { conversation_id: conversation.into(), reader_id: reader.into(), read_at: None, target }
}

fn messages(message_ids: Vec<String>) -> Option<Target> {
    Some(Target::Messages(v1::MessageIds { message_ids }))
}

#[test]
fn s13_s20_s39_read_events() {
    let long = "x".repeat(129);
    let one = || messages(vec!["m".into()]);
    let time = |seconds, nanos| Timestamp { seconds, nanos };
    let read_at = |t| v1::ReadEvent { read_at: Some(t), ..read("c", "u", one()) };
    let up_to = |id: &str| read("c", "u", Some(Target::UpToMessageId(id.into())));
    let table: Vec<(v1::ReadEvent, Expected)> = vec![
        (read("", "u", one()), ("conversation_id", "must not be empty", false)),
        (read(&"x".repeat(257), "u", one()), ("conversation_id", "at most 256", true)),
        (read("c", "", one()), ("reader_id", "must not be empty", false)),
        (read("c", &long, one()), ("reader_id", "129 bytes, at most 128", true)),
        (read("c", "u", None), ("target", "must be given", false)),
        (read("c", "u", messages(vec![])), ("messages.message_ids", "1 to 100", false)),
        (read("c", "u", messages(users(101))), ("messages.message_ids", "101 entries, at most 100", true)),
        (read("c", "u", messages(vec!["m".into(), "".into()])), ("messages.message_ids[1]", "not be empty", false)),
        (read("c", "u", messages(vec![long.clone()])), ("messages.message_ids[0]", "at most 128", true)),
        (up_to(""), ("up_to_message_id", "must not be empty", false)),
        (up_to(&long), ("up_to_message_id", "at most 128", true)),
        (read("c", "u", Some(Target::UpToTime(time(-1, 0)))), ("up_to_time", "is before 1970", false)),
        (read("c", "u", Some(Target::UpToTime(time(0, -1)))), ("up_to_time", "has -1 nanos", false)),
        (read_at(time(-5, 0)), ("read_at", "is before 1970", false)),
        (read_at(time(253_402_300_800, 0)), ("read_at", "is after 9999", false)),
    ];
    for (event, expected) in table {
        check(&format!("{event:?}"), read_event(event), expected);
    }
    read_event(read("c", "u", messages(users(100)))).expect("100 messages");
    let same = read_event(read("c", "u", messages(vec!["m".into(); 101]))).expect_err("the same id counts each time");
    assert!(same.limit);
}

#[test]
fn paths_are_nested() {
    let error = conversation_event(sent("", "u", all())).expect_err("an empty id").within("events[3]");
    assert_eq!(error.to_string(), "events[3].message_sent.message_id must not be empty");
}
