//! The state is proved by its log, and folded anew from it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use prost::Message as _;
use receipt_codec::{key::Kind as Row, row::message};
use receipt_ctl::dataset::Kind;
use receipt_domain::readers::Readers;
use receipt_log::{Log, NewRecord, Topic};
use receipt_proto::v1::{
    self, read_event::Target, receipt_delta::Change, subscribe_message_read_receipts_request::Start,
};
use receipt_test_engine as engine;
use receipt_tests::{
    ctl,
    digests::digests,
    document::blocks,
    events,
    poll::until,
    server::{DataDir, Server, receiptd_to_its_end},
    session::{counts, something_happens},
};
use rocksdb::{DB, Direction, IteratorMode, Options};
use serde_json::Value;
use tonic::Streaming;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{conversations::FOLD_MAX, import};

/// The command that changes the retention.
const RETENTION: &str = "rebuild --data-dir /var/lib/receiptd --retention 7d";
/// How long until a sender is told.
const TOLD_MAX: Duration = Duration::from_secs(30);
/// How long a rebuild may take until it is where it is to be interrupted.
const INTERRUPT_MAX: Duration = Duration::from_secs(120);

/// Starts a command of docs/operations.md on the state of a receiptd that is stopped, with `--json`.
fn start(dir: &DataDir, beginning: &str, more: &[&str]) -> ctl::Running {
    let line = documented(beginning, true);
    let (path, prefix, kafka) = (dir.path(), engine::topic_prefix(&dir.path()), dir.kafka());
    let path = path.to_str().unwrap();
    let words = line.split_whitespace().skip(1);
    let mut args: Vec<&str> = words.map(|word| if word == "/var/lib/receiptd" { path } else { word }).collect();
    args.push("--json");
    if let Some(servers) = &kafka {
        args.extend(["--kafka", servers, "--topic-prefix", &prefix]);
    }
    args.extend(more);
    ctl::start_alone(&args)
}

/// A command of docs/operations.md that begins so, for a receiptd that is stopped or for one that serves.
fn documented(beginning: &str, stopped: bool) -> String {
    let blocks = blocks("docs/operations.md", "sh").concat();
    let mut lines = blocks.lines().filter(|line| line.starts_with(&format!("receiptctl replay {beginning}")));
    let line = lines.find(|line| line.contains("--data-dir") == stopped);
    line.unwrap_or_else(|| panic!("docs/operations.md has no `{beginning}`")).to_owned()
}

/// Runs a command of docs/operations.md on a receiptd that serves, with `--json`.
async fn live(server: &Server, beginning: &str, more: &[&str]) -> Output {
    let line = documented(beginning, false);
    let words: Vec<&str> = line.split_whitespace().skip(1).chain(["--json"]).chain(more.iter().copied()).collect();
    ctl::run(server, &words).await
}

async fn replay(dir: &DataDir, what: &str, more: &[&str]) -> Output {
    start(dir, what, more).output().await
}

