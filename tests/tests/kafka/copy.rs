//! A log moves from the embedded engine to Kafka and back, as docs/operations.md says, and state folds to the same.

use std::{path::PathBuf, time::Duration};

use rdkafka::{
    Message as _,
    consumer::{BaseConsumer, Consumer as _},
};
use receipt_log::{Clock, CopiedRecord, EmbeddedOptions, KafkaOptions, Log, NewRecord, Topic, create_topics};
use receipt_proto::v1::{self, subscribe_message_read_receipts_request::Start};
use receipt_tests::{
    broker::Broker,
    ctl,
    digests::digests,
    document::blocks,
    poll::until,
    server::{DataDir, Server, receiptd_to_its_end},
    session::{counts, something_happens},
    topics,
};
use serde_json::Value;
use tonic::Code;

const PARTITIONS: u32 = 4;
/// Of the data set, the session's group, its message and its read. Ticks come to these.
const RECORDS_MIN: u64 = 90_083 + 3;
const STEP_MAX: Duration = Duration::from_secs(120);

/// A command of the section "Moving to Kafka, and back", with where the test has its logs.
struct Commands {
    servers: String,
    old: PathBuf,
    back: PathBuf,
}

impl Commands {
    /// The one that begins so.
    fn get(&self, beginning: &str) -> Vec<String> {
        let blocks = blocks("docs/operations.md", "sh");
        // Those of the section copy; others make topics elsewhere.
        let lines =
            blocks.iter().filter(|block| block.contains("receiptctl log copy ")).flat_map(|block| block.lines());
        let line = lines.into_iter().find(|line| line.starts_with(&format!("receiptctl {beginning} ")));
        let line = line.unwrap_or_else(|| panic!("docs/operations.md has no `{beginning}`"));
        let word = |word: &str| match word {
            "127.0.0.1:9092" => self.servers.clone(),
            "/var/lib/receiptd" => self.old.display().to_string(),
            "/var/lib/receiptd-back" => self.back.display().to_string(),
            word => word.to_owned(),
        };
        line.split_whitespace().skip(1).map(word).collect()
    }

    fn start(&self, beginning: &str, more: &[&str]) -> ctl::Running {
        let words = self.get(beginning);
        let words = words.iter().map(String::as_str).chain(more.iter().copied()).chain(["--json"]);
        ctl::start_alone(&words.collect::<Vec<_>>())
    }

    async fn run(&self, beginning: &str) -> Value {
        ctl::json(&self.start(beginning, &[]).output().await)
    }

    /// What it says when it fails.
    async fn failure(&self, beginning: &str) -> String {
        let output = self.start(beginning, &[]).output().await;
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// Compared, appended and verified, of all partitions together.
fn sums(copy: &Value) -> [u64; 3] {
    let partitions = copy["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 2 * PARTITIONS as usize, "{copy}");
    ["records_compared", "records_appended", "records_verified"]
        .map(|name| partitions.iter().map(|partition| partition[name].as_u64().unwrap()).sum())
}

/// How many records topics on Kafka have; `None` while the broker has not settled who leads new ones.
fn records(consumer: &BaseConsumer, topics: &[Topic]) -> Option<u64> {
    let places = topics.iter().flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic.name(), partition)));
    let ends = places.map(|(topic, partition)| {
        let partition = i32::try_from(partition).unwrap();
        let (_, end) = consumer.fetch_watermarks(topic, partition, STEP_MAX).ok()?;
        u64::try_from(end).ok()
    });
    ends.sum()
}

const COPIED: [Topic; 2] = [Topic::Conversations, Topic::Reads];

/// So that a copy takes seconds, each append of a chunk waits for a while for more.
const SLOWLY: [&str; 2] = ["--to-kafka-setting", "linger.ms=100"];

/// Copies until the target has so many records.
async fn copy_up_to(commands: &Commands, consumer: &BaseConsumer, wanted: u64) -> ctl::Running {
    let mut copy = commands.start("log copy --from-data-dir", &SLOWLY);
    let there = until("the copy gets there, or ends", STEP_MAX, async || {
        let there = records(consumer, &COPIED).is_some_and(|records| records >= wanted);
        (there || copy.has_ended()).then_some(there)
    });
    if !there.await {
        panic!("the copy has ended: {:?}", copy.output().await);
    }
    copy
}

