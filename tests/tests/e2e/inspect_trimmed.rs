//! What `inspect` tells where the log has lost its beginning: what a snapshot holds is right, and what only the lost
//! records would say is said to be unknown.

use std::{fs, path::Path, process::Output};

use receipt_log::{Log, Topic};
use receipt_test_engine as engine;
use receipt_tests::{
    ctl,
    server::{DataDir, Server},
};
use serde_json::{Value, json};

use crate::{
    conversations::FOLD_MAX,
    inspect::{ask, command, list, publish, stopped, text},
    snapshot::Place,
};

const QUESTIONS: [&str; 7] = [
    "message team m1",
    "message team m2",
    "conversation team",
    "conversation late",
    "membership team bob",
    "membership team carol",
    "membership late zoe",
];

/// Takes the records before these offsets away, as an operator or Kafka's retention does.
pub(crate) async fn trim(server: &Server, dir: &DataDir, partition: u32, conversations: u64, reads: u64) {
    let Some(servers) = dir.kafka() else {
        let trimmed = ctl::json(&ctl::run(server, &["log", "trim", "--all", "--json"]).await);
        let before = |topic: Topic| {
            let of_topic = list(&trimmed, "partitions")
                .iter()
                .find(|one| one["topic"] == topic.name() && one["partition"].as_u64() == Some(partition.into()));
            of_topic.unwrap()["trimmed_before"].as_u64()
        };
        let gone = (before(Topic::Conversations), before(Topic::Reads));
        assert_eq!(gone, (Some(conversations), Some(reads)), "{trimmed}");
        return;
    };
    // Beside the server, which is not told.
    let log = Log::open_kafka(engine::kafka_options(servers, &dir.path())).await.unwrap();
    tokio::task::block_in_place(|| {
        log.trim(Topic::Conversations, partition, conversations).unwrap();
        log.trim(Topic::Reads, partition, reads).unwrap();
        log.close().unwrap();
    });
}

/// Exit code, answer and what it said.
async fn told(output: Output) -> (Option<i32>, Value, String) {
    let said = String::from_utf8(output.stderr).unwrap();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no answer: {said}"));
    (output.status.code(), answer, said)
}

async fn live(server: &Server, question: &str) -> (Option<i32>, Value, String) {
    let words: Vec<_> = ["inspect"].into_iter().chain(question.split_whitespace()).chain(["--json"]).collect();
    told(ctl::run(server, &words).await).await
}

async fn alone(question: &str, how: &str) -> (Option<i32>, Value, String) {
    let line = format!("inspect {question} {how} --json");
    told(ctl::start_alone(&line.split_whitespace().collect::<Vec<_>>()).output().await).await
}

fn is_unknown(record: &Value) -> bool {
    *record == json!({ "unknown": true })
}

/// Events in few words, of those whose record is known or not.
fn events(answer: &Value, of_unknown: bool) -> Vec<(&str, &str)> {
    let events = list(answer, "events").iter().filter(|event| is_unknown(&event["record"]) == of_unknown);
    events.map(|event| (event["event"].as_str().unwrap(), event["user"].as_str().unwrap_or_default())).collect()
}

/// A message that was read before the snapshot and after it.
fn is_message(code: Option<i32>, answer: &Value, before: &Value) {
    assert_eq!(answer["now"], before["now"]);
    assert_eq!((&answer["now"]["read_count"], &answer["is_whole"]), (&json!(2), &json!(false)));
    assert_eq!(events(answer, true), [("SENT", ""), ("READ", "bob"), ("LEFT", "carol")], "{answer:#}");
    for name in ["sender_id", "occurred_at", "position", "asks", "audience"] {
        assert_eq!(answer["events"][0][name], before["events"][0][name], "{name}");
    }
    assert_eq!(answer["events"][1]["read_at"], before["events"][1]["read_at"]);
    // What came since is told by records, as before.
    assert_eq!(events(answer, false), [("READ", "dave"), ("LEFT", "bob"), ("RECALLED", "")]);
    assert_eq!(list(answer, "events")[3..], list(before, "events")[3..]);
    assert_eq!(code, Some(1));
    assert!(answer["unknown"][0].as_str().unwrap().starts_with("the records before receipts.conversations 0/"));
}

