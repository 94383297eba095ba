//! receiptctl on a real server: what a person would type, one after the other.

use receipt_tests::{
    ctl,
    server::{DataDir, Server},
};
use serde_json::{Value, json};

/// A server, and receiptctl.
struct Session(Server);

impl Session {
    /// Runs a command line, of words without blanks, with `--json`.
    async fn json(&self, line: &str) -> Value {
        let args: Vec<&str> = line.split_whitespace().chain(["--json"]).collect();
        ctl::json(&ctl::run(&self.0, &args).await)
    }

    /// The same, of an answer that holds an error: the answer is whole, and the exit code is 1.
    async fn json_with_an_error(&self, line: &str) -> Value {
        let args: Vec<&str> = line.split_whitespace().chain(["--json"]).collect();
        let output = ctl::run(&self.0, &args).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(said.starts_with("error: ") && said.lines().count() == 1, "{line}: {said}");
        ctl::answer(&output)
    }

    /// The same for people.
    async fn text(&self, line: &str) -> String {
        let args: Vec<&str> = line.split_whitespace().collect();
        ctl::stdout(&ctl::run(&self.0, &args).await)
    }

    /// What a command that fails says, and its exit code.
    async fn failure(&self, line: &str) -> (String, Option<i32>) {
        let args: Vec<&str> = line.split_whitespace().collect();
        let output = ctl::run(&self.0, &args).await;
        assert!(output.stdout.is_empty(), "{output:?}");
        (String::from_utf8(output.stderr).unwrap(), output.status.code())
    }

    /// What became of an event.
    async fn publish(&self, line: &str) -> Value {
        self.json(&format!("publish {line} --wait")).await["outcomes"][0]["result"].clone()
    }
}

fn users(members: &Value) -> Vec<&str> {
    members["members"].as_array().unwrap().iter().map(|member| member["user_id"].as_str().unwrap()).collect()
}

async fn session() -> (DataDir, Session) {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    (dir, Session(server))
}

/// S1, S3 to S5, S12, S13, S15, S23, S26, S28, S29.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_receiptctl() {
    let (_dir, ctl) = session().await;
    let create = "group-create team alice bob carol dave --group-type work --version 1";
    assert_eq!(ctl.publish(create).await, "APPLIED");
    assert_eq!(ctl.publish(create).await, "REPEATED");
    assert_eq!(ctl.publish("send team m1 --sender alice --all").await, "APPLIED");
    assert_eq!(ctl.publish("send team m2 --sender alice --only bob --only stranger").await, "APPLIED");
    assert_eq!(ctl.publish("send team m3 --sender alice --all --no-receipt").await, "APPLIED");

    let read = ctl.json_with_an_error("read team m1 m2 m3 m4 --user bob --wait").await;
    let outcomes = read["outcomes"].as_array().unwrap().iter().map(|outcome| outcome["outcome"].as_str().unwrap());
    assert_eq!(outcomes.collect::<Vec<_>>(), ["READ", "READ", "NOT_REQUESTED", "PENDING"]);
    let mark = ctl.json("mark team --up-to m3 --user carol").await;
    assert_eq!(mark["outcome"], Value::Null);

    // The token of the mark, which was not waited for.
    let after = format!("--after {}", mark["consistency_token"].as_str().unwrap());
    let receipts = format!("receipts team m1 team m2 team m3 team m9 --user alice {after}");
    let receipts = ctl.json_with_an_error(&receipts).await;
    let results = &receipts["results"];
    let m1 = json!({
        "conversation_id": "team",
        "message_id": "m1",
        "read_count": 2,
        "unread_count": 1,
        "audience_count": 3,
        "read_left_count": 0,
        "kept_until": results[0]["receipt"]["kept_until"],
        "recalled": false,
    });
    assert_eq!(results[0]["receipt"], m1);
    assert!(m1["kept_until"].is_string());
    assert_eq!(results[1]["receipt"]["read_count"], 1);
    assert_eq!((&results[2]["error"], &results[3]["error"]), (&json!("NOT_REQUESTED"), &json!("NOT_FOUND")));
    let others = ctl.json_with_an_error("receipts team m1 --user bob").await;
    assert_eq!(others["results"][0]["error"], "PERMISSION_DENIED");

    let page = ctl.json("members team m1 read --page-size 1").await;
    assert_eq!((users(&page), &page["is_finished"]), (vec!["bob"], &json!(false)));
    let token = page["next_page_token"].as_str().unwrap();
    let page = ctl.json(&format!("members team m1 read --page-size 1 --page-token {token}")).await;
    assert_eq!((users(&page), &page["is_finished"], &page["receipt"]), (vec!["carol"], &json!(true), &m1));
    assert_eq!(users(&ctl.json("members team m1 unread --all").await), ["dave"]);

    assert_eq!(ctl.publish("members-remove team carol dave").await, "APPLIED");
    let states = ctl.json("states team m1 bob carol dave alice eve").await;
    let states = states["states"].as_array().unwrap().iter().map(|state| state["state"].as_str().unwrap());
    assert_eq!(states.collect::<Vec<_>>(), ["READ", "READ", "LEFT_UNREAD", "NOT_IN_AUDIENCE", "NOT_IN_AUDIENCE"]);
    let left = ctl.json("members team m1 read --latest-first").await;
    assert_eq!((users(&left), &left["members"][0]["left"]), (vec!["carol", "bob"], &json!(true)));

    assert_eq!(ctl.publish("recall team m1").await, "APPLIED");
    let text = ctl.text("receipts --conversation team m1").await;
    assert!(text.contains("| team") && text.contains("recalled"), "{text}");
    let text = ctl.text("members team m1 unread").await;
    assert!(text.contains("team m1: 2 read, 0 unread, recalled"), "{text}");
}

