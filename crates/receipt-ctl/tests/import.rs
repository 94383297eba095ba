//! Imports against a server that fails, goes away and comes back.

#![allow(clippy::expect_used, clippy::panic)]

mod mock;

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{ChildStderr, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use prost::Message as _;
use receipt_ctl::dataset::{self, DataEvent, Kind};
use receipt_proto::v1;
use serde_json::Value;

use mock::{Log, Mock, Shared};

/// How long an import may take to get to where the test waits for it.
const PROGRESS_MAX: Duration = Duration::from_secs(120);

fn file(kind: Kind) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/data/{}.tsv.gz", kind.name()))
}

fn log(identity: &str) -> Shared {
    let identity = identity.to_owned();
    Shared::new(Log { identity, ..Log::default() }.into())
}

async fn import(mock: &Mock, kind: Kind, state: &Path) -> Output {
    let (file, state) = (file(kind), state.to_str().expect("a path"));
    mock.ctl(&["import", kind.name(), file.to_str().expect("a path"), "--json", "--state", state]).await
}

fn answer(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn expected(kind: Kind) -> (Vec<v1::ConversationEvent>, Vec<v1::ReadEvent>) {
    let (mut conversations, mut reads) = (Vec::new(), Vec::new());
    for event in dataset::open(kind, &file(kind)).expect("the file") {
        match event.expect("an event") {
            DataEvent::Conversation(event) => conversations.push(event),
            DataEvent::Read(event) => reads.push(event),
        }
    }
    (conversations, reads)
}

/// Everything arrived: conversation events once and in order, reads at least once.
fn assert_complete(log: &Shared, kind: Kind) {
    let log = log.lock().expect("the log");
    let (conversations, reads) = expected(kind);
    assert!(log.events == conversations);
    let key = |read: &v1::ReadEvent| read.encode_to_vec();
    let (mut got, mut want): (Vec<_>, Vec<_>) = (log.reads.iter().map(key).collect(), reads.iter().map(key).collect());
    got.sort();
    got.dedup();
    want.sort();
    want.dedup();
    assert!(got == want);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_calls_are_sent_again() {
    let (folder, log) = (tempfile::tempdir().expect("a folder"), log("a"));
    log.lock().expect("the log").fail_every = Some(7);
    let mock = Mock::start(log.clone(), None);
    let output = import(&mock, Kind::UbuntuIrc, &folder.path().join("state")).await;
    let answer = answer(&output);
    assert_complete(&log, Kind::UbuntuIrc);
    assert!(answer["retries"].as_u64() > Some(50), "{answer}");
    assert_eq!(answer["consistency_tokens"], serde_json::json!(["a", "a"]));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("UNAVAILABLE: the log is away; retry in 10ms; trying again")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_on_where_it_stopped() {
    let (folder, log) = (tempfile::tempdir().expect("a folder"), log("a"));
    let state = folder.path().join("new/state");
    log.lock().expect("the log").refuse_from = Some(50);
    let mock = Mock::start(log.clone(), None);
    let stopped = import(&mock, Kind::CollegeMsg, &state).await;
    assert_eq!(stopped.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&stopped.stderr);
    assert!(stderr.contains("stopped at event") && stderr.contains("INVALID_ARGUMENT: refused"), "{stderr}");

    log.lock().expect("the log").refuse_from = None;
    let resumed = answer(&import(&mock, Kind::CollegeMsg, &state).await);
    assert_complete(&log, Kind::CollegeMsg);
    let total = resumed["events"].as_u64().expect("a number");
    let at = resumed["resumed_at"].as_u64().expect("a number");
    let sent = ["conversation_events_sent", "read_events_sent"].map(|key| resumed[key].as_u64().expect("a number"));
    assert!(at > 20_000, "{resumed}");
    assert_eq!(at + sent[0] + sent[1], total);

    let again = answer(&import(&mock, Kind::CollegeMsg, &state).await);
    assert_eq!((again["resumed_at"].as_u64(), again["conversation_events_sent"].as_u64()), (Some(total), Some(0)));

    // Another data file: from the beginning, which the versions make harmless.
    let other = answer(&import(&mock, Kind::UbuntuIrc, &state).await);
    assert_eq!(other["resumed_at"].as_u64(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_log_starts_from_the_beginning() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let (first, second) = (log("a"), log("b"));
    let mock = Mock::start(first.clone(), None);
    answer(&import(&mock, Kind::CollegeMsg, &state).await);
    let addr = mock.addr;
    mock.kill().await;

    let mock = Mock::start(second.clone(), Some(addr));
    let output = import(&mock, Kind::CollegeMsg, &state).await;
    assert_eq!(answer(&output)["resumed_at"].as_u64(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("of another log"));
    assert_complete(&second, Kind::CollegeMsg);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_is_survived() {
    let (folder, log) = (tempfile::tempdir().expect("a folder"), log("a"));
    log.lock().expect("the log").delay = Duration::from_millis(5);
    let mut mock = Mock::start(log.clone(), None);
    let state = folder.path().join("state");
    let file = file(Kind::UbuntuIrc);
    let addr = mock.addr;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_receiptctl"));
    command.args(["import", "ubuntu-irc", "--json"]).arg(file).arg("--state").arg(state);
    command.arg("--addr").arg(format!("http://{addr}")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().expect("receiptctl runs");
    let said = lines(running.stderr.take().expect("standard error"));
    for events in [20_000, 120_000] {
        until("the import gets on", || log.lock().expect("the log").events.len() >= events).await;
        mock.kill().await;
        let before = said.lock().expect("the lines").len();
        let noticed = |line: &String| line.contains("trying again");
        until("receiptctl notices", || said.lock().expect("the lines")[before..].iter().any(noticed)).await;
        mock = Mock::start(log.clone(), Some(addr));
    }
    let running = tokio::task::spawn_blocking(move || running.wait_with_output().expect("its output"));
    let answer = answer(&running.await.expect("a thread"));
    assert!(answer["retries"].as_u64() > Some(0), "{answer}");
    assert_complete(&log, Kind::UbuntuIrc);
}

/// What is said there, line by line, as it comes.
fn lines(from: ChildStderr) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let said = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            eprintln!("{line}");
            said.lock().expect("the lines").push(line);
        }
    });
    lines
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PROGRESS_MAX, "not within {} s: {what}", PROGRESS_MAX.as_secs());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
