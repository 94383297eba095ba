//! Places that have nothing, too little, or something damaged: nothing is passed over in silence, and what is whole stays
//! usable.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    time::{SystemTime, UNIX_EPOCH},
};

use receipt_proto::timestamp_from_ms;
use receipt_tests::{
    ctl,
    digests::digests,
    poll::until,
    server::{DataDir, Server},
    session::{counts, something_happens},
};
use serde_json::Value;

use crate::{
    conversations::FOLD_MAX,
    inspect::{list, stopped},
    snapshot::{Place, send},
};

async fn run(line: &str) -> Output {
    ctl::start_alone(&line.split_whitespace().collect::<Vec<_>>()).output().await
}

/// What a command says that fails.
async fn failure(line: &str) -> String {
    let output = run(line).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}: {said}");
    said
}

async fn json(line: &str) -> Value {
    ctl::json(&run(&format!("{line} --json")).await)
}

/// A receiptd, stopped, whose state went into two snapshots; the digests of its state at each.
async fn two_snapshots(dir: &DataDir, place: &Place) -> [Vec<receipt_store::Digest>; 2] {
    let server = Server::start(dir, &["--partitions", "2"]).await;
    something_happens(&server).await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    let first = digests(dir);
    place.json(dir, "snapshot create", &[]).await;
    let server = Server::start(dir, &["--partitions", "2"]).await;
    send(&server, "m2").await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    place.json(dir, "snapshot create", &[]).await;
    [first, digests(dir)]
}