/// What a verify says that finds something wrong, by partition.
async fn wrong(dir: &DataDir) -> Vec<Value> {
    let output = replay(dir, "verify", &[]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {said}"));
    assert_eq!(json["equal"], false);
    json["partitions"].as_array().unwrap().clone()
}

async fn assert_equal(dir: &DataDir) {
    let json = ctl::json(&replay(dir, "verify", &[]).await);
    assert_eq!(json["equal"], true);
    let partitions = json["partitions"].as_array().unwrap();
    assert!(partitions.iter().all(|one| one["state"]["digest"] == one["log"]["digest"]), "{json}");
    let told: Vec<_> = partitions.iter().map(|one| one["state"]["digest"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, digests(dir).iter().map(ToString::to_string).collect::<Vec<_>>());
    assert!(!dir.path().join("replay").exists(), "nothing is left over");
}

fn store(dir: &DataDir, partition: u32) -> PathBuf {
    dir.path().join("receipts").join(partition.to_string())
}

/// Reads one reader of a message one second later: who, and when before.
fn alter(store: &Path) -> (String, u32) {
    let db = DB::open(&Options::default(), store).unwrap();
    let first = [Row::Message as u8];
    let rows = db.iterator(IteratorMode::From(&first, Direction::Forward)).map(Result::unwrap);
    let altered = rows.take_while(|(key, _)| key[0] == first[0]).find_map(|(key, value)| {
        let mut row = message::decode(&value).unwrap();
        let Readers::Inline(readers) = &mut row.readers else { return None };
        let last = readers.last_mut()?;
        let was_s = last.read_at_s;
        last.read_at_s += 1;
        Some((key, row, was_s))
    });
    let (key, row, was_s) = altered.expect("a message that somebody has read");
    db.put(&key, message::encode(&row).unwrap()).unwrap();
    db.flush().unwrap();
    (row.id.as_str().to_owned(), was_s)
}

/// Flips a bit in the middle of the largest table file.
fn damage(store: &Path) {
    let files = fs::read_dir(store).unwrap().map(|file| file.unwrap().path());
    let tables = files.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    let table = tables.max_by_key(|path| path.metadata().unwrap().len()).expect("a table");
    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&table, bytes).unwrap();
}

/// Counts and readers of a few messages of the private conversations.
async fn answers(server: &Server) -> String {
    ctl::stdout(&ctl::run(server, &["receipts", "--conversation", "c8-99", "m9813", "m9819", "m9847"]).await)
}

/// R1, R7: what is altered or damaged in the state is found and named, and comes right again from the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_what_its_log_says_or_it_is_told_where_it_is_not() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    import::end(import::start(&server, &dir, Kind::CollegeMsg)).await;
    server.folded(FOLD_MAX).await;
    let before = answers(&server).await;
    let output = replay(&dir, "verify", &[]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("is in use by a receiptd"), "{said}");
    server.term().await;
    assert_equal(&dir).await;
    let digests_before = digests(&dir);

    let (message, was_s) = alter(&store(&dir, 0));
    damage(&store(&dir, 2));
    let partitions = wrong(&dir).await;
    let equal: Vec<_> = partitions.iter().map(|one| one["equal"].as_bool().unwrap()).collect();
    assert_eq!(equal, [false, true, false, true], "{partitions:?}");
    // Where it is the latest of its conversation, that no longer fits it either.
    let differences = partitions[0]["differences"].as_u64().unwrap();
    assert!((1..=2).contains(&differences), "{:?}", partitions[0]);
    let first = &partitions[0]["first"][0];
    assert_eq!((first["row"].as_str(), first["message"].as_str()), (Some("reader"), Some(&*message)), "{first}");
    assert!(first["conversation"].is_string() && first["user"].is_string(), "{first}");
    let times = (first["state"].as_str().unwrap(), first["log"].as_str().unwrap());
    assert_eq!(times, (&*format!("read at {} s", was_s + 1), &*format!("read at {was_s} s")));
    let error = partitions[2]["error"].as_str().unwrap();
    assert!(error.contains("orruption"), "{error}");

    let rebuilt = ctl::json(&replay(&dir, "rebuild", &["--partition", "0"]).await);
    assert_eq!(rebuilt["partitions"].as_array().map(Vec::len), Some(1), "{rebuilt}");
    let rebuilt = ctl::json(&replay(&dir, "rebuild", &[]).await);
    assert_eq!(rebuilt["partitions"].as_array().map(Vec::len), Some(4), "{rebuilt}");
    assert_equal(&dir).await;
    let elsewhere = dir.beside("elsewhere");
    let verified = ctl::json(&replay(&dir, "verify", &["--aside", elsewhere.to_str().unwrap()]).await);
    assert_eq!((&verified["equal"], fs::read_dir(&elsewhere).unwrap().count()), (&true.into(), 0));
    assert_eq!(digests(&dir), digests_before);
    let server = Server::start(&dir, &[]).await;
    assert_eq!(answers(&server).await, before);
}

