//! What was answered earlier is answered again, where the log has lost its beginning, from the snapshots; and where they are
//! not old enough, the refusal names the oldest moment that can be.

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use receipt_proto::timestamp_from_ms;
use receipt_test_engine as engine;
use receipt_tests::{
    ctl,
    poll::until,
    server::{DataDir, Server},
};
use serde_json::Value;

use crate::{
    conversations::FOLD_MAX,
    inspect::{command, publish, stopped, text},
    inspect_trimmed::trim,
    snapshot::Place,
};

/// The moment in docs/operations.md.
const DOCUMENTED: &str = "2026-03-01T12:00:00Z";
const TICK_MAX: Duration = Duration::from_secs(5);

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// This moment; what comes next arrives later.
async fn moment() -> String {
    let now = now_ms();
    until("the clock has moved", TICK_MAX, async || (now_ms() > now).then_some(())).await;
    timestamp_from_ms(now).to_string()
}

/// Read and unread of m1, m2 and m3, or the error.
async fn counts(output: Output) -> Result<Vec<String>, String> {
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    // An answer in which a message has an error is printed, too.
    if output.stdout.is_empty() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |result: &Value| match result["error"].as_str() {
        Some(error) => error.to_owned(),
        None => format!("{}/{}", result["receipt"]["read_count"], result["receipt"]["unread_count"]),
    };
    Ok(answer["results"].as_array().unwrap().iter().map(of).collect())
}

fn words(moment: &str, how: &str) -> Vec<String> {
    let line = format!("replay as-of {moment} {how} receipts --conversation team m1 m2 m3 --json");
    line.split_whitespace().map(str::to_owned).collect()
}

async fn live(server: &Server, moment: &str) -> Result<Vec<String>, String> {
    let words = words(moment, "");
    counts(ctl::run(server, &words.iter().map(String::as_str).collect::<Vec<_>>()).await).await
}

async fn alone(moment: &str, how: &str) -> Result<Vec<String>, String> {
    let words = words(moment, how);
    counts(ctl::start_alone(&words.iter().map(String::as_str).collect::<Vec<_>>()).output().await).await
}

/// The moments that were asked for, and what was true at each.
struct Moments {
    too_early: String,
    /// After the first snapshot, with one message; after the second one, with two.
    one: String,
    two: String,
    /// The offsets of the first snapshot.
    offsets: (u64, u64),
}

async fn session(server: &Server) -> Moments {
    assert_eq!(publish(server, "group-create team alice bob carol --group-type work").await, "APPLIED");
    assert_eq!(publish(server, "send team m1 --sender alice --all").await, "APPLIED");
    let too_early = moment().await;
    text(server, "read team m1 --user bob --wait").await;
    let at = server.folded(FOLD_MAX).await[0].positions.clone();
    text(server, "snapshot create").await;
    let one = moment().await;
    assert_eq!(publish(server, "send team m2 --sender alice --all").await, "APPLIED");
    text(server, "read team m2 --user carol --wait").await;
    server.folded(FOLD_MAX).await;
    text(server, "snapshot create").await;
    let two = moment().await;
    assert_eq!(publish(server, "send team m3 --sender alice --all").await, "APPLIED");
    text(server, "mark team --user bob --up-to m3 --wait").await;
    server.folded(FOLD_MAX).await;
    Moments { too_early, one, two, offsets: (at[0].applied_offset, at[1].applied_offset) }
}

