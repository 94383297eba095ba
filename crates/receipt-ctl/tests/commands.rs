//! The commands from the shell: requests, answers, errors and exit codes.

#![allow(clippy::expect_used, clippy::panic)]

mod mock;

use std::process::Output;

use receipt_proto::v1::{self, conversation_event::Event, message_sent::Audience};
use serde_json::{Value, json};

use mock::{Mock, Shared};

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn published_events_are_as_given() {
    let log = Shared::default();
    let mock = Mock::start(log.clone(), None);
    let commands: [&[&str]; 5] = [
        &["group-create", "g", "a", "b", "--group-type", "work", "--version", "1"],
        &["members-add", "g", "c", "--version=2", "--occurred-at", "2025-01-31T12:00:00.5Z"],
        &["send", "g", "m1", "--sender", "a", "--only", "b", "--only", "c", "--version", "3"],
        &["recall", "g", "m1", "--version", "4"],
        &["dismiss", "g", "--version", "5"],
    ];
    for command in commands {
        stdout(&mock.ctl(&[&["publish"], command].concat()).await);
    }
    let events = &log.lock().expect("the log").events;
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let kinds: Vec<_> = events.iter().map(|event| event.event.clone().expect("an event")).collect();
    let listed = v1::ListedMembers { member_ids: strings(&["b", "c"]) };
    let sent = v1::MessageSent {
        message_id: "m1".into(),
        sender_id: "a".into(),
        need_read_receipt: true,
        audience: Some(Audience::ListedMembers(listed)),
    };
    let created = v1::GroupCreated { group_type: "work".into(), member_ids: strings(&["a", "b"]) };
    let expected = [
        Event::GroupCreated(created),
        Event::MembersAdded(v1::MembersAdded { member_ids: strings(&["c"]) }),
        Event::MessageSent(sent),
        Event::MessageRecalled(v1::MessageRecalled { message_id: "m1".into() }),
        Event::GroupDismissed(v1::GroupDismissed {}),
    ];
    assert_eq!(kinds, expected);
    let time = prost_types::Timestamp { seconds: 1_738_324_800, nanos: 500_000_000 };
    assert_eq!(events[1].occurred_at, Some(time));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_json_or_tables() {
    let mock = Mock::start(Shared::default(), None);
    let read = json_of(&mock.ctl(&["read", "g", "m1", "m2", "--user", "b", "--wait", "--json"]).await);
    assert_eq!(read["outcomes"][1], json!({ "message_id": "m2", "outcome": "READ" }));
    let mark = json_of(&mock.ctl(&["mark", "g", "--up-to", "m1", "--user", "b", "--wait", "--json"]).await);
    assert_eq!(mark, json!({ "consistency_token": "t", "outcome": "PENDING" }));
    let receipts = json_of(&mock.ctl(&["receipts", "g", "m1", "h", "m2", "--json"]).await);
    assert_eq!(receipts["results"][1]["receipt"]["conversation_id"], "h");
    let one = json_of(&mock.ctl(&["receipts", "-c", "g", "m1", "m2", "m3", "--json"]).await);
    assert_eq!(one["results"][2]["receipt"]["message_id"], "m3");
    let states = json_of(&mock.ctl(&["states", "g", "m1", "b", "--json"]).await);
    assert_eq!(states["states"][0], json!({ "user_id": "b", "state": "UNREAD", "read_at": null }));

    let page = json_of(&mock.ctl(&["members", "g", "m1", "UNREAD", "--json"]).await);
    assert_eq!((page["members"].as_array().map(Vec::len), &page["next_page_token"]), (Some(1), &json!("1")));
    let all = json_of(&mock.ctl(&["members", "g", "m1", "read", "--all", "--json"]).await);
    assert_eq!(all["members"].as_array().map(Vec::len), Some(3));
    assert_eq!(all["is_finished"], true);

    let table = stdout(&mock.ctl(&["receipts", "g", "m1"]).await);
    assert!(table.contains("conversation") && table.contains("| m1"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_one_line_and_exit_codes_tell_whose_they_are() {
    let mock = Mock::start(Shared::default(), None);
    let failed = mock.ctl(&["read", "g", "m1", "--json"]).await;
    assert_eq!(failed.status.code(), Some(1));
    let line = "error: INVALID_ARGUMENT (INVALID_FIELD): user_id must not be empty\n";
    assert_eq!(String::from_utf8_lossy(&failed.stderr), line);
    assert!(failed.stdout.is_empty());

    let usage: [&[&str]; 5] = [
        &["receipts", "g", "m1", "h"],
        &["mark", "g"],
        &["mark", "g", "--time", "yesterday"],
        &["publish", "send", "g", "m1", "--sender", "a", "--all", "--to", "b"],
        &["policy", "set"],
    ];
    for args in usage {
        assert_eq!(mock.ctl(args).await.status.code(), Some(2), "{args:?}");
    }

    let unreachable = mock.ctl(&["receipts", "g", "m1", "--addr", "http://127.0.0.1:9"]).await;
    assert_eq!(unreachable.status.code(), Some(1));
    let line = String::from_utf8_lossy(&unreachable.stderr);
    assert!(line.starts_with("error: UNAVAILABLE: ") && line.lines().count() == 1, "{line}");
    mock.kill().await;
}
