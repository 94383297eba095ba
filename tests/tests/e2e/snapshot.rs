//! A data directory is lost, and comes back from its snapshots; and what must not be restored is not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use receipt_ctl::dataset::Kind;
use receipt_log::{Log, Topic};
use receipt_proto::v1::{self, subscribe_message_read_receipts_request::Start};
use receipt_test_engine as engine;
use receipt_tests::{
    ctl,
    digests::digests,
    document::blocks,
    events,
    object_store::ObjectStore,
    server::{DataDir, Server},
    session::{counts, something_happens},
};
use serde_json::Value;
use tonic::Code;

use crate::{conversations::FOLD_MAX, import};

/// Where snapshots are in docs/operations.md.
const DOCUMENTED: &str = "/var/backups/receiptd";

/// A place for snapshots, and the environment that says more of it.
pub(crate) struct Place {
    pub(crate) url: String,
    environment: Vec<(String, String)>,
}

/// Whether a command is for a receiptd that serves.
fn is_for_another(line: &str) -> bool {
    !line.contains(" --data-dir ") && !line.contains(" --from ")
}

impl Place {
    pub(crate) fn folder(dir: &DataDir) -> Self {
        Self { url: dir.beside("snapshots").display().to_string(), environment: Vec::new() }
    }

    fn bucket(server: &ObjectStore) -> Self {
        Self { url: server.url(), environment: server.environment() }
    }

    /// Runs a command of docs/operations.md, with `--json`.
    async fn run(&self, dir: &DataDir, beginning: &str, more: &[&str]) -> Output {
        let blocks = blocks("docs/operations.md", "sh").concat();
        let is_dry = |line: &str| line.contains(" --dry-run") == more.contains(&"--dry-run");
        let mut lines = blocks.lines().filter(|line| line.starts_with(&format!("receiptctl {beginning} ")));
        // Those of a bucket, and those for a receiptd that serves, are like them.
        let line = lines.find(|line| !line.contains("s3://") && is_dry(line) && !is_for_another(line));
        let line = line.unwrap_or_else(|| panic!("docs/operations.md has no `{beginning}`"));
        let (path, prefix, kafka) = (dir.path().display().to_string(), engine::topic_prefix(&dir.path()), dir.kafka());
        let word = |word: &str| match word {
            "/var/lib/receiptd" => path.clone(),
            DOCUMENTED => self.url.clone(),
            word => word.to_owned(),
        };
        let mut args: Vec<String> = line.split_whitespace().skip(1).map(word).collect();
        if more.contains(&"--keep") {
            args.truncate(args.iter().position(|word| word == "--keep").unwrap_or(args.len()));
        }
        args.push("--json".to_owned());
        if let Some(servers) = kafka.filter(|_| line.contains(" --data-dir ")) {
            args.extend(["--kafka".to_owned(), servers, "--topic-prefix".to_owned(), prefix]);
        }
        args.extend(more.iter().filter(|word| **word != "--dry-run").map(|word| (*word).to_owned()));
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        ctl::start_within(&self.environment, &args).output().await
    }

    pub(crate) async fn json(&self, dir: &DataDir, beginning: &str, more: &[&str]) -> Value {
        ctl::json(&self.run(dir, beginning, more).await)
    }