/// Real conversations and the smallest session; a consistency token and a resume token.
async fn fill(server: &Server, dir: &DataDir) -> (String, String) {
    let (file, state) = (format!("{}/data/college-msg.tsv.gz", env!("CARGO_MANIFEST_DIR")), dir.beside("state.json"));
    let import = ["import", "college-msg", &file, "--state", state.to_str().unwrap(), "--json"];
    let imported = ctl::json(&ctl::run(server, &import).await);
    assert_eq!(imported["events"], 90_083);
    let token = something_happens(server).await;
    server.folded(STEP_MAX).await;
    (token, first_response(server, None).await.resume_token)
}

async fn first_response(server: &Server, start: Option<Start>) -> v1::SubscribeMessageReadReceiptsResponse {
    let request = v1::SubscribeMessageReadReceiptsRequest { user_id: "alice".to_owned(), start };
    let mut stream = server.receipts().subscribe_message_read_receipts(request).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_moves_to_kafka_and_back_and_folds_to_the_same_state() {
    let broker = Broker::start().await;
    let (old, on_kafka, back) = (DataDir::by_flags(), DataDir::by_flags(), DataDir::by_flags());
    let servers = broker.bootstrap();
    let commands = Commands { servers: servers.clone(), old: old.path(), back: back.path() };
    let server = Server::start(&old, &[]).await;
    let (token, resume_token) = fill(&server, &old).await;
    let said = commands.failure("log copy --from-data-dir").await;
    assert!(said.contains("is in use by a receiptd"), "{said}");
    server.term().await;
    let before = digests(&old);
    assert_eq!(before.len(), PARTITIONS as usize);

    let said = commands.failure("log copy --from-data-dir").await;
    let create = format!("receiptctl topics create --kafka {servers} --partitions {PARTITIONS}");
    assert!(said.contains(&create), "{said}");
    commands.run("topics create").await;
    let all = to_kafka(&commands).await;
    assert!(all >= RECORDS_MIN, "{all} records");

    let flags = ["--kafka", servers.as_str()];
    let refused = receiptd_to_its_end(&old, &flags).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("the store was created with log embedded log "), "{said}");
    let server = Server::start(&on_kafka, &flags).await;
    server.folded(STEP_MAX).await;
    tokens_are_of_another_log(&server, &token, resume_token).await;
    server.term().await;
    assert_eq!(digests(&on_kafka), before);

    let here = ["--from-kafka", servers.as_str(), "--to-kafka", servers.as_str(), "--to-topic-prefix", "again."];
    ctl_failure(&[&["log", "copy"], &here[..]].concat(), "the topic again.receipts.conversations does not exist").await;
    let again = KafkaOptions { topic_prefix: "again.".to_owned(), ..KafkaOptions::new(&servers) };
    create_topics(&again, PARTITIONS, 1).await.unwrap();
    let words = [&["log", "copy", "--json"], &here[..]].concat();
    assert_eq!(sums(&ctl::json(&ctl::start_alone(&words).output().await)), [0, all, all]);

    let copied = commands.run("log copy --from-kafka").await;
    assert_eq!(sums(&copied), [0, all, all], "{copied}");
    println!("from Kafka: {} s", copied["seconds"]);
    let server = Server::start(&back, &[]).await;
    server.folded(STEP_MAX).await;
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
    server.term().await;
    assert_eq!(digests(&back), before);
}

/// Copies to Kafka, interrupted by Ctrl-C and by `kill -9`, and verifies: how many records there are.
async fn to_kafka(commands: &Commands) -> u64 {
    let consumer: BaseConsumer = topics::config(&commands.servers).create().unwrap();
    let copy = copy_up_to(commands, &consumer, RECORDS_MIN / 20).await;
    copy.interrupt();
    let output = copy.output().await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("the same command goes on from there"), "{said}");
    let stopped = records(&consumer, &COPIED).unwrap();
    let mut copy = copy_up_to(commands, &consumer, stopped + RECORDS_MIN / 10).await;
    copy.kill_9();
    let killed = records(&consumer, &COPIED).unwrap();
    assert!(stopped < killed && killed < RECORDS_MIN, "{stopped}, {killed}");

    let copied = commands.run("log copy --from-data-dir").await;
    let [compared, appended, verified] = sums(&copied);
    // What was on its way when it was killed may have come after it was counted.
    assert!(compared >= killed && appended > 0 && appended == verified, "{copied}");
    let all = compared + appended;
    println!("to Kafka: stopped at {stopped}, killed at {killed}, {appended} left in {} s", copied["seconds"]);
    let copied = commands.run("log copy --from-data-dir").await;
    assert_eq!(sums(&copied), [all, 0, 0], "{copied}");
    assert_eq!(records(&consumer, &[Topic::Deltas, Topic::DeadLetter]), Some(0), "what follows is not copied");
    all
}

