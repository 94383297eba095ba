//! Records of a log go into a file and from there into another log, as docs/operations.md says.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::Output,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use receipt_ctl::dataset::Kind;
use receipt_log::create_topics;
use receipt_proto::v1;
use receipt_test_engine as engine;
use receipt_tests::{
    ctl,
    digests::digests,
    document::blocks,
    events,
    poll::until,
    server::{DataDir, Server},
    session::something_happens,
};
use serde_json::Value;

use crate::{
    conversations::FOLD_MAX,
    import::{self, DATA_SETS},
};

/// How long until the log has a part of the data set.
const PART_MAX: std::time::Duration = std::time::Duration::from_secs(120);

/// A command of docs/operations.md, with another file, and another log in the place of the data directory.
pub(crate) fn command(beginning: &str, file: &Path, dir: &DataDir) -> Vec<String> {
    let blocks = blocks("docs/operations.md", "sh").concat();
    let line = blocks.lines().find(|line| line.starts_with(&format!("receiptctl log {beginning}")));
    let line = line.unwrap_or_else(|| panic!("docs/operations.md has no `{beginning}`"));
    let name = beginning.split_whitespace().last().unwrap();
    let words = line.split_whitespace().skip(1).flat_map(|word| match word {
        word if word == name => vec![file.display().to_string()],
        "--data-dir" => Vec::new(),
        word if word.starts_with("/var/lib/receiptd") => at(dir),
        word => vec![word.to_owned()],
    });
    words.collect()
}

/// Where a log is.
fn at(dir: &DataDir) -> Vec<String> {
    match dir.kafka() {
        Some(servers) => {
            vec!["--kafka".to_owned(), servers, "--topic-prefix".to_owned(), engine::topic_prefix(&dir.path())]
        }
        None => vec!["--data-dir".to_owned(), dir.path().display().to_string()],
    }
}

pub(crate) async fn run(words: &[String]) -> Output {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    ctl::start_alone(&words).output().await
}

async fn json(words: Vec<String>) -> Value {
    ctl::json(&run(&[words, vec!["--json".to_owned()]].concat()).await)
}

/// What it says when it fails.
async fn failure(words: &[String]) -> String {
    let output = run(words).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// An empty log to import into.
async fn target(partitions: u32) -> DataDir {
    let dir = DataDir::new();
    if let Some(servers) = dir.kafka() {
        create_topics(&engine::kafka_options(servers, &dir.path()), partitions, 1).await.unwrap();
    }
    dir
}

/// Compared, appended and read back, of all partitions together.
fn sums(imported: &Value) -> [u64; 3] {
    let partitions = imported["partitions"].as_array().unwrap();
    ["records_compared", "records_appended", "records_verified"]
        .map(|name| partitions.iter().map(|partition| partition[name].as_u64().unwrap()).sum())
}

/// The lines between header and trailer.
pub(crate) fn record_lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines[1..lines.len() - 1].to_vec()
}