    /// What it says when it fails.
    async fn failure(&self, dir: &DataDir, beginning: &str, more: &[&str]) -> String {
        let output = self.run(dir, beginning, more).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// Runs a command on a stopped receiptd, with `--json`.
async fn on(dir: &DataDir, command: &[&str]) -> Output {
    let (path, prefix, kafka) = (dir.path().display().to_string(), engine::topic_prefix(&dir.path()), dir.kafka());
    let mut args = [command, &["--data-dir", &path, "--json"]].concat();
    if let Some(servers) = &kafka {
        args.extend(["--kafka", servers, "--topic-prefix", &prefix]);
    }
    ctl::start_alone(&args).output().await
}

async fn assert_as_the_log_says(dir: &DataDir) {
    let json = ctl::json(&on(dir, &["replay", "verify"]).await);
    assert_eq!(json["equal"], true, "{json}");
}

pub(crate) async fn send(server: &Server, message: &str) {
    let sent = vec![events::sent_to_all("team", message, "alice")];
    let request = v1::PublishConversationEventsRequest { events: sent, wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
}

async fn first_response(server: &Server, start: Option<Start>) -> v1::SubscribeMessageReadReceiptsResponse {
    let request = v1::SubscribeMessageReadReceiptsRequest { user_id: "alice".to_owned(), start };
    let mut stream = server.receipts().subscribe_message_read_receipts(request).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap()
}

/// On the embedded log what came after the snapshot is lost, and the log is another one; on Kafka nothing is.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_data_directory_comes_back_from_a_folder() {
    let dir = DataDir::new();
    let place = Place::folder(&dir);
    let server = Server::start(&dir, &[]).await;
    import::end(import::start(&server, &dir, Kind::CollegeMsg)).await;
    let token = something_happens(&server).await;
    server.folded(FOLD_MAX).await;
    let resume_token = first_response(&server, None).await.resume_token;
    let said = place.failure(&dir, "snapshot create", &[]).await;
    assert!(said.contains("is in use by a receiptd"), "{said}");
    server.term().await;
    let before = digests(&dir);
    let created = place.json(&dir, "snapshot create", &[]).await;
    let units = if dir.kafka().is_some() { 8 } else { 9 };
    assert_eq!(created["snapshots"].as_array().map(Vec::len), Some(units), "{created}");
    let again = place.json(&dir, "snapshot create", &[]).await;
    assert!(again["snapshots"].as_array().unwrap().iter().all(|one| one["was_there"] == true), "{again}");
    assert!(!dir.path().join("replay").exists(), "nothing is left over");
    assert_eq!(digests(&dir), before);
    let verified = place.json(&dir, "snapshot verify", &[]).await;
    assert_eq!((&verified["intact"], verified["snapshots"].as_array().map(Vec::len)), (&true.into(), Some(units)));

    let server = Server::start(&dir, &[]).await;
    send(&server, "m2").await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    let after = digests(&dir);
    assert_ne!(after, before);
    fs::remove_dir_all(dir.path()).unwrap();

    let restored = place.json(&dir, "snapshot restore", &[]).await;
    assert_eq!(restored["snapshots"].as_array().map(Vec::len), Some(units), "{restored}");
    assert!(!dir.path().join("replay").exists(), "nothing is left over");
    assert_eq!(digests(&dir), before);
    let server = Server::start(&dir, &[]).await;
    assert!(!server.printed().iter().any(|line| line.contains("offset 0 of 2")), "not folded anew");
    server.folded(FOLD_MAX).await;
    let response = first_response(&server, Some(Start::ResumeToken(resume_token))).await;
    if dir.kafka().is_some() {
        assert!(restored["new_log_id"].is_null() && !response.reset, "{response:?}");
        assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)));
    } else {
        assert!(restored["new_log_id"].is_string() && response.reset, "{response:?}");
        assert!(
            counts(&server, Some(&token)).await.is_err_and(|why| why.contains("another log")),
            "a token of the old log"
        );
        tokens_are_of_this_log(&server).await;
        send(&server, "m2").await;
        server.folded(FOLD_MAX).await;
    }
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
    server.term().await;
    if dir.kafka().is_some() {
        assert_eq!(digests(&dir), after);
    }
    assert_as_the_log_says(&dir).await;
}

/// What a restored log still has to tell of before it was restored carries no token that nobody could use.
async fn tokens_are_of_this_log(server: &Server) {
    let told = first_response(server, Some(Start::Oldest(v1::Oldest {}))).await;
    let delta = told.deltas.first().expect("what alice is told");
    let request = v1::GetMessageReadReceiptsRequest {
        messages: vec![events::message_ref("team", "m1")],
        consistency_tokens: Some(delta.consistency_token.clone())
            .filter(|token| !token.is_empty())
            .into_iter()
            .collect(),
        ..Default::default()
    };
    let answer = server.receipts().get_message_read_receipts(request).await;
    assert_ne!(answer.as_ref().err().map(tonic::Status::code), Some(Code::InvalidArgument), "{answer:?}");
}