fn is_conversation(code: Option<i32>, answer: &Value, before: &Value) {
    let mut now = before["now"].clone();
    now["receipts"] = Value::Null;
    assert_eq!((&answer["now"], &answer["read_events"]), (&now, &Value::Null));
    let (since, all) = (list(answer, "events"), list(before, "events"));
    assert!(!since.is_empty() && since.len() < all.len() && all.ends_with(since), "{answer:#}");
    assert_eq!((code, list(answer, "unknown").len()), (Some(1), 1));
}

fn is_membership(code: Option<i32>, answer: &Value, before: &Value) {
    let (stays, all) = (list(answer, "stays"), list(before, "stays"));
    assert_eq!(stays.len(), all.len(), "{answer:#}");
    for (stay, of_all) in stays.iter().zip(all) {
        for name in ["ordinal", "joined_position", "left_position", "left_log_time", "read", "unread"] {
            assert_eq!(stay[name], of_all[name], "{name}: {answer:#}");
        }
        for name in ["joined", "left"] {
            assert!(stay[name] == of_all[name] || is_unknown(&stay[name]), "{name}: {answer:#}");
        }
    }
    assert!(is_unknown(&stays[0]["joined"]) && answer["read_events"].is_null(), "{answer:#}");
    assert_eq!((code, list(answer, "unknown").len()), (Some(1), 1));
}

/// What came into being after the state that is begun with is known whole.
fn is_whole(code: Option<i32>, answer: &Value, before: &Value) {
    for name in ["events", "now", "stays"] {
        assert_eq!(answer[name], before[name], "{name}");
    }
    assert_eq!((code, list(answer, "unknown").len()), (Some(0), 0), "{answer:#}");
}

fn are_right(answers: &[(Option<i32>, Value)], before: &[Value]) {
    for (question, ((code, answer), before)) in QUESTIONS.iter().zip(answers.iter().zip(before)) {
        println!("{question}");
        match *question {
            "message team m1" => is_message(*code, answer, before),
            "conversation team" => is_conversation(*code, answer, before),
            "membership team bob" | "membership team carol" => is_membership(*code, answer, before),
            _ => is_whole(*code, answer, before),
        }
    }
}

/// Something happens before a snapshot, and something after it.
async fn session(server: &Server, url: &str) -> (u64, u64) {
    for line in
        ["group-create team alice bob carol dave --group-type work --version 1", "send team m1 --sender alice --all"]
    {
        assert_eq!(publish(server, line).await, "APPLIED");
    }
    text(server, "read team m1 --user bob --wait").await;
    assert_eq!(publish(server, "members-remove team carol").await, "APPLIED");
    let at = server.folded(FOLD_MAX).await[0].positions.clone();
    let created = ctl::json(&ctl::run(server, &["snapshot", "create", "--json"]).await);
    assert_eq!(created["place"], *url, "{created}");
    text(server, "read team m1 --user dave --wait").await;
    assert_eq!(publish(server, "send team m2 --sender alice --all").await, "APPLIED");
    text(server, "read team m2 --user bob --wait").await;
    for line in [
        "members-remove team bob",
        "members-add team bob",
        "recall team m1",
        "group-create late zoe yan --group-type work",
    ] {
        assert_eq!(publish(server, line).await, "APPLIED");
    }
    server.folded(FOLD_MAX).await;
    (at[0].applied_offset, at[1].applied_offset)
}