/// S19.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_conversation_through_receiptctl() {
    let (_dir, ctl) = session().await;
    for (message, at) in [("m1", "2025-01-31T12:00:00Z"), ("m2", "2025-01-31T12:05:00Z")] {
        let line = format!("send alice-bob {message} --sender alice --to bob --occurred-at {at}");
        assert_eq!(ctl.publish(&line).await, "APPLIED");
    }
    let mark = ctl.json("mark alice-bob --time 2025-01-31T12:01:00Z --user bob --wait").await;
    assert_eq!(mark["outcome"], "READ");
    let receipts = ctl.json("receipts --conversation alice-bob m1 m2 --user alice").await;
    let peer = |n: usize| {
        let receipt = &receipts["results"][n]["receipt"];
        (receipt["peer_id"].clone(), receipt["is_peer_read"].clone(), receipt["peer_read_at"].is_string())
    };
    assert_eq!(peer(0), (json!("bob"), json!(true), true));
    assert_eq!(peer(1), (json!("bob"), json!(false), false));
}

/// S11, and where the partitions stand.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_and_the_partitions_through_receiptctl() {
    let (_dir, ctl) = session().await;
    assert_eq!(ctl.json("policy get").await, json!({ "policy": { "every_group_type": true, "group_types": [] } }));
    let set = ctl.json("policy set work meeting").await;
    assert!(set["consistency_token"].as_str().is_some_and(|token| !token.is_empty()), "{set}");
    for (group, group_type, error) in [("team", "work", Value::Null), ("crowd", "public", json!("NOT_REQUESTED"))] {
        assert_eq!(ctl.publish(&format!("group-create {group} alice bob --group-type {group_type}")).await, "APPLIED");
        assert_eq!(ctl.publish(&format!("send {group} m1 --sender alice --all")).await, "APPLIED");
        let receipts = format!("receipts {group} m1");
        let receipts =
            if error.is_null() { ctl.json(&receipts).await } else { ctl.json_with_an_error(&receipts).await };
        assert_eq!(receipts["results"][0]["error"], error, "{group}");
    }
    let policy = ctl.json("policy get").await;
    let mut types: Vec<_> = policy["policy"]["group_types"].as_array().unwrap().iter().collect();
    types.sort_by_key(|group_type| group_type.as_str());
    assert_eq!(types, [&json!("meeting"), &json!("work")]);

    ctl.0.folded(std::time::Duration::from_secs(10)).await;
    let partitions = ctl.json("partitions").await;
    let partitions = partitions["partitions"].as_array().unwrap().iter();
    let partitions: Vec<_> = partitions.filter(|partition| partition["projection"] == "RECEIPTS").collect();
    assert_eq!(partitions.len(), 4);
    let sum = |what: &str| partitions.iter().map(|partition| partition[what].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("conversations"), sum("messages")), (2, 2));
    for partition in partitions {
        assert_eq!(partition["sealed"], "");
        assert_eq!(
            partition["positions"].as_array().unwrap().iter().map(|at| at["lag"].as_u64()).sum::<Option<u64>>(),
            Some(0)
        );
    }
    let text = ctl.text("partitions").await;
    assert!(text.contains("receipts.conversations") && text.contains("receipts.reads"), "{text}");
}

