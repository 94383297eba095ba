//! docs/operations.md: what a receiptd does by itself, an upgrade, and each seal with the cure that its text names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use receipt_codec::{key::Kind as Row, row::identity};
use receipt_log::{Log, Topic};
use receipt_proto::v1;
use receipt_tests::{
    ctl,
    document::blocks,
    events,
    files::{copy, flip},
    poll::until,
    server::{DataDir, Server, receiptd_to_its_end},
    session::{counts, something_happens},
};
use rocksdb::{DB, Direction, IteratorMode, Options};
use serde_json::Value;

use crate::conversations::FOLD_MAX;

/// A data directory on the embedded log, and its place for snapshots.
struct Site {
    dir: DataDir,
    place: String,
}

impl Site {
    fn new() -> Self {
        let dir = DataDir::by_flags();
        let place = dir.beside("snapshots").display().to_string();
        Self { dir, place }
    }

    async fn serve(&self) -> Server {
        Server::start(&self.dir, &["--snapshots", &self.place]).await
    }

    async fn serve_unchecked(&self) -> Server {
        let server = Server::start_unchecked(&self.dir, "127.0.0.1:0", &["--snapshots", &self.place]).await;
        until("all partitions serve or are sealed", FOLD_MAX, async || {
            let partitions = server.partitions().await;
            partitions.iter().all(|one| !one.sealed.contains("catching up")).then_some(())
        })
        .await;
        server
    }

    /// A session, folded and in a snapshot; the partition that it is in.
    async fn with_a_snapshot(&self) -> u32 {
        let server = self.serve().await;
        something_happens(&server).await;
        let partitions = server.folded(FOLD_MAX).await;
        drop(ctl::stdout(&ctl::run(&server, &words(&documented("receiptctl snapshot create"))).await));
        server.term().await;
        partitions.iter().find(|one| one.messages > 0).unwrap().partition
    }

    fn store(&self, of: &str, partition: u32) -> PathBuf {
        self.dir.path().join(of).join(partition.to_string())
    }

    /// Runs a command on a receiptd that is stopped, as its words or a document say.
    async fn run(&self, command: &str) {
        let path = self.dir.path().display().to_string();
        let command = command.replace("/var/lib/receiptd", &path).replace("/var/backups/receiptd", &self.place);
        let command = command.replace(" PLACE ", &format!(" {} ", self.place));
        match command.strip_prefix("rm -r ") {
            Some(dirs) => dirs.split(' ').for_each(|dir| fs::remove_dir_all(dir).unwrap()),
            None => drop(ctl::stdout(&ctl::start_alone(&words(&command)).output().await)),
        }
    }

    /// It serves again, with what the log says.
    async fn is_whole(&self, messages: (u32, u32)) {
        let server = self.serve().await;
        server.folded(FOLD_MAX).await;
        assert_eq!(counts(&server, None).await, Ok(messages));
        let partitions = server.partitions().await;
        assert!(partitions.iter().all(|one| one.sealed.is_empty()), "{partitions:?}");
        server.term().await;
    }
}

/// A command's words behind its name.
fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().skip(1).collect()
}

/// The command of docs/operations.md that begins so.
fn documented(beginning: &str) -> String {
    let blocks = blocks("docs/operations.md", "sh").concat();
    let line = blocks.lines().find(|line| line.starts_with(beginning));
    line.unwrap_or_else(|| panic!("docs/operations.md has no `{beginning}`")).to_owned()
}

/// The command that a text names.
fn cure(why: &str) -> String {
    why.split('`').nth(1).unwrap_or_else(|| panic!("no command: {why}")).to_owned()
}

/// Why partitions do not serve, of both projections.
async fn seals(server: &Server) -> Vec<(v1::Projection, u32, String)> {
    let partitions = server.partitions().await.into_iter().filter(|one| !one.sealed.is_empty());
    partitions.map(|one| (one.projection(), one.partition, one.sealed)).collect()
}