async fn all(how: impl AsyncFn(&str) -> (Option<i32>, Value, String)) -> Vec<(Option<i32>, Value)> {
    let mut answers = Vec::new();
    for question in QUESTIONS {
        let (code, answer, _) = how(question).await;
        answers.push((code, answer));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_trim_what_is_told_is_right_or_said_to_be_unknown() {
    let dir = DataDir::new();
    let place = Place::folder(&dir);
    let flags = ["--partitions", "1", "--snapshots", &place.url, "--snapshot-interval", "0s"];
    let server = Server::start(&dir, &flags).await;
    let (conversations, reads) = session(&server, &place.url).await;
    let mut before = Vec::new();
    for question in QUESTIONS {
        before.push(ask(&server, &format!("inspect {question}")).await);
    }
    trim(&server, &dir, 0, conversations, reads).await;

    let answers = all(async |question| live(&server, question).await).await;
    are_right(&answers, &before);
    let began = &answers[0].1["began_with"];
    assert_eq!((&began["conversations_offset"], &began["reads_offset"]), (&conversations.into(), &reads.into()));
    assert!(began["snapshot"].as_str().is_some_and(|name| name.contains("receipts-0")), "{began}");
    in_words(&server).await;
    server.term().await;
    assert!(!dir.path().join("replay").exists(), "nothing is left over");

    let from = format!("{} --from {}", stopped(&dir), place.url);
    let of_stopped = all(async |question| alone(question, &from).await).await;
    assert_eq!(of_stopped, answers, "a stopped one says the same");
    let documented = command(
        "inspect message team m1 --data-dir",
        &[("/var/lib/receiptd", &dir.path().display().to_string()), ("/var/backups/receiptd", &place.url)],
    );
    let documented = documented.strip_prefix("inspect ").unwrap().to_owned();
    let kafka = stopped(&dir).split_once(" --kafka").map(|(_, kafka)| format!("--kafka{kafka}")).unwrap_or_default();
    assert_eq!(alone(&documented, &kafka).await.1, answers[0].1, "{documented}");
    assert!(!dir.path().join("replay").exists(), "nothing is left over");
    without_a_snapshot(&dir, &place, &before).await;
}

/// What people are told.
async fn in_words(server: &Server) {
    let shown = async |question: &str| {
        let words: Vec<_> = ["inspect"].into_iter().chain(question.split_whitespace()).collect();
        let output = ctl::run(server, &words).await;
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text, said) = shown("message team m1").await;
    assert!(text.contains("unknown: the records before") && text.contains("from the snapshot"), "{text}");
    assert!(code == Some(1) && said.contains("not all of this is known"), "{said}");
    let (code, text, _) = shown("message team m9").await;
    assert!(code == Some(1) && text.contains("now: NOT_FOUND"), "{text}");
    assert!(text.contains("unknown: whether there was such a message"), "{text}");
    let (code, text, _) = shown("membership team eve").await;
    assert!(code == Some(1) && !text.contains("never") && text.contains("of earlier stays none is known"), "{text}");
    let (code, _, said) = shown("conversation nobody").await;
    assert!(code == Some(1) && said.contains("named it is unknown"), "{said}");
    let (code, text, _) = shown("conversation team").await;
    assert!(code == Some(1) && !text.contains("never created") && text.contains("read events since then"), "{text}");
}

/// Without one that can be used, the state as it is says what is now; without that, nothing is known.
async fn without_a_snapshot(dir: &DataDir, place: &Place, before: &[Value]) {
    let as_it_is = |(code, answer, _): (Option<i32>, Value, String)| {
        assert_eq!((code, &answer["now"]), (Some(1), &before[0]["now"]), "{answer:#}");
        assert!(answer["began_with"]["snapshot"].is_null(), "{answer:#}");
        assert!(list(&answer, "events").iter().all(|event| is_unknown(&event["record"])), "{answer:#}");
    };
    as_it_is(alone("message team m1", &stopped(dir)).await);
    let server = Server::start(dir, &["--partitions", "1"]).await;
    as_it_is(live(&server, "message team m1").await);
    server.term().await;

    cut_manifests(Path::new(&place.url));
    let from = format!("{} --from {}", stopped(dir), place.url);
    let damaged = alone("message team m1", &from).await;
    assert!(damaged.2.contains("passed over: the snapshot") && damaged.2.contains("is damaged"), "{}", damaged.2);
    as_it_is(damaged);

    fs::remove_dir_all(dir.path().join("receipts")).unwrap();
    for question in QUESTIONS {
        let (code, answer, said) = alone(question, &stopped(dir)).await;
        assert!(code == Some(1) && answer["now"].is_null() && answer["events"].is_null(), "{answer:#}");
        let why = answer["unknown"][0].as_str().unwrap();
        assert!(why.contains("no snapshots were named (--from)") && said.contains("not all of this is known"), "{why}");
    }
    if let Some(servers) = dir.kafka() {
        let how = format!("--kafka {servers} --topic-prefix {}", engine::topic_prefix(&dir.path()));
        let (code, answer, _) = alone("message team m1", &how).await;
        assert!(code == Some(1) && answer["now"].is_null(), "{answer:#}");
    }
}

/// Cuts each manifest below a place in the middle.
pub(crate) fn cut_manifests(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            cut_manifests(&path);
        } else if path.ends_with("manifest.json") {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
}