async fn are_right(ask: impl AsyncFn(&str) -> Result<Vec<String>, String>, at: &Moments) {
    let right = |counts: [&str; 3]| Ok(counts.map(str::to_owned).to_vec());
    let (c, r) = at.offsets;
    assert_eq!(ask(&at.one).await, right(["1/1", "NOT_FOUND", "NOT_FOUND"]));
    assert_eq!(ask(&at.two).await, right(["1/1", "1/1", "NOT_FOUND"]));
    assert_eq!(ask("9999-01-01T00:00:00Z").await, right(["1/1", "2/0", "1/1"]));
    assert_eq!(ask(&format!("{c}:{r}")).await, right(["1/1", "NOT_FOUND", "NOT_FOUND"]));
    assert_eq!(ask(&format!("{}:{r}", c + 1)).await, right(["1/1", "0/2", "NOT_FOUND"]));

    let refused = ask(&at.too_early).await.unwrap_err();
    let oldest = refused.split_once("the oldest moment that can be answered is ").expect(&refused).1;
    let (time, rest) = oldest.split_once(", or the offsets ").expect(&refused);
    assert!(rest.starts_with(&format!("{c}:{r};")) && rest.contains("--snapshot-keep"), "{refused}");
    assert_eq!(ask(time).await, right(["1/1", "NOT_FOUND", "NOT_FOUND"]), "at {time}");
    let refused = ask(&format!("{}:{r}", c - 1)).await.unwrap_err();
    assert!(refused.contains(&format!("or the offsets {c}:{r};")), "{refused}");
    let refused = ask(&c.to_string()).await.unwrap_err();
    assert!(refused.contains("is not known any more; give a time"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_trim_earlier_moments_are_answered_from_snapshots() {
    let dir = DataDir::new();
    let place = Place::folder(&dir);
    let flags = ["--partitions", "1", "--snapshots", &place.url, "--snapshot-interval", "0s"];
    let server = Server::start(&dir, &flags).await;
    let at = session(&server).await;
    trim(&server, &dir, 0, at.offsets.0, at.offsets.1).await;
    are_right(async |moment| live(&server, moment).await, &at).await;
    server.term().await;
    assert!(!dir.path().join("replay").exists(), "nothing is left over");

    let from = format!("--from {}", place.url);
    let how = format!("{} {from}", stopped(&dir));
    are_right(async |moment| alone(moment, &how).await, &at).await;
    let documented = command(
        &format!("replay as-of {DOCUMENTED} --data-dir"),
        &[
            ("/var/lib/receiptd", &dir.path().display().to_string()),
            ("/var/backups/receiptd", &place.url),
            (DOCUMENTED, &at.two),
        ],
    );
    let kafka = stopped(&dir).split_once(" --kafka").map(|(_, kafka)| format!("--kafka{kafka}")).unwrap_or_default();
    let documented = documented.replace(" receipts ", &format!(" {kafka} receipts ")) + " --json";
    let answer = ctl::start_alone(&documented.split_whitespace().collect::<Vec<_>>()).output().await;
    assert_eq!(counts(answer).await, Ok(vec!["1/1".to_owned()]), "{documented}");
    if let Some(servers) = dir.kafka() {
        let (prefix, aside) = (engine::topic_prefix(&dir.path()), dir.beside("aside"));
        let how = format!("--kafka {servers} --topic-prefix {prefix} --aside {} {from}", aside.display());
        are_right(async |moment| alone(moment, &how).await, &at).await;
    }
    let refused = alone(&at.two, &stopped(&dir)).await.unwrap_err();
    assert!(refused.contains("of a stopped one, give --from PLACE"), "{refused}");

    // A snapshot that is damaged hides no other.
    let mut snapshots = manifests(Path::new(&place.url));
    snapshots.sort();
    let (older, newer) = (&snapshots[0], &snapshots[1]);
    cut(newer);
    let right = ["1/1", "1/1", "NOT_FOUND"].map(str::to_owned).to_vec();
    assert_eq!(alone(&at.two, &how).await, Ok(right.clone()));
    cut(older);
    let refused = alone(&at.two, &how).await.unwrap_err();
    assert!(refused.contains("is damaged") && refused.contains("receiptctl snapshot create"), "{refused}");
    let server = Server::start(&dir, &flags).await;
    let refused = live(&server, &at.two).await.unwrap_err();
    assert!(refused.contains("is damaged") && refused.contains("receiptctl snapshot create"), "{refused}");
    server.term().await;
}

/// The manifests of receipts.
fn manifests(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(manifests(&path));
        } else if path.ends_with("manifest.json") && path.to_str().unwrap().contains("/receipts-0/") {
            found.push(path);
        }
    }
    found
}

fn cut(manifest: &Path) {
    let bytes = std::fs::read(manifest).unwrap();
    std::fs::write(manifest, &bytes[..bytes.len() / 2]).unwrap();
}
