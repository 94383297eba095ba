//! Dead letters through receiptctl: what was refused is seen, mended and tried again.

use std::time::Duration;

use receipt_tests::{
    ctl,
    server::{DataDir, Server},
};
use serde_json::{Value, json};

const FOLDED_MAX: Duration = Duration::from_secs(60);

async fn json(server: &Server, line: &str) -> Value {
    let args: Vec<&str> = line.split_whitespace().chain(["--json"]).collect();
    ctl::json(&ctl::run(server, &args).await)
}

async fn text(server: &Server, line: &str) -> String {
    ctl::stdout(&ctl::run(server, &line.split_whitespace().collect::<Vec<_>>()).await)
}

async fn publish(server: &Server, line: &str) -> Value {
    let line = format!("publish {line} --wait --json");
    let output = ctl::run(server, &line.split_whitespace().collect::<Vec<_>>()).await;
    ctl::answer(&output)["outcomes"][0]["result"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn r8_a_refused_event_is_listed_with_its_reason_and_applied_once_its_cause_is_mended() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    let none = json(&server, "dead-letters list").await;
    assert_eq!(none, json!({ "dead_letters": [], "is_finished": true, "next_page_token": "" }));
    assert_eq!(publish(&server, "send team m1 --sender alice --all --version 2").await, "REJECTED");
    assert_eq!(publish(&server, "send other m1 --sender alice --all").await, "REJECTED");

    let list = json(&server, "dead-letters list").await;
    let letters = list["dead_letters"].as_array().unwrap();
    assert_eq!(letters.len(), 2);
    let letter = letters.iter().find(|letter| letter["key"] == "team").unwrap();
    assert_eq!(letter["reason"], "S8: the group was never created");
    assert_eq!(letter["source_topic"], "receipts.conversations");
    assert_eq!(letter["source_partition"], letter["partition"]);
    let place = letter["dead_letter"].as_str().unwrap();
    let shown = text(&server, "dead-letters list --all --newest-first").await;
    assert!(shown.contains(place) && shown.contains("the group was never created"), "{shown}");
    let shown = json(&server, &format!("dead-letters show {place}")).await;
    let sent = &shown["event"]["event"]["message_sent"];
    assert_eq!((&sent["message_id"], &sent["audience"]), (&json!("m1"), &json!({ "all_members": {} })));
    assert_eq!(shown["value_hex"].as_str().map(|hex| hex.len() as u64 / 2), shown["value_bytes"].as_u64());
    let shown = text(&server, &format!("dead-letters show {place}")).await;
    assert!(shown.contains("reason: S8") && shown.contains("\"sender_id\": \"alice\""), "{shown}");

    // What is still wrong is refused again.
    let again = json(&server, &format!("dead-letters retry {place}")).await;
    assert_eq!(again["retried"][0]["dead_letter"], place);
    server.folded(FOLDED_MAX).await;
    let list = json(&server, "dead-letters list --all").await;
    assert_eq!(list["dead_letters"].as_array().map(Vec::len), Some(3));

    assert_eq!(publish(&server, "group-create team alice bob --group-type work --version 1").await, "APPLIED");
    let retried = json(&server, &format!("dead-letters retry {place}")).await;
    assert_eq!(retried["retried"][0]["partition"], letter["partition"]);
    let token = retried["consistency_token"].as_str().unwrap();
    let receipts = json(&server, &format!("receipts team m1 --after {token}")).await;
    assert_eq!(receipts["results"][0]["receipt"]["unread_count"], 1);
    let line = text(&server, &format!("dead-letters retry {place}")).await;
    assert!(line.contains(place) && line.contains("receipts.conversations"), "{line}");

    // They stay, also for the next process; the last retry was a repeat.
    server.folded(FOLDED_MAX).await;
    server.term().await;
    let server = Server::start(&dir, &[]).await;
    assert_eq!(json(&server, "dead-letters list --all --page-size 1").await["dead_letters"], list["dead_letters"]);
    let missing = ctl::run(&server, &["dead-letters", "retry", place, "0/999"]).await;
    assert_eq!(missing.status.code(), Some(1));
    let said = String::from_utf8_lossy(&missing.stderr);
    assert!(said.starts_with("error: NOT_FOUND (DEAD_LETTER_NOT_FOUND): ") && said.contains("0/999"), "{said}");
    assert_eq!(ctl::run(&server, &["dead-letters", "show", "999"]).await.status.code(), Some(2));
}