/// S29, S34.
async fn tokens_are_of_another_log(server: &Server, token: &str, resume_token: String) {
    assert_eq!(counts(server, None).await, Ok((1, 1)));
    let request = v1::GetMessageReadReceiptsRequest {
        messages: vec![v1::MessageRef { conversation_id: "team".to_owned(), message_id: "m1".to_owned() }],
        consistency_tokens: vec![token.to_owned()],
        ..Default::default()
    };
    let status = server.receipts().get_message_read_receipts(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let response = first_response(server, Some(Start::ResumeToken(resume_token))).await;
    assert!(response.reset, "{response:?}");
}

/// The words fail, and say so.
async fn ctl_failure(words: &[&str], said: &str) {
    let output = ctl::start_alone(words).output().await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && stderr.contains(said), "{words:?}: {stderr}");
}

/// One partition, on the engine that copies are made from.
fn embedded(dir: &DataDir) -> Log {
    let (dir, clock) = (dir.path().join("log"), Clock::System);
    let options = EmbeddedOptions { dir, partitions: 1, retention_ms: 0, accept_clock_jump: false, clock };
    Log::open_embedded(options).unwrap()
}

fn record(key: Option<&'static str>, value: Option<&'static str>, timestamp_ms: Option<u64>) -> CopiedRecord {
    let headers = vec![("a".to_owned(), "1".into()), ("a".to_owned(), "2".into())];
    let headers = if timestamp_ms == Some(7) { headers } else { Vec::new() };
    CopiedRecord { record: NewRecord { key: key.map(Into::into), value: value.map(Into::into), headers }, timestamp_ms }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_cannot_keep_as_it_is_is_no_difference_and_all_else_is() {
    let broker = Broker::start().await;
    let (source, target) = (DataDir::by_flags(), KafkaOptions::new(broker.bootstrap()));
    create_topics(&target, 1, 1).await.unwrap();
    let append = async |records: Vec<CopiedRecord>| {
        embedded(&source).append_copied(Topic::Reads, 0, records).await.unwrap();
    };
    let (none, some) = (None, Some("x"));
    append(vec![
        record(none, some, None),
        record(some, none, Some(0)),
        record(some, Some(""), Some(7)),
        record(Some(""), some, Some(5)),
    ])
    .await;
    let path = source.path();
    let words = ["log", "copy", "--from-data-dir", path.to_str().unwrap(), "--to-kafka", &target.servers];
    for expected in ["4 records of embedded log", "4 records of embedded log"] {
        let said = ctl::stdout(&ctl::start_alone(&words).output().await);
        assert!(said.contains(expected), "{said}");
    }
    let copied = topics::records(&target.servers, "receipts.reads").await;
    let timestamps: Vec<_> = copied.iter().map(|record| record.timestamp().to_millis()).collect();
    assert_eq!(timestamps, [Some(1), Some(1), Some(7), Some(5)]);

    let ahead_ms = Clock::System.now_ms() + 2 * 3_600_000;
    append(vec![record(some, some, Some(ahead_ms))]).await;
    ctl_failure(&words, "receipts.reads/0: appending offsets 4 to 4 of the source: Kafka takes no records").await;
    ctl_failure(&words, "message.timestamp.after.max.ms higher").await;

    let log = Log::open_kafka(target.clone()).await.unwrap();
    log.append_copied(Topic::Reads, 0, vec![record(some, Some("y"), Some(ahead_ms - 3_600_000 * 3))]).await.unwrap();
    drop(log);
    let differs = "receipts.reads/0: the record at offset 4 of the source and that at offset 4 of the target differ in \
                   their values";
    ctl_failure(&words, differs).await;
}