/// R7: what a query finds damaged is sealed, and a rebuild beside it mends it, while the others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_partition_is_mended_by_a_rebuild_while_the_others_serve() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    import::end(import::start(&server, &dir, Kind::CollegeMsg)).await;
    server.folded(FOLD_MAX).await;
    let before = answers(&server).await;
    let equal = ctl::json(&live(&server, "verify", &[]).await);
    assert_eq!(equal["equal"], true, "{equal}");
    server.term().await;
    let digests_before = digests(&dir);
    // Nothing of this one can be opened, and of that one something can't be read.
    fs::write(store(&dir, 1).join("CURRENT"), "MANIFEST-999999\n").unwrap();
    damage(&store(&dir, 2));
    let server = Server::start_unchecked(&dir, "127.0.0.1:0", &[]).await;
    assert_eq!(server.health().await, ServingStatus::NotServing);
    let partitions = server.receipt_partitions().await;
    assert!(partitions[1].sealed.contains("CURRENT is damaged"), "{:?}", partitions[1]);
    let output = live(&server, "verify", &[]).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &json["equal"]), (Some(1), &false.into()), "{json}");
    let errors: Vec<_> = [1, 2].iter().map(|at| json["partitions"][at]["error"].as_str().unwrap()).collect();
    assert!(errors[0].contains("sealed") && errors[1].contains("orruption"), "{errors:?}");

    for partition in ["1", "2"] {
        let rebuilt = ctl::json(&live(&server, "rebuild", &["--partition", partition]).await);
        assert_eq!(rebuilt["partitions"].as_array().map(Vec::len), Some(1), "{rebuilt}");
    }
    let partitions = server.folded(FOLD_MAX).await;
    assert!(partitions.iter().all(|partition| partition.sealed.is_empty()), "{partitions:?}");
    until("it serves", FOLD_MAX, async || (server.health().await == ServingStatus::Serving).then_some(())).await;
    assert_eq!(answers(&server).await, before);
    let equal = ctl::json(&live(&server, "verify", &[]).await);
    assert_eq!(equal["equal"], true, "{equal}");
    server.term().await;
    assert_eq!(digests(&dir), digests_before);
}

/// A crash leaves what has been folded aside, and the state as it was.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_rebuild_goes_on() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    import::end(import::start(&server, &dir, Kind::UbuntuIrc)).await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    let before = digests(&dir);
    for signal in ["KILL", "INT"] {
        let mut rebuild = start(&dir, "rebuild", &["--threads", "1"]);
        // The partition before it is finished then, and this one is not.
        let begun =
            dir.path().join(if signal == "KILL" { "replay/rebuild/1/CURRENT" } else { "replay/rebuild/2/CURRENT" });
        until("a rebuild has begun with a later partition", INTERRUPT_MAX, async || begun.is_file().then_some(()))
            .await;
        assert!(!rebuild.has_ended(), "the rebuild is over before it is interrupted");
        if signal == "KILL" {
            rebuild.kill_9();
        } else {
            rebuild.interrupt();
            let output = rebuild.output().await;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(1) && said.contains("the same command goes on from here"), "{said}");
        }
        assert_eq!(digests(&dir), before, "the state is as it was");
    }
    let output = replay(&dir, "rebuild", &[]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for partition in 0..2 {
        let resumed = format!("partition {partition}: ");
        assert!(said.lines().any(|line| line.starts_with(&resumed) && line.contains("were folded before")), "{said}");
    }
    assert_eq!(ctl::json(&output)["partitions"].as_array().map(Vec::len), Some(4));
    assert_eq!(digests(&dir), before);
    assert_equal(&dir).await;
}

/// The way to change what stands in the stores.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_changes_the_retention() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &["--retention", "30d"]).await;
    let token = something_happens(&server).await;
    server.term().await;
    let said = String::from_utf8_lossy(&receiptd_to_its_end(&dir, &["--retention", "7d"]).await.stderr).into_owned();
    let path = dir.path();
    let cure = format!(
        "`receiptctl replay rebuild --data-dir {} --retention 604800s --early-window 86400s --max-group-members 100000`",
        path.display()
    );
    assert!(said.contains(&cure), "{said}");

    let rebuilt = ctl::json(&replay(&dir, RETENTION, &[]).await);
    assert_eq!((&rebuilt["retention_ms"], &rebuilt["early_window_ms"]), (&604_800_000.into(), &86_400_000.into()));
    assert_equal(&dir).await;
    let server = Server::start(&dir, &["--retention", "7d"]).await;
    assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)), "the token stays valid");
    server.folded(FOLD_MAX).await;
    let partitions = server.partitions().await;
    assert!(partitions.iter().all(|partition| partition.sealed.is_empty()), "inboxes too: {partitions:?}");
}