/// The directories of a unit's snapshots, the oldest first.
fn snapshots(place: &Place, unit: &str) -> Vec<PathBuf> {
    let log = fs::read_dir(&place.url).unwrap().next().unwrap().unwrap().path();
    let mut found: Vec<_> = fs::read_dir(log.join(unit)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// The receipts that have two snapshots, as something happened in between.
fn home(place: &Place) -> String {
    let home = (0..2).map(|partition| format!("receipts-{partition}")).find(|unit| snapshots(place, unit).len() == 2);
    home.expect("one of the two has changed")
}

fn cut(snapshot: &Path) {
    let manifest = snapshot.join("manifest.json");
    let bytes = fs::read(&manifest).unwrap();
    fs::write(&manifest, &bytes[..bytes.len() / 2]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_does_not_exist_or_lacks_something_is_no_success() {
    let dir = DataDir::new();
    let place = Place::folder(&dir);
    two_snapshots(&dir, &place).await;
    let (site, nowhere) = (stopped(&dir), dir.beside("nowhere").display().to_string());
    for line in [
        format!("snapshot list --from {nowhere}"),
        format!("snapshot verify --from {nowhere}"),
        format!("snapshot verify --from file://{nowhere} --json"),
        format!("snapshot restore --from {nowhere} {site}"),
        format!("log trim --all --snapshots {nowhere} {site}"),
        format!("replay verify --from {nowhere} {site}"),
        format!("replay rebuild --from {nowhere} {site}"),
        format!("replay as-of 1:1 {site} --from {nowhere} receipts team m1"),
    ] {
        let said = failure(&line).await;
        assert!(said.contains("there is no folder") && said.contains("/nowhere"), "{line}: {said}");
    }
    assert!(!Path::new(&nowhere).exists(), "nothing was made");

    let empty = dir.beside("empty");
    fs::create_dir(&empty).unwrap();
    let said = failure(&format!("snapshot verify --from {}", empty.display())).await;
    assert!(said.contains("nothing was verified") && said.contains("has no snapshot"), "{said}");
    let listed = ctl::stdout(&run(&format!("snapshot list --from {}", empty.display())).await);
    assert!(listed.contains("has no snapshot"), "{listed}");
    let said = failure(&format!("snapshot verify --from {} --partition 7", place.url)).await;
    assert!(said.contains("nothing was verified") && said.contains("has no snapshot of partition 7"), "{said}");
    let said = failure(&format!("snapshot verify --from {} --log-id 00", place.url)).await;
    assert!(said.contains("nothing was verified") && said.contains("of log 00"), "{said}");

    assert_eq!(json(&format!("snapshot verify --from {}", place.url)).await["intact"], true);
    for snapshot in snapshots(&place, "inboxes-1") {
        fs::remove_dir_all(snapshot).unwrap();
    }
    let said = failure(&format!("snapshot verify --from {}", place.url)).await;
    assert!(said.contains("has no snapshot of inboxes-1"), "{said}");
    let output = run(&format!("snapshot verify --from {} --json", place.url)).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["intact"], &answer["missing"][0]["unit"]), (&false.into(), &"inboxes-1".into()), "{answer}");
    assert_eq!(json(&format!("snapshot verify --from {} --partition 0", place.url)).await["intact"], true);
}

/// The newest manifest is cut: the older snapshot is restored, folded from, and kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_manifest_hides_no_older_snapshot() {
    let dir = DataDir::new();
    let place = Place::folder(&dir);
    let [first, second] = two_snapshots(&dir, &place).await;
    let (site, url, home) = (stopped(&dir), place.url.clone(), home(&place));
    let partition: u32 = home.strip_prefix("receipts-").unwrap().parse().unwrap();
    let names: Vec<_> =
        snapshots(&place, &home).iter().map(|one| one.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    cut(&snapshots(&place, &home)[1]);

    // Listed as what it is, and named by verify.
    let listed = json(&format!("snapshot list --from {url}")).await;
    let of_home: Vec<_> = list(&listed, "snapshots").iter().filter(|one| one["unit"] == *home).collect();
    assert!(of_home[0]["error"].is_null() && of_home[1]["error"].as_str().unwrap().contains("is damaged"), "{listed}");
    let text = ctl::stdout(&run(&format!("snapshot list --from {url}")).await);
    assert!(text.contains("cannot be restored") && text.contains("is damaged"), "{text}");
    let said = failure(&format!("snapshot verify --from {url}")).await;
    assert!(said.contains("1 snapshots cannot be restored"), "{said}");

    // Proved and folded from the older one.
    for what in ["verify", "rebuild"] {
        let output = run(&format!("replay {what} --from {url} {site} --json")).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(ctl::json(&output)["equal"], false);
        assert!(said.contains("passed over: the snapshot") && said.contains(&names[1]), "{said}");
        assert_eq!(digests(&dir), second);
    }

    // A trim counts the whole one, and says so.
    let trims = json(&format!("log trim --all --dry-run --snapshots {url} {site}")).await;
    let of_home = list(&trims, "partitions")
        .iter()
        .find(|one| one["topic"] == "receipts.conversations" && one["partition"].as_u64() == Some(partition.into()));
    let why = of_home.unwrap()["why"].as_str().unwrap();
    assert!(why.starts_with("behind the snapshot") && why.contains(&names[0]), "{why}");

    // Restored, also by time: when the damaged one was created, nobody can say.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let before = timestamp_from_ms(u64::try_from(since_1970.as_millis()).unwrap() + 60_000).to_string();
    for more in [String::new(), format!(" --before {before}")] {
        let restored = json(&format!("snapshot restore --from {url} --partition {partition} {site}{more}")).await;
        let of_home = list(&restored, "snapshots").iter().find(|one| one["unit"] == *home).unwrap();
        assert_eq!(of_home["name"], names[0], "{restored}");
        assert!(of_home["passed_over"][0].as_str().unwrap().contains("is damaged"), "{restored}");
        assert_eq!(digests(&dir)[partition as usize], first[partition as usize]);
    }
    let said =
        failure(&format!("snapshot restore --from {url} --partition {partition} --at {} {site}", names[1])).await;
    assert!(said.contains("is damaged"), "{said}");

    // Made again where it was, whole; and what is kept is whole.
    let server = Server::start(&dir, &["--partitions", "2"]).await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    assert_eq!(digests(&dir), second);
    cut(&snapshots(&place, &home)[0]);
    let created = json(&format!("snapshot create --to {url} --keep 1 {site}")).await;
    let of_home = list(&created, "snapshots").iter().find(|one| one["unit"] == *home).unwrap();
    assert_eq!((&of_home["was_there"], &of_home["name"]), (&false.into(), &names[1].clone().into()), "{created}");
    assert_eq!(snapshots(&place, &home).len(), 1, "the older one was damaged");
    assert_eq!(json(&format!("snapshot verify --from {url}")).await["intact"], true);
}

/// Without a bound everything behind the only snapshot would go: it has to be said, and the server says what went.
#[tokio::test(flavor = "multi_thread")]
async fn a_trim_needs_a_bound_and_the_server_logs_what_went() {
    let dir = DataDir::new();
    let place = Place::folder(&dir);
    let server = Server::start(&dir, &["--partitions", "1", "--snapshots", &place.url]).await;
    something_happens(&server).await;
    let at = server.folded(FOLD_MAX).await[0].positions[0].applied_offset;
    // Another one than that of the first round.
    until("the snapshot is the only one", FOLD_MAX, async || {
        let created = ctl::json(&ctl::run(&server, &["snapshot", "create", "--json"]).await);
        (list(&created, "snapshots")[0]["was_there"] == true).then_some(())
    })
    .await;
    for snapshot in snapshots(&place, "receipts-0").iter().rev().skip(1) {
        fs::remove_dir_all(snapshot).unwrap();
    }
    for words in [&["log", "trim"][..], &["log", "trim", "--dry-run"], &["log", "trim", "--all", "--older-than", "1d"]]
    {
        let output = ctl::run(&server, words).await;
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
    }
    let starts = async || {
        let around = ctl::json(&ctl::run(&server, &["log", "trim", "--all", "--dry-run", "--json"]).await);
        let of = |one: &&Value| one["topic"] == "receipts.conversations";
        list(&around, "partitions").iter().find(of).unwrap()["start_offset"].as_u64()
    };
    assert_eq!(starts().await, Some(0), "nothing has gone");
    drop(ctl::stdout(&ctl::run(&server, &["log", "trim", "--all"]).await));
    assert_eq!(starts().await, Some(at));
    let logged = fs::read_to_string(dir.path().with_extension("stderr")).unwrap();
    let line = logged.lines().find(|line| line.contains("the log was trimmed") && line.contains("conversations"));
    let line = line.unwrap_or_else(|| panic!("{logged}"));
    for said in ["from=0", &format!("to_before={at}"), "TrimLog from 127.0.0.1:"] {
        assert!(line.contains(said), "{said}: {line}");
    }
    server.term().await;
}

/// The interval is a day, and the server never runs for so long.
#[tokio::test(flavor = "multi_thread")]
async fn the_interval_counts_from_the_newest_snapshot() {
    let dir = DataDir::new();
    let place = Place::folder(&dir);
    let flags = ["--partitions", "1", "--snapshots", &place.url];
    let server = Server::start(&dir, &flags).await;
    something_happens(&server).await;
    let taken = async |count: usize| {
        until("snapshots are taken", FOLD_MAX, async || {
            if !Path::new(&place.url).is_dir() {
                return None;
            }
            let listed = json(&format!("snapshot list --from {}", place.url)).await;
            let of = |one: &&Value| one["unit"] == "receipts-0";
            (list(&listed, "snapshots").iter().filter(of).count() == count).then_some(())
        })
        .await;
    };
    taken(1).await;
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
    send(&server, "m2").await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    // A day ago, as far as its manifest says.
    let due = |age_ms: u64| {
        for unit in fs::read_dir(fs::read_dir(&place.url).unwrap().next().unwrap().unwrap().path()).unwrap() {
            for snapshot in fs::read_dir(unit.unwrap().path()).unwrap() {
                let manifest = snapshot.unwrap().path().join("manifest.json");
                // What a round that was stopped has left has none.
                let Ok(bytes) = fs::read(&manifest) else { continue };
                let mut value: Value = serde_json::from_slice(&bytes).unwrap();
                let created_at_ms = value["created_at_ms"].as_u64().unwrap();
                value["created_at_ms"] = (created_at_ms - age_ms).into();
                fs::write(&manifest, serde_json::to_vec(&value).unwrap()).unwrap();
            }
        }
    };
    due(25 * 3_600_000);
    let server = Server::start(&dir, &flags).await;
    taken(2).await;
    server.term().await;
    // Not due: the next one is said to be in some 23 hours.
    due(3_600_000);
    let server = Server::start(&dir, &flags).await;
    until("it is said when the first round is due", FOLD_MAX, async || {
        let logged = fs::read_to_string(dir.path().with_extension("stderr")).unwrap();
        let last = logged.lines().rfind(|line| line.contains("first_round_in="))?.to_owned();
        last.contains("first_round_in=82").then_some(())
    })
    .await;
    server.term().await;
}
