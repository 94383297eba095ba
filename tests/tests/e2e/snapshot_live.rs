//! Snapshots beside a receiptd that serves, and its log trimmed behind them.

use std::fs;

use receipt_ctl::dataset::Kind;
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
    import,
    snapshot::{Place, send},
};

/// Snapshots, trims and folds from snapshots beside a server that serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiptd_that_serves_takes_snapshots_and_trims_its_log_behind_them() {
    let dir = DataDir::new();
    let place = Place::folder(&dir);
    let flags = ["--snapshots", &place.url, "--snapshot-interval", "0s", "--snapshot-keep", "2"];
    let server = Server::start(&dir, &flags).await;
    import::end(import::start(&server, &dir, Kind::CollegeMsg)).await;
    something_happens(&server).await;
    server.folded(FOLD_MAX).await;
    let live = async |args: &[&str]| ctl::json(&ctl::run(&server, &[args, &["--json"]].concat()).await);
    let units = if dir.kafka().is_some() { 8 } else { 9 };
    let created = live(&["snapshot", "create"]).await;
    assert_eq!(created["snapshots"].as_array().map(Vec::len), Some(units), "{created}");
    for message in ["m2", "m3"] {
        send(&server, message).await;
        server.folded(FOLD_MAX).await;
        live(&["snapshot", "create"]).await;
    }
    let listed = place.json(&dir, "snapshot list", &[]).await;
    let home = |one: &&Value| one["unit"].as_str().is_some_and(|unit| unit.starts_with("receipts-"));
    let names = listed["snapshots"].as_array().unwrap().iter().filter(home).count();
    assert_eq!(names, 5, "one of each that did not change, two of the one that did: {listed}");
    assert_eq!(place.json(&dir, "snapshot verify", &[]).await["intact"], true);

    let would = live(&["log", "trim", "--all", "--dry-run"]).await;
    let trimmed = live(&["log", "trim", "--all"]).await;
    assert_eq!(would["partitions"], trimmed["partitions"]);
    let records = trimmed["partitions"].as_array().unwrap().iter().map(|one| one["records"].as_u64().unwrap());
    assert!(records.sum::<u64>() > 90_000, "{trimmed}");
    // The log has lost its beginning: a snapshot stands for it.
    for what in ["verify", "rebuild", "verify"] {
        let done = live(&["replay", what]).await;
        assert_eq!(done["partitions"].as_array().map(Vec::len), Some(4), "{done}");
        assert_ne!(done["equal"], false, "{done}");
    }
    live(&["replay", "rebuild", "--partition", "0", "--from-snapshot"]).await;
    send(&server, "m4").await;
    server.folded(FOLD_MAX).await;
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
    server.term().await;
    let before = digests(&dir);

    // Whatever is wrong with a store, it comes back while the others serve.
    fs::write(dir.path().join("receipts/1/CURRENT"), "MANIFEST-999999\n").unwrap();
    let server = Server::start_unchecked(&dir, "127.0.0.1:0", &flags).await;
    assert!(server.receipt_partitions().await[1].sealed.contains("CURRENT is damaged"));
    let rebuilt = ctl::json(&ctl::run(&server, &["replay", "rebuild", "--partition", "1", "--json"]).await);
    assert_eq!(rebuilt["partitions"].as_array().map(Vec::len), Some(1), "{rebuilt}");
    assert_eq!(server.receipt_partitions().await[1].sealed, "", "it serves once the rebuild has ended");
    server.folded(FOLD_MAX).await;
    server.term().await;
    assert_eq!(digests(&dir), before);

    // Without a place there are none.
    let server = Server::start(&dir, &[]).await;
    let refused = ctl::run(&server, &["snapshot", "create"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("start it with --snapshots"), "{said}");
}

/// The embedded log does not grow for ever, when it is told not to.
#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_is_trimmed_by_itself() {
    let dir = DataDir::by_flags();
    let place = Place::folder(&dir);
    let flags =
        ["--snapshots", &place.url, "--snapshot-interval", "200ms", "--snapshot-keep", "1", "--log-retention", "0s"];
    let server = Server::start(&dir, &flags).await;
    something_happens(&server).await;
    for n in 2..40 {
        send(&server, &format!("m{n}")).await;
    }
    server.folded(FOLD_MAX).await;
    let begins = async || {
        let around = ctl::run(&server, &["log", "trim", "--all", "--dry-run", "--json"]).await;
        let json = ctl::json(&around);
        let starts = json["partitions"].as_array().unwrap().iter().map(|one| one["start_offset"].as_u64().unwrap());
        starts.max().filter(|start| *start >= 38)
    };
    until("the log is trimmed behind its snapshots", FOLD_MAX, begins).await;
    let verified = ctl::json(&ctl::run(&server, &["replay", "verify", "--json"]).await);
    assert_eq!(verified["equal"], true, "{verified}");
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
    server.kill_9();
    let server = Server::start(&dir, &flags).await;
    server.folded(FOLD_MAX).await;
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
    server.term().await;
}

/// R7: the others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_partition_keeps_no_other_from_its_snapshot() {
    let dir = DataDir::new();
    let place = Place::folder(&dir);
    let flags = ["--snapshots", &place.url, "--snapshot-interval", "0s"];
    let server = Server::start(&dir, &flags).await;
    something_happens(&server).await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    fs::write(dir.path().join("receipts/0/CURRENT"), "MANIFEST-999999\n").unwrap();
    let server = Server::start_unchecked(&dir, "127.0.0.1:0", &flags).await;
    let refused = ctl::run(&server, &["snapshot", "create"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("is sealed"), "{said}");
    let listed = place.json(&dir, "snapshot list", &[]).await;
    let units: Vec<_> =
        listed["snapshots"].as_array().unwrap().iter().map(|one| one["unit"].as_str().unwrap()).collect();
    let mut expected =
        vec!["receipts-1", "receipts-2", "receipts-3", "inboxes-0", "inboxes-1", "inboxes-2", "inboxes-3"];
    if dir.kafka().is_none() {
        expected.insert(0, "log");
    }
    assert_eq!(units, expected);
}