/// As above, in an S3-compatible object store, and with a log that goes on where it was: only its state is lost.
#[tokio::test(flavor = "multi_thread")]
async fn lost_state_comes_back_from_an_object_store() {
    let store = ObjectStore::start().await;
    let dir = DataDir::new();
    let place = Place::bucket(&store);
    let server = Server::start(&dir, &[]).await;
    let token = something_happens(&server).await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    place.json(&dir, "snapshot create", &[]).await;
    let server = Server::start(&dir, &[]).await;
    send(&server, "m2").await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    let after = digests(&dir);
    let created = place.json(&dir, "snapshot create", &["--keep", "1"]).await;
    let deleted = created["snapshots"].as_array().unwrap().iter().map(|one| one["deleted"].as_array().unwrap().len());
    assert!(deleted.sum::<usize>() > 0, "{created}");
    let listed = place.json(&dir, "snapshot list", &[]).await;
    assert_eq!(listed["snapshots"].as_array().map(Vec::len), created["snapshots"].as_array().map(Vec::len));
    assert_eq!(place.json(&dir, "snapshot verify", &["--newest"]).await["intact"], true);

    for stores in ["receipts", "inboxes"] {
        fs::remove_dir_all(dir.path().join(stores)).unwrap();
    }
    let restored = place.json(&dir, "snapshot restore", &[]).await;
    assert_eq!((restored["snapshots"].as_array().map(Vec::len), restored["new_log_id"].is_null()), (Some(8), true));
    assert_eq!(digests(&dir), after);
    let server = Server::start(&dir, &[]).await;
    assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)));
    server.term().await;
    assert_as_the_log_says(&dir).await;

    let largest = files(&store.files()).into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    flip(&largest);
    let name = largest.file_name().unwrap().to_str().unwrap();
    let output = place.run(&dir, "snapshot verify", &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let wrong: Vec<_> = json["snapshots"].as_array().unwrap().iter().filter_map(|one| one["error"].as_str()).collect();
    assert!(wrong.len() == 1 && wrong[0].contains(name), "{wrong:?}");
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut left) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { left.push(path) } else { found.push(path) }
        }
    }
    found
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(file, bytes).unwrap();
}

/// Copies a directory of files.
fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let to = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    }
}

/// R7: and the state that is there stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_embedded_log_is_not_restored() {
    let dir = DataDir::by_flags();
    let place = Place::folder(&dir);
    let server = Server::start(&dir, &[]).await;
    something_happens(&server).await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    let earlier = dir.beside("earlier");
    copy(&dir.path(), &earlier);
    let server = Server::start(&dir, &[]).await;
    send(&server, "m2").await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    place.json(&dir, "snapshot create", &[]).await;
    let refused = async |dir: &DataDir, said: &str| {
        let before = digests(dir);
        let why = place.failure(dir, "snapshot restore", &[]).await;
        assert!(why.contains(said), "{why}");
        assert_eq!(digests(dir), before, "the state is as it was");
    };

    let other = DataDir::by_flags();
    let server = Server::start(&other, &[]).await;
    something_happens(&server).await;
    server.term().await;
    refused(&other, "has no snapshot of embedded log ").await;

    let lost = DataDir::by_flags();
    copy(&earlier, &lost.path());
    refused(&lost, "the log has lost records").await;

    damaged_and_newer(&dir, &place, &refused).await;

    let log = Log::open_embedded_existing(&dir.path().join("log")).unwrap();
    let home = log.partition_for(b"team");
    let end = log.end_offset(Topic::Conversations, home);
    drop(log);
    let server = Server::start(&dir, &[]).await;
    send(&server, "m3").await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    let log = Log::open_embedded_existing(&dir.path().join("log")).unwrap();
    log.trim(Topic::Conversations, home, end + 1).unwrap();
    log.close().unwrap();
    drop(log);
    let begins = format!("and the log begins at {}: it has been trimmed past it", end + 1);
    refused(&dir, &begins).await;
}

async fn damaged_and_newer(dir: &DataDir, place: &Place, refused: &impl AsyncFn(&DataDir, &str)) {
    let is_largest = |path: &PathBuf| path.metadata().unwrap().len();
    let receipts = |path: &PathBuf| path.to_str().unwrap().contains("/receipts-");
    let all = files(Path::new(&place.url)).into_iter().filter(receipts);
    let (manifests, data): (Vec<_>, Vec<_>) = all.partition(|path| path.ends_with("manifest.json"));
    let damaged = data.into_iter().max_by_key(is_largest).unwrap();
    flip(&damaged);
    refused(dir, damaged.file_name().unwrap().to_str().unwrap()).await;
    flip(&damaged);
    let text = fs::read_to_string(&manifests[0]).unwrap();
    fs::write(&manifests[0], text.replace("\"format_version\": 1", "\"format_version\": 2")).unwrap();
    refused(dir, "has format 2, and this version knows up to 1").await;
    fs::write(&manifests[0], text).unwrap();
    assert_eq!(place.json(dir, "snapshot verify", &[]).await["intact"], true);
}