/// The lines of a file, and the first of them of each partition of another.
pub(crate) fn is_prefix(part: &[String], all: &[String]) -> bool {
    let key = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["topic"].as_str().unwrap().to_owned(), line["partition"].as_u64().unwrap())
    };
    let mut all: Vec<_> = all.iter().map(|line| (key(line), line)).collect();
    all.sort_by(|one, two| one.0.cmp(&two.0));
    let mut rest = all.into_iter().peekable();
    part.iter().all(|line| {
        let place = key(line);
        while rest.peek().is_some_and(|(other, _)| *other < place) {
            rest.next();
        }
        rest.next().is_some_and(|(_, other)| other == line)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_through_a_file_and_folds_to_the_same_state() {
    let dir = DataDir::new();
    let file = |name: &str| dir.beside(name);
    let server = Server::start(&dir, &[]).await;
    something_happens(&server).await;
    let college = import::start(&server, &dir, Kind::CollegeMsg);
    until("the import is under way", PART_MAX, async || {
        let partitions = server.receipt_partitions().await;
        (partitions.iter().map(|partition| partition.messages).sum::<u64>() > 5_000).then_some(())
    })
    .await;
    // Beside a server that is written to.
    let live = ctl::json(&ctl::run(&server, &with_json(&["log", "export", "-"], &file("live.jsonl"))).await);
    import::end(college).await;
    server.folded(FOLD_MAX).await;
    let of_server = ctl::json(&ctl::run(&server, &with_json(&["log", "export", "-"], &file("server.pb"))).await);
    server.term().await;

    let exported = json(command("export log.pb", &file("log.pb"), &dir)).await;
    assert!(exported["records"].as_u64() > Some(DATA_SETS[0].1), "{exported}");
    assert_eq!(exported["records"], of_server["records"]);
    assert!(
        fs::read(file("log.pb")).unwrap() == fs::read(file("server.pb")).unwrap(),
        "the server tells what is there"
    );
    assert!(failure(&command("export log.pb", &file("log.pb"), &dir)).await.contains("is there already"));
    let lines = file("log.jsonl");
    json([command("export log.jsonl", &lines, &dir), at(&dir)].concat()).await;
    let all = record_lines(&lines);
    assert_eq!(all.len() as u64, exported["records"].as_u64().unwrap());
    assert!(all.iter().all(|line| line.contains("\"event\":") && !line.contains("base64")), "all are events");
    let begun = record_lines(&file("live.jsonl"));
    assert_eq!(live["records"], begun.len());
    assert!(begun.len() < all.len() && is_prefix(&begun, &all), "{} of {}", begun.len(), all.len());

    // From one format into the other, with what is there already, and again.
    let copy = target(4).await;
    let imported = json(command("import log.pb", &file("live.jsonl"), &copy)).await;
    assert_eq!(sums(&imported), [0, begun.len() as u64, begun.len() as u64]);
    let imported = json(command("import log.pb", &file("log.pb"), &copy)).await;
    let rest = (all.len() - begun.len()) as u64;
    assert_eq!(sums(&imported), [begun.len() as u64, rest, rest], "{imported}");
    let imported = json(command("import log.pb", &lines, &copy)).await;
    assert_eq!(sums(&imported), [all.len() as u64, 0, 0]);
    let again = file("again.jsonl");
    json([command("export log.jsonl", &again, &dir), at(&copy)].concat()).await;
    assert!(record_lines(&again) == all, "the copy has the same records");
    let other = failure(&command("import log.pb", &file("live.jsonl"), &copy)).await;
    assert!(other.contains("has no more than") && other.contains("records"), "{other}");

    let server = Server::start(&copy, &[]).await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    assert_eq!(digests(&copy), digests(&dir));
}

fn with_json(words: &[&'static str], file: &Path) -> Vec<&'static str> {
    // The test's own few paths, for as long as it runs.
    let file: &'static str = Box::leak(file.display().to_string().into_boxed_str());
    words.iter().map(|word| if *word == "-" { file } else { word }).chain(["--json"]).collect()
}

/// A log with some records, stopped, and where files go beside it.
async fn small() -> (DataDir, PathBuf) {
    let dir = DataDir::new();
    let server = Server::start(&dir, &["--partitions", "2"]).await;
    something_happens(&server).await;
    let sent = (2..300).map(|n| events::sent_to_all("team", &format!("m{n}"), "alice")).collect();
    let request = v1::PublishConversationEventsRequest { events: sent, wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
    // A dead letter.
    let request =
        v1::PublishConversationEventsRequest { events: vec![events::sent_to_all("none", "m", "a")], wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
    server.folded(FOLD_MAX).await;
    server.term().await;
    let beside = dir.beside("log.pb");
    (dir, beside)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_goes_on_where_it_was_interrupted() {
    let (dir, _) = small().await;
    for name in ["log.pb", "log.jsonl", "log.jsonl.gz"] {
        let whole = dir.beside(name);
        let words = [command("export log.jsonl", &whole, &dir), at(&dir)].concat();
        let exported = json(words.clone()).await;
        // And ticks, if there were any.
        assert_eq!((&exported["records_before"], exported["records"].as_u64() >= Some(302)), (&0.into(), true));
        let bytes = fs::read(&whole).unwrap();
        fs::remove_file(&whole).unwrap();
        let part = dir.beside(&format!("{name}.part"));
        // In the middle of a record, as a crash leaves it.
        fs::write(&part, &bytes[..bytes.len() / 2]).unwrap();
        let exported = json(words.clone()).await;
        let before = exported["records_before"].as_u64().unwrap();
        let expected = if name.ends_with(".gz") { 0..=0 } else { 100..=200 };
        assert!(expected.contains(&before), "{name}: {before}");
        assert!(fs::read(&whole).unwrap() == bytes && !part.exists(), "{name}");
        fs::remove_file(&whole).unwrap();
        // What it has not begun.
        fs::write(&part, b"something else").unwrap();
        let output = run(&words).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(name.ends_with(".gz") || said.contains("starting over"), "{said}");
        assert!(output.status.success() && fs::read(&whole).unwrap() == bytes, "{name}: {said}");
    }
    let plain = fs::read(dir.beside("log.jsonl")).unwrap();
    let mut unpacked = Vec::new();
    GzDecoder::new(fs::File::open(dir.beside("log.jsonl.gz")).unwrap()).read_to_end(&mut unpacked).unwrap();
    assert!(plain == unpacked, "only compressed");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_file_that_is_wrong_nothing_is_imported() {
    let (dir, whole) = small().await;
    json(command("export log.pb", &whole, &dir)).await;
    let lines = dir.beside("log.jsonl");
    json([command("export log.jsonl", &lines, &dir), at(&dir)].concat()).await;
    let copy = target(2).await;
    let import = |file: &Path| command("import log.pb", file, &copy);
    let bad = dir.beside("bad");
    let bytes = fs::read(&whole).unwrap();
    let text = fs::read_to_string(&lines).unwrap();
    let mut gzipped = GzEncoder::new(Vec::new(), Compression::fast());
    gzipped.write_all(text.as_bytes()).unwrap();
    let gzipped = gzipped.finish().unwrap();
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases: [(Vec<u8>, &str); 6] = [
        (bytes[..bytes.len() - 10].to_vec(), "cut short"),
        (bytes[..bytes.len() / 2].to_vec(), "cut short"),
        (gzipped[..gzipped.len() / 2].to_vec(), "cut short"),
        (flipped(bytes.len() - 1), "changed or damaged"),
        (text.replace("\"m7\"", "\"m8\"").into_bytes(), "changed or damaged"),
        (text.replace("\"message_id\":\"m7\"", "\"message\":\"m7\"").into_bytes(), "line "),
    ];
    for (bytes, expected) in cases {
        fs::write(&bad, bytes).unwrap();
        let said = failure(&import(&bad)).await;
        assert!(said.contains(expected) && said.contains(bad.to_str().unwrap()), "{expected}: {said}");
    }
    // By hand: another partition, and what was edited is taken where one says so.
    let home = receipt_log::partition_for(b"team", 2);
    let elsewhere =
        ["a", "b", "c", "d", "e", "f"].into_iter().find(|key| receipt_log::partition_for(key.as_bytes(), 2) != home);
    let key = format!("\"key\":\"{}\"", elsewhere.unwrap());
    fs::write(&bad, text.replace("\"key\":\"team\"", &key)).unwrap();
    let misplaced = failure(&[import(&bad), vec!["--edited".to_owned()]].concat()).await;
    assert!(misplaced.contains("line ") && misplaced.contains("its key belongs in"), "{misplaced}");
    if copy.kafka().is_none() {
        assert!(!copy.path().exists(), "nothing was made");
    }
    let edited: String = text
        .lines()
        .filter(|line| !line.contains("\"m299\"") && !line.contains("log_file_end"))
        .fold(String::new(), |text, line| text + line + "\n");
    fs::write(&bad, edited).unwrap();
    let output = run(&[import(&bad), vec!["--edited".to_owned(), "--json".to_owned()]].concat()).await;
    let all = record_lines(&lines).len() as u64;
    assert_eq!(sums(&ctl::json(&output)), [0, all - 1, all - 1]);
    let other = target(3).await;
    if other.kafka().is_some() {
        let said = failure(&command("import log.pb", &whole, &other)).await;
        assert!(said.contains("3 partitions") && said.contains("topics create"), "{said}");
    }

    // What follows from the others is left out, and said.
    let dead = dir.beside("dead.jsonl");
    let mut words = [command("export log.jsonl", &dead, &dir), at(&dir)].concat();
    words.extend(["--topic", "dead-letter", "--topic", "reads"].map(str::to_owned));
    json(words).await;
    let letters = record_lines(&dead);
    assert_eq!(letters.len(), 2, "{letters:?}");
    let output = run(&import(&dead)).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("1 records of receipts.dead-letter are in the file, and are not imported"), "{said}");
    assert!(said.contains("the file has nothing of receipts.conversations"), "{said}");
    assert!(output.status.success(), "{said}");
}