/// R6: the log may have more than a stopped receiptd has folded, and told; a rebuild leaves that to receiptd.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_was_told_before_a_rebuild_is_told_after_it() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    something_happens(&server).await;
    server.folded(FOLD_MAX).await;
    let token = subscribe(&server, None).await.message().await.unwrap().unwrap().resume_token;
    server.term().await;
    // As a crash leaves it: in the log, and not yet in the state.
    let log = match dir.kafka() {
        Some(servers) => Log::open_kafka(engine::kafka_options(servers, &dir.path())).await.unwrap(),
        None => Log::open_embedded_existing(&dir.path().join("log")).unwrap(),
    };
    let target = Some(Target::Messages(v1::MessageIds { message_ids: vec!["m1".to_owned()] }));
    let (conversation_id, reader_id) = ("team".to_owned(), "carol".to_owned());
    let read = v1::ReadEvent { conversation_id, reader_id, read_at: None, target };
    let record = NewRecord::new("team", read.encode_to_vec());
    log.append(Topic::Reads, log.partition_for(b"team"), vec![record]).await.unwrap();
    log.close().unwrap();
    drop(log);

    let rebuilt = ctl::json(&replay(&dir, "rebuild", &[]).await);
    assert_eq!(rebuilt["partitions"].as_array().map(Vec::len), Some(4), "{rebuilt}");
    assert_equal(&dir).await;
    let server = Server::start(&dir, &[]).await;
    server.folded(FOLD_MAX).await;
    assert_eq!(counts(&server, None).await, Ok((2, 0)));
    let mut stream = subscribe(&server, Some(Start::ResumeToken(token))).await;
    let told = tokio::time::timeout(TOLD_MAX, async {
        loop {
            let deltas = stream.message().await.unwrap().expect("the stream goes on").deltas;
            let mut counts = deltas.into_iter().map(|delta| match delta.change {
                Some(Change::Receipt(receipt)) => (receipt.read_count, receipt.unread_count),
                other => panic!("no receipt: {other:?}"),
            });
            if counts.next_back() == Some((2, 0)) {
                return;
            }
        }
    });
    told.await.expect("the sender is told of what was read before the rebuild");
}

async fn subscribe(server: &Server, start: Option<Start>) -> Streaming<v1::SubscribeMessageReadReceiptsResponse> {
    let request = v1::SubscribeMessageReadReceiptsRequest { user_id: "alice".to_owned(), start };
    server.receipts().subscribe_message_read_receipts(request).await.unwrap().into_inner()
}

/// A crash between the two renames of a swap leaves no live store, and two complete ones beside its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_in_the_middle_of_a_swap_finds_a_complete_store() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    let token = something_happens(&server).await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    let before = digests(&dir);
    for partition in 0..4 {
        let stores = dir.path().join("receipts");
        let place = |suffix: &str| stores.join(format!("{partition}{suffix}"));
        fs::rename(place(""), place(".new")).unwrap();
        fs::create_dir(place(".old")).unwrap();
    }
    let server = Server::start(&dir, &[]).await;
    assert!(!server.printed().iter().any(|line| line.contains("offset 0 of 2")), "not folded anew");
    assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)));
    server.term().await;
    assert_eq!(digests(&dir), before);
    assert_eq!(fs::read_dir(dir.path().join("receipts")).unwrap().count(), 4, "nothing is left over");
}

/// R7: the embedded log's offsets are dense, so that a record that is gone is noticed whatever it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_missing_from_the_middle_of_the_embedded_log_is_named() {
    let dir = DataDir::by_flags();
    let server = Server::start(&dir, &[]).await;
    something_happens(&server).await;
    let sent = (2..9).map(|n| events::sent_to_all("team", &format!("m{n}"), "alice")).collect();
    let request = v1::PublishConversationEventsRequest { events: sent, wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
    let home = server.receipt_partitions().await.into_iter().find(|one| one.messages > 0).unwrap().partition;
    server.term().await;
    let before = digests(&dir);
    let mut key = vec![1];
    key.extend(home.to_be_bytes());
    key.extend(4_u64.to_be_bytes());
    let log = DB::open(&Options::default(), dir.path().join("log")).unwrap();
    assert!(log.get(&key).unwrap().is_some());
    log.delete(&key).unwrap();
    drop(log);

    let named = format!("receipts.conversations/{home} is damaged at offset 4: it is missing");
    let partitions = wrong(&dir).await;
    for one in partitions {
        if one["partition"] == home {
            assert!(one["error"].as_str().unwrap().contains(&named), "{one}");
        } else {
            assert_eq!(one["equal"], true, "{one}");
        }
    }
    let output = replay(&dir, "rebuild", &[]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(&named), "{said}");
    assert_eq!(digests(&dir), before, "the state is as it was");
}