/// Of a log and the state that it was copied with, one may be from an attempt that was interrupted.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_ahead_of_the_newest_log_is_passed_over() {
    let dir = DataDir::by_flags();
    let place = Place::folder(&dir);
    let server = Server::start(&dir, &[]).await;
    let token = something_happens(&server).await;
    server.term().await;
    let before = digests(&dir);
    place.json(&dir, "snapshot create", &[]).await;
    let server = Server::start(&dir, &[]).await;
    send(&server, "m2").await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    // Takes stores only.
    for partition in 0..4 {
        place.json(&dir, "snapshot create", &["--partition", &partition.to_string()]).await;
    }
    let new = DataDir::by_flags();
    let restored = place.json(&new, "snapshot restore", &[]).await;
    let passed_over = restored["snapshots"].as_array().unwrap().iter();
    let passed_over: usize = passed_over.map(|one| one["passed_over"].as_array().unwrap().len()).sum();
    assert!(passed_over > 0, "{restored}");
    assert_eq!(digests(&new), before);
    let server = Server::start(&new, &[]).await;
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
    assert!(counts(&server, Some(&token)).await.is_err());
    server.term().await;
    assert_as_the_log_says(&new).await;
}

/// Starts receiptd, has a message sent, and stops it when all is folded; the digests of its state then.
async fn digests_after(dir: &DataDir, message: &str) -> Vec<receipt_store::Digest> {
    let server = Server::start(dir, &[]).await;
    send(&server, message).await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    digests(dir)
}

/// What the log has lost then, a snapshot stands for.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_trimmed_is_folded_anew_from_a_snapshot() {
    let dir = DataDir::new();
    let place = Place::folder(&dir);
    let server = Server::start(&dir, &[]).await;
    import::end(import::start(&server, &dir, Kind::CollegeMsg)).await;
    something_happens(&server).await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    let trim = async |more: &[&str]| {
        let output = place.run(&dir, "log trim", more).await;
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.success(), json["partitions"].as_array().unwrap().clone())
    };
    let records = |topics: &[Value]| -> u64 {
        let records = |one: &Value| one["trimmed_before"].as_u64().unwrap() - one["start_offset"].as_u64().unwrap();
        topics.iter().map(records).sum()
    };
    fs::create_dir_all(&place.url).unwrap();
    let (trimmed, topics) = trim(&[]).await;
    assert!(trimmed && records(&topics) == 0 && topics.len() == 12, "nothing without a snapshot: {topics:?}");

    place.json(&dir, "snapshot create", &[]).await;
    let after = digests_after(&dir, "m2").await;
    place.json(&dir, "snapshot create", &[]).await;
    let (trimmed, would) = trim(&["--dry-run"]).await;
    assert!(trimmed && records(&would) > 90_000, "{would:?}");
    assert_as_the_log_says(&dir).await;
    let (trimmed, topics) = trim(&[]).await;
    assert!(trimmed && topics == would, "{topics:?}");
    let (trimmed, topics) = trim(&[]).await;
    assert!(trimmed && records(&topics) == 0, "once is enough: {topics:?}");
    assert_eq!(digests(&dir), after);

    let (verify, rebuild) =
        ["verify", "rebuild"].map(|what| format!("replay {what} --data-dir /var/lib/receiptd --from")).into();
    let without = on(&dir, &["replay", "verify"]).await;
    assert_eq!(without.status.code(), Some(1), "the log has no beginning");
    let verified = place.json(&dir, &verify, &[]).await;
    assert_eq!(verified["equal"], true, "{verified}");
    assert!(!dir.path().join("replay").exists(), "nothing is left over");
    let rebuilt = place.json(&dir, &rebuild, &[]).await;
    assert_eq!(rebuilt["partitions"].as_array().map(Vec::len), Some(4), "{rebuilt}");
    assert_eq!(digests(&dir), after);

    // A store that does not say how far it was comes back as of its snapshot.
    fs::remove_dir_all(dir.path().join("receipts/0")).unwrap();
    place.json(&dir, &rebuild, &[]).await;
    let server = Server::start(&dir, &[]).await;
    server.folded(FOLD_MAX).await;
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
    server.term().await;
    assert_eq!(digests(&dir), after);

    let oldest = files(Path::new(&place.url)).into_iter().filter(|path| path.to_str().unwrap().contains("/receipts-"));
    oldest
        .filter(|path| !path.ends_with("manifest.json") && path.metadata().unwrap().len() > 0)
        .for_each(|path| flip(&path));
    digests_after(&dir, "m3").await;
    let (trimmed, topics) = trim(&[]).await;
    let mut whys =
        topics.iter().filter(|one| one["topic"] != "receipts.deltas").map(|one| one["why"].as_str().unwrap());
    assert!(trimmed && records(&topics) == 0 && whys.all(|why| why.contains("is damaged")), "{topics:?}");
}
