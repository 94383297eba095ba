//! S42: a log whose arrivals are ahead of the clock, how it does not come about, and the way back that
//! docs/operations.md has. On the embedded log: on Kafka an arrival does not move those after it.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use prost::Message as _;
use receipt_log::{Clock, EmbeddedOptions, Log, NewRecord, Topic};
use receipt_proto::v1;
use receipt_tests::{
    ctl,
    document::blocks,
    events,
    poll::until,
    port::lasting,
    random::Random,
    server::{DataDir, Server},
    session::{counts, reason, something_happens},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Code;

const DAY_MS: u64 = 24 * 3_600_000;
const SOON: Duration = Duration::from_secs(30);

/// A data directory whose log has a group and a message that arrived so far ahead of the clock.
async fn ahead(by_ms: u64) -> DataDir {
    let dir = DataDir::by_flags();
    let (clock, _) = Clock::manual(Clock::System.now_ms() + by_ms);
    let options = EmbeddedOptions {
        dir: dir.path().join("log"),
        partitions: 4,
        retention_ms: 0,
        accept_clock_jump: false,
        clock,
    };
    let log = Log::open_embedded(options).unwrap();
    let happened =
        [events::group_created("team", "work", &["alice", "bob", "carol"]), events::sent_to_all("team", "m1", "alice")];
    let records = happened.map(|event| NewRecord::new("team", event.encode_to_vec()));
    log.append(Topic::Conversations, log.partition_for(b"team"), records.to_vec()).await.unwrap();
    log.close().unwrap();
    dir
}

async fn run(words: &[&str]) -> (Option<i32>, String) {
    let output = ctl::start_alone(words).output().await;
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The commands of the document, with a test's file and directories.
fn way_back(file: &Path, dir: &DataDir, mended: &DataDir) -> Vec<Vec<String>> {
    let blocks = blocks("docs/operations.md", "sh");
    let block = blocks.iter().find(|block| block.contains("--timestamps-not-after")).expect("the way back");
    let path = |path: &Path| path.display().to_string();
    let word = |word: &str| match word {
        "ahead.pb" => path(file),
        "/var/lib/receiptd" => path(&dir.path()),
        "/var/lib/receiptd-mended" => path(&mended.path()),
        word => word.to_owned(),
    };
    block.lines().map(|line| line.split_whitespace().skip(1).map(word).collect()).collect()
}

/// What a server says in its metrics.
async fn ahead_of_clock_seconds(metrics: SocketAddr) -> Option<f64> {
    let mut stream = TcpStream::connect(metrics).await.ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    text.lines().find_map(|line| line.strip_prefix("receiptd_log_ahead_of_clock_seconds "))?.parse().ok()
}

fn send(message: &str) -> v1::PublishConversationEventsRequest {
    v1::PublishConversationEventsRequest { events: vec![events::sent_to_all("team", message, "alice")], wait: true }
}

#[tokio::test(flavor = "multi_thread")]
async fn s42_a_log_far_ahead_takes_no_appends_and_has_a_way_back() {
    let dir = ahead(20 * DAY_MS).await;
    let metrics = lasting(&mut Random::new(1));
    let listen = metrics.to_string();
    let server = Server::start(&dir, &["--metrics-listen", &listen]).await;
    assert_eq!(counts(&server, None).await, Ok((0, 2)), "what is there is answered");
    let refused = server.receipts().publish_conversation_events(send("m2")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "LOG_UNAVAILABLE"), "{refused:?}");
    let seconds = until("the metric says how far", SOON, async || ahead_of_clock_seconds(metrics).await).await;
    assert!((19.9 * 86_400.0..=20.0 * 86_400.0).contains(&seconds), "{seconds}");
    server.term().await;
    let logged = fs::read_to_string(dir.path().with_extension("stderr")).unwrap();
    assert!(logged.contains("arrived ahead of the clock") && logged.contains("19 d 23 h"), "{logged}");
    assert!(logged.contains("--timestamps-not-after"), "the refusal says the way back: {logged}");

    let copy = DataDir::by_flags();
    let (from, to) = (dir.path().display().to_string(), copy.path().display().to_string());
    let (code, said) = run(&["log", "copy", "--from-data-dir", &from, "--to-data-dir", &to]).await;
    assert!(code == Some(1) && said.contains("the record at offset 0 has the timestamp"), "{said}");
    let log = Log::open_embedded_existing(&copy.path().join("log")).unwrap();
    assert!((0..4).all(|partition| log.end_offset(Topic::Conversations, partition) == 0), "nothing was copied");
    drop(log);

    let mended = DataDir::by_flags();
    for words in way_back(&dir.beside("ahead.pb"), &dir, &mended) {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let (code, said) = run(&words).await;
        assert_eq!(code, Some(0), "{words:?}: {said}");
        assert_eq!(said.contains("warning: "), words[1] == "export", "{said}");
    }
    let server = Server::start(&mended, &["--metrics-listen", &listen]).await;
    server.receipts().publish_conversation_events(send("m2")).await.unwrap();
    something_happens(&server).await;
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
    until("the log is not ahead", SOON, async || {
        ahead_of_clock_seconds(metrics).await.filter(|seconds| *seconds == 0.0)
    })
    .await;
    server.term().await;

    let server = Server::start(&dir, &["--accept-clock-jump"]).await;
    server.receipts().publish_conversation_events(send("m2")).await.unwrap();
    server.term().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s42_a_log_hours_ahead_goes_on_and_says_so() {
    let dir = ahead(DAY_MS / 2).await;
    let metrics = lasting(&mut Random::new(2));
    let server = Server::start(&dir, &["--metrics-listen", &metrics.to_string()]).await;
    server.receipts().publish_conversation_events(send("m2")).await.unwrap();
    let seconds = until("the metric says how far", SOON, async || ahead_of_clock_seconds(metrics).await).await;
    assert!((43_000.0..=43_200.0).contains(&seconds), "{seconds}");
    server.term().await;
    let logged = fs::read_to_string(dir.path().with_extension("stderr")).unwrap();
    assert!(logged.contains("arrived ahead of the clock") && logged.contains("11 h 59 min"), "{logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s42_an_import_names_the_record_that_is_far_ahead_and_writes_nothing() {
    let dir = DataDir::by_flags();
    let server = Server::start(&dir, &[]).await;
    something_happens(&server).await;
    server.term().await;
    let (from, file) = (dir.path().display().to_string(), dir.beside("log.jsonl"));
    let exported = run(&["log", "export", &file.display().to_string(), "--data-dir", &from]).await;
    assert_eq!(exported.0, Some(0), "{exported:?}");
    let text = fs::read_to_string(&file).unwrap();
    let read = text.lines().find(|line| line.contains("receipts.reads") && line.contains("\"offset\":0")).unwrap();
    let (before, rest) = read.split_once("\"timestamp_ms\":").unwrap();
    let (_, after) = rest.split_once(',').unwrap();
    let bad = format!("{before}\"timestamp_ms\":{},{after}", u64::MAX);
    fs::write(&file, text.replace(read, &bad)).unwrap();

    let (copy, file) = (DataDir::by_flags(), file.display().to_string());
    let to = copy.path().display().to_string();
    let import = ["log", "import", &file, "--edited", "--data-dir", &to];
    let (code, said) = run(&import).await;
    assert_eq!(code, Some(1), "{said}");
    for part in ["line ", "receipts.reads/", "the record at offset 0 has the timestamp 18446744073709551615"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!copy.path().exists(), "nothing was made");
    let (code, said) = run(&[&import[..], &["--timestamps-not-after", "now"]].concat()).await;
    assert_eq!(code, Some(0), "{said}");
    let server = Server::start(&copy, &[]).await;
    server.receipts().publish_conversation_events(send("m2")).await.unwrap();
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
}