/// S8, S13, S15, S16, S25: the exit code of each command whose answer may hold an error, and of its like without one.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_an_error_has_exit_code_1() {
    let (_dir, ctl) = session().await;
    assert_eq!(ctl.publish("group-create team alice bob --group-type work --version 1").await, "APPLIED");
    assert_eq!(ctl.publish("send team m1 --sender alice --all").await, "APPLIED");
    assert_eq!(ctl.publish("send team m2 --sender alice --all --no-receipt").await, "APPLIED");
    let cases = [
        ("publish send team m1 --sender alice --all --wait", 0),
        ("publish send team m1 --sender bob --all --wait", 1),
        ("publish send nowhere m1 --sender alice --all --wait", 1),
        ("publish send nowhere m1 --sender alice --all", 0),
        ("read team m1 later --user bob --wait", 0),
        ("read team m2 --user bob --wait", 1),
        ("read team m1 --user alice --wait", 1),
        ("read team m1 --user alice", 0),
        ("mark team --up-to m1 --user bob --wait", 0),
        ("mark team --up-to later --user bob --wait", 0),
        ("receipts team m1", 0),
        ("receipts team m1 team m2", 1),
        ("receipts team m9", 1),
        ("receipts team m1 --user bob", 1),
        ("members team m1 read", 0),
        ("members team m9 read", 1),
        ("states team m1 bob nobody", 0),
        ("states team m9 bob", 1),
        ("policy get", 0),
        ("partitions", 0),
        ("dead-letters list", 0),
        ("dead-letters retry 0/99", 1),
        ("watch --user alice --oldest --count 1", 0),
        ("watch --user alice --from damaged", 1),
    ];
    for (line, code) in cases {
        let args: Vec<&str> = line.split_whitespace().collect();
        let output = ctl::run(&ctl.0, &args).await;
        assert_eq!(output.status.code(), Some(code), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// S8, S13, S25, S26: each error is one line that says what is wrong, and with which exit code.
#[tokio::test(flavor = "multi_thread")]
async fn errors_of_receiptctl_are_readable() {
    let (_dir, ctl) = session().await;
    let rejected = ctl.json_with_an_error("publish send nowhere m1 --sender alice --all --wait").await;
    assert_eq!(rejected["outcomes"][0]["result"], "REJECTED");
    assert!(rejected["outcomes"][0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{rejected}");
    assert_eq!(ctl.publish("group-create team alice bob --group-type work").await, "APPLIED");
    assert_eq!(ctl.publish("send team m1 --sender alice --all").await, "APPLIED");
    assert_eq!(ctl.publish("send team m2 --sender alice --all --no-receipt").await, "APPLIED");

    let many = (0..101).map(|n| format!("m{n}")).collect::<Vec<_>>().join(" ");
    let long = "x".repeat(129);
    let cases = [
        (format!("read team {many} --user bob"), ["INVALID_ARGUMENT (LIMIT_EXCEEDED", "message_ids", "100"]),
        (format!("read team {long} --user bob"), ["INVALID_ARGUMENT (LIMIT_EXCEEDED", "message_ids[0]", "128"]),
        ("read team m1".to_owned(), ["INVALID_ARGUMENT (INVALID_FIELD", "user_id", "user_id"]),
        ("members team m9 read".to_owned(), ["NOT_FOUND (MESSAGE_NOT_FOUND", "", ""]),
        ("members team m2 read".to_owned(), ["FAILED_PRECONDITION (RECEIPT_NOT_REQUESTED", "", ""]),
        ("members team m1 read --user bob".to_owned(), ["PERMISSION_DENIED (NOT_ALLOWED", "", ""]),
        ("members team m1 read --page-size 1001".to_owned(), ["INVALID_ARGUMENT (LIMIT_EXCEEDED", "page_size", "1000"]),
        (
            "members team m1 read --page-token xyz".to_owned(),
            ["INVALID_ARGUMENT (INVALID_PAGE_TOKEN", "page_token", ""],
        ),
        (
            "receipts team m1 --after xyz".to_owned(),
            ["INVALID_ARGUMENT (INVALID_CONSISTENCY_TOKEN", "consistency_tokens[0]", ""],
        ),
        ("mark team --time 2025-01-31T12:00:00Z --user bob".to_owned(), ["INVALID_ARGUMENT", "time", ""]),
    ];
    for (line, parts) in cases {
        let (said, code) = ctl.failure(&line).await;
        assert!(code == Some(1) && said.lines().count() == 1 && said.starts_with("error: "), "{line}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{line}: {said}");
        for part in ["message_ids[0]", "message_ids ", "user_id", "page_size", "page_token", "must not be empty"] {
            assert!(said.matches(part).count() <= 1, "{line} says {part} once: {said}");
        }
    }
    let (said, code) = ctl.failure("members team m1 everybody").await;
    assert!(code == Some(2) && said.contains("read, unread"), "{said}");
    let receipts = ctl.json("receipts team m1").await;
    assert_eq!(receipts["results"][0]["receipt"]["unread_count"], 1, "none of it changed anything");
    assert_eq!(receipts["results"][0]["receipt"]["read_count"], 0);
}