async fn send(server: &Server, message: &str) {
    let sent = vec![events::sent_to_all("team", message, "alice")];
    let request = v1::PublishConversationEventsRequest { events: sent, wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
}

/// Gives a row the version byte that a newer format would have.
fn of_a_newer_format(store: &Path, key: &[u8]) {
    let db = DB::open(&Options::default(), store).unwrap();
    let mut value = db.get(key).unwrap().expect("a row");
    value[0] += 1;
    db.put(key, value).unwrap();
    db.flush().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiptd_takes_snapshots_and_trims_its_log_by_itself() {
    let site = Site::new();
    let flags = ["--snapshots", &site.place, "--snapshot-interval", "1s", "--snapshot-keep", "2", "--log-retention"];
    let server = Server::start(&site.dir, &[&flags[..], &["1s"]].concat()).await;
    something_happens(&server).await;
    let mut message = 1;
    let trimmed = until("the log is trimmed", FOLD_MAX, async || {
        message += 1;
        send(&server, &format!("m{message}")).await;
        let would = ctl::run(&server, &["log", "trim", "--all", "--dry-run", "--json"]).await;
        let would = ctl::json(&would);
        let partitions = would["partitions"].as_array().unwrap();
        partitions.iter().any(|one| one["start_offset"].as_u64() > Some(0)).then(|| would.clone())
    })
    .await;
    assert_eq!(trimmed["dry_run"], true);
    drop(ctl::stdout(&ctl::run(&server, &words(&documented("receiptctl log trim"))).await));
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
    server.term().await;
    let listed = ctl::json(&ctl::start_alone(&["snapshot", "list", "--from", &site.place, "--json"]).output().await);
    let snapshots = listed["snapshots"].as_array().unwrap();
    for unit in (0..4).flat_map(|n| [format!("receipts-{n}"), format!("inboxes-{n}")]).chain(["log".to_owned()]) {
        let of_unit = snapshots.iter().filter(|one: &&Value| one["unit"] == *unit).count();
        assert!((1..=2).contains(&of_unit), "{unit}: {listed}");
    }
    // Without what was trimmed.
    site.run("receiptctl replay verify --data-dir /var/lib/receiptd --from /var/backups/receiptd").await;
}

/// R7: a receiptd that is older than its state does not read it. Back: restored, and the rest is folded.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_is_refused_and_the_way_back_is_a_restore() {
    let site = Site::new();
    site.with_a_snapshot().await;
    let server = site.serve().await;
    send(&server, "m2").await;
    server.term().await;
    for partition in 0..4 {
        of_a_newer_format(&site.store("receipts", partition), &identity::key());
        of_a_newer_format(&site.store("inboxes", partition), &identity::key());
    }
    let refused = receiptd_to_its_end(&site.dir, &[]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("version 2, this is version 1"), "{said}");
    site.run(&documented("receiptctl snapshot restore")).await;
    site.is_whole((1, 1)).await;
    site.run(&documented("receiptctl replay verify --data-dir")).await;

    let format = [0, b'f'];
    let log = site.dir.path().join("log");
    let write = |version: u32| {
        let db = DB::open(&Options::default(), &log).unwrap();
        db.put(format, version.to_be_bytes()).unwrap();
    };
    write(2);
    let refused = receiptd_to_its_end(&site.dir, &[]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("its format is 2, and this version knows 1 only"), "{said}");
    write(1);
    site.is_whole((1, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_row_that_a_query_finds_damaged_is_mended_beside_the_receiptd_that_says_how() {
    let site = Site::new();
    let home = site.with_a_snapshot().await;
    let db = DB::open_for_read_only(&Options::default(), site.store("receipts", home), false).unwrap();
    let first = [Row::Message as u8];
    let (key, _) = db.iterator(IteratorMode::From(&first, Direction::Forward)).next().unwrap().unwrap();
    drop(db);
    of_a_newer_format(&site.store("receipts", home), &key);
    of_a_newer_format(&site.store("inboxes", home), &identity::key());
    let server = site.serve_unchecked().await;
    assert!(counts(&server, None).await.is_err());
    let seals = seals(&server).await;
    assert_eq!(seals.iter().map(|(_, partition, _)| *partition).collect::<Vec<_>>(), [home, home], "{seals:?}");
    let (receipts, inboxes): (Vec<_>, Vec<_>) =
        seals.into_iter().partition(|(projection, ..)| *projection == v1::Projection::Receipts);
    assert!(receipts[0].2.contains("the store is damaged: undecodable "), "{receipts:?}");
    drop(ctl::stdout(&ctl::run(&server, &words(&cure(&receipts[0].2))).await));
    let served = until("it serves again", FOLD_MAX, async || counts(&server, None).await.ok()).await;
    assert_eq!(served, (1, 1));
    server.term().await;
    assert!(inboxes[0].2.contains("; stop receiptd and `rm -r "), "{inboxes:?}");
    site.run(&cure(&inboxes[0].2)).await;
    site.is_whole((1, 1)).await;
}

/// Gives the second record of a store's MANIFEST a type that makes RocksDB read it over and over; the file's name.
fn of_a_recyclable_type(store: &Path) -> String {
    let name = fs::read_to_string(store.join("CURRENT")).unwrap().trim_end().to_owned();
    let bytes = fs::read(store.join(&name)).unwrap();
    let second = 7 + usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    assert_eq!(bytes[second + 6], 1);
    flip(&store.join(&name), second + 6, 2);
    name
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_flipped_type_in_a_manifest_is_named_and_seals_its_partition_only() {
    let site = Site::new();
    let home = site.with_a_snapshot().await;
    let names = ["receipts", "inboxes"].map(|of| of_a_recyclable_type(&site.store(of, home)));
    let data_dir = site.dir.path().display().to_string();
    let verified = ctl::start_alone(&["replay", "verify", "--data-dir", &data_dir]).output().await;
    let said = format!("{verified:?}");
    assert!(
        verified.status.code() == Some(1) && said.contains(&names[0]) && said.contains("damaged: at byte"),
        "{said}"
    );

    let server = site.serve_unchecked().await;
    let mut seals = seals(&server).await;
    seals.sort_by_key(|(projection, ..)| *projection);
    assert_eq!(seals.iter().map(|(_, partition, _)| *partition).collect::<Vec<_>>(), [home, home], "{seals:?}");
    for ((_, _, why), name) in seals.iter().zip(&names) {
        assert!(why.contains(name) && why.contains("damaged: at byte"), "{why}");
    }
    drop(ctl::stdout(&ctl::run(&server, &words(&cure(&seals[0].2))).await));
    let (status, _) = server.term().await;
    assert!(status.success(), "{status}");
    site.run(&cure(&seals[1].2)).await;
    site.is_whole((1, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_store_that_the_log_was_trimmed_past_is_restored_by_the_command_that_it_names() {
    let site = Site::new();
    let home = site.with_a_snapshot().await;
    let (store, older) = (site.store("receipts", home), site.dir.beside("older"));
    copy(&store, &older);
    let server = site.serve().await;
    send(&server, "m2").await;
    server.folded(FOLD_MAX).await;
    drop(ctl::stdout(&ctl::run(&server, &["snapshot", "create"]).await));
    server.term().await;
    fs::remove_dir_all(&store).unwrap();
    copy(&older, &store);
    let log = Log::open_embedded_existing(&site.dir.path().join("log")).unwrap();
    log.trim(Topic::Conversations, home, log.end_offset(Topic::Conversations, home)).unwrap();
    log.close().unwrap();
    drop(log);

    let server = site.serve_unchecked().await;
    let seals = seals(&server).await;
    server.term().await;
    let [(v1::Projection::Receipts, partition, why)] = seals.as_slice() else { panic!("{seals:?}") };
    assert!(*partition == home && why.contains("the records in between are trimmed"), "{why}");
    site.run(&cure(why)).await;
    site.is_whole((1, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_store_ahead_of_its_log_is_folded_anew_as_its_text_says() {
    let site = Site::new();
    let home = site.with_a_snapshot().await;
    let (log, older) = (site.dir.path().join("log"), site.dir.beside("older"));
    copy(&log, &older);
    let server = site.serve().await;
    send(&server, "m2").await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    fs::remove_dir_all(&log).unwrap();
    copy(&older, &log);

    let server = site.serve_unchecked().await;
    let seals = seals(&server).await;
    server.term().await;
    assert!(!seals.is_empty() && seals.iter().all(|(_, partition, _)| *partition == home), "{seals:?}");
    for (_, _, why) in &seals {
        assert!(why.contains("records were lost"), "{why}");
        site.run(&cure(why)).await;
    }
    site.is_whole((1, 1)).await;
    site.run(&documented("receiptctl replay verify --data-dir")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_record_that_is_missing_seals_and_a_restore_into_an_empty_directory_mends_it() {
    let site = Site::new();
    let home = site.with_a_snapshot().await;
    let mut key = vec![1];
    key.extend(home.to_be_bytes());
    key.extend(1_u64.to_be_bytes());
    let log = DB::open(&Options::default(), site.dir.path().join("log")).unwrap();
    assert!(log.get(&key).unwrap().is_some());
    log.delete(&key).unwrap();
    drop(log);
    fs::remove_dir_all(site.store("receipts", home)).unwrap();

    let server = site.serve_unchecked().await;
    let seals = seals(&server).await;
    server.term().await;
    let why = &seals.iter().find(|(projection, ..)| *projection == v1::Projection::Receipts).unwrap().2;
    assert!(why.contains(&format!("receipts.conversations/{home} is damaged at offset 1")), "{why}");
    assert!(why.contains(&format!("`{}` into an empty data directory", cure(why))), "{why}");
    fs::remove_dir_all(site.dir.path()).unwrap();
    let restore = documented("receiptctl snapshot restore");
    assert!(restore.starts_with(&cure(why)), "{restore}");
    site.run(&restore).await;
    site.is_whole((1, 1)).await;
}
