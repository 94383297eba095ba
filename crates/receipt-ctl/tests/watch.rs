//! `receiptctl watch` against a server that fails, goes away and comes back.

#![allow(clippy::expect_used, clippy::panic)]

mod mock;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
};

use receipt_proto::v1::{
    self, SubscribeMessageReadReceiptsResponse as Told, receipt_delta::Change,
    subscribe_message_read_receipts_request::Start,
};
use serde_json::{Value, json};
use tonic::Status;

use mock::{Mock, Shared};

fn told(token: &str, deltas: Vec<v1::ReceiptDelta>) -> Result<Told, Status> {
    Ok(Told { deltas, resume_token: token.into(), reset: false })
}

fn delta(read_count: u32, reader: &str) -> v1::ReceiptDelta {
    let receipt = v1::MessageReceipt {
        conversation_id: "team".into(),
        message_id: "m1".into(),
        read_count,
        unread_count: 9 - read_count,
        ..Default::default()
    };
    v1::ReceiptDelta {
        sender_id: "alice".into(),
        change: Some(Change::Receipt(receipt)),
        new_readers: vec![v1::Reader { user_id: reader.into(), read_at: None }],
        more_readers: false,
        consistency_token: "c".into(),
    }
}

/// A watch that runs.
struct Watch {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Watch {
    fn start(mock: &Mock, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_receiptctl"))
            .args(["watch", "--user", "alice"])
            .args(args)
            .env("RECEIPTCTL_ADDR", format!("http://{}", mock.addr))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("receiptctl runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        Self { child, stdout, stderr }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("JSON")
    }

    /// Standard error to its end, and the exit code.
    fn end(mut self) -> (String, Option<i32>) {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("UTF-8");
        (said, self.child.wait().expect("it ends").code())
    }
}

fn starts(log: &Shared) -> Vec<Option<Start>> {
    log.lock().expect("the log").subscriptions.iter().map(|request| request.start.clone()).collect()
}

fn resume(token: &str) -> Option<Start> {
    Some(Start::ResumeToken(token.into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_stream_goes_on_from_the_last_token() {
    let log = Shared::default();
    let reset = Ok(Told { resume_token: "t4".into(), reset: true, ..Default::default() });
    log.lock().expect("the log").streams = [
        vec![told("t1", vec![]), told("t2", vec![delta(1, "bob")])],
        vec![told("t3", vec![delta(2, "carol")]), Err(Status::unavailable("stopping"))],
        vec![reset, told("t5", vec![delta(3, "dave")])],
    ]
    .into();
    let mock = Mock::start(log.clone(), None);
    let mut watch = Watch::start(&mock, &["--oldest", "--json", "--count", "3"]);
    assert_eq!(
        (watch.json()["resume_token"].clone(), watch.json()["resume_token"].clone()),
        (json!("t1"), json!("t2"))
    );

    // The connection drops.
    let addr = mock.addr;
    mock.kill().await;
    let _mock = Mock::start(log.clone(), Some(addr));
    let carol = watch.json();
    assert_eq!(carol["deltas"][0]["receipt"]["read_count"], 2);
    assert_eq!(carol["deltas"][0]["new_readers"], json!([{ "user_id": "carol", "read_at": null }]));
    assert_eq!(watch.json()["reset"], true);
    assert_eq!(watch.json()["resume_token"], "t5");
    let (said, code) = watch.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(starts(&log), [Some(Start::Oldest(v1::Oldest {})), resume("t2"), resume("t3")]);
    let expected = ["subscribed", "lost: ", "going on from the last token", "UNAVAILABLE: stopping; trying", "reset: "];
    assert!(expected.iter().all(|part| said.contains(part)), "{said}");
    assert!(said.ends_with("resume token: t5\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_it_with_the_last_token() {
    let log = Shared::default();
    log.lock().expect("the log").streams = [vec![told("t1", vec![delta(1, "bob"), delta(2, "carol")])]].into();
    let mock = Mock::start(log.clone(), None);
    let mut watch = Watch::start(&mock, &["--from", "t0"]);
    let (bob, carol) = (watch.line(), watch.line());
    assert!(bob.ends_with("Z  team m1: 1 read, 8 unread; new: bob\n"), "{bob}");
    assert!(carol.ends_with("Z  team m1: 2 read, 7 unread; new: carol\n"), "{carol}");
    let interrupt = Command::new("sh").args(["-c", &format!("kill -INT {}", watch.child.id())]).status();
    assert!(interrupt.expect("sh runs").success());
    assert_eq!(watch.end(), ("subscribed\nresume token: t1\n".to_owned(), Some(0)));
    assert_eq!(starts(&log), [resume("t0")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_by_itself_or_at_an_error_that_stays() {
    let log = Shared::default();
    log.lock().expect("the log").streams =
        [vec![told("t1", vec![])], vec![Err(Status::invalid_argument("a damaged token"))]].into();
    let mock = Mock::start(log.clone(), None);
    let (said, code) = Watch::start(&mock, &["--for", "300ms"]).end();
    assert_eq!((said.as_str(), code), ("subscribed\nresume token: t1\n", Some(0)));
    let (said, code) = Watch::start(&mock, &["--from", "x"]).end();
    assert_eq!(code, Some(1));
    assert!(said.contains("error: INVALID_ARGUMENT: a damaged token"), "{said}");
    let usage = mock.ctl(&["watch", "--user", "a", "--oldest", "--from", "t"]).await;
    assert_eq!(usage.status.code(), Some(2));
}
