//! One flipped bit in the embedded log: receiptd refuses the start and names the way on, as docs/operations.md says.

use std::path::{Path, PathBuf};

use receipt_proto::v1;
use receipt_tests::{
    ctl,
    events::{group_created, sent_to_all},
    files::{contents, copy, flip},
    server::{DataDir, Server, receiptd_to_its_end},
    session::{counts, something_happens},
};
use serde_json::Value;

use crate::{
    conversations::FOLD_MAX,
    log_file::{command, is_prefix, record_lines, run},
};

/// Messages of a large conversation, so that the log has several blocks; and of a small one.
const MESSAGES: usize = 3_000;
const LATER: usize = 40;

/// A data directory as a crash leaves it, with records in a table file and in the WAL, and what its log has.
async fn crashed() -> (DataDir, String, Vec<String>) {
    let dir = DataDir::by_flags();
    let server = Server::start(&dir, &[]).await;
    something_happens(&server).await;
    publish(&server, vec![group_created("large", "work", &["ann", "ben"])]).await;
    for thousand in 0..MESSAGES / 1_000 {
        let numbers = thousand * 1_000..(thousand + 1) * 1_000;
        publish(&server, numbers.map(|n| sent_to_all("large", &format!("message-{n}"), "ann")).collect()).await;
    }
    server.folded(FOLD_MAX).await;
    server.term().await;
    let server = Server::start(&dir, &[]).await;
    for n in 0..LATER {
        publish(&server, vec![sent_to_all("team", &format!("later-{n}"), "alice")]).await;
    }
    let request = v1::SendMessageReadReceiptsRequest {
        user_id: "carol".into(),
        conversation_id: "team".into(),
        message_ids: vec!["m1".into()],
        wait: true,
    };
    let read = server.receipts().send_message_read_receipts(request).await.unwrap().into_inner();
    let all = dir.beside("all.jsonl");
    let exported = ctl::run(&server, &["log", "export", all.to_str().unwrap()]).await;
    drop(ctl::stdout(&exported));
    server.kill_9();
    (dir, read.consistency_token, record_lines(&all))
}

async fn publish(server: &Server, events: Vec<v1::ConversationEvent>) {
    let request = v1::PublishConversationEventsRequest { events, wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
}

/// The largest file of the log with such a name.
fn file(log: &Path, part: &str) -> PathBuf {
    let files = contents(log).into_iter().filter(|(name, _)| name.contains(part));
    log.join(files.max_by_key(|(_, bytes)| bytes.len()).unwrap().0)
}

/// What the export says that it leaves out, and what it has written.
async fn exported(damaged: &DataDir) -> (Value, Vec<String>, PathBuf) {
    let (log, whole, lines) = (damaged.path().join("log"), damaged.beside("whole.pb"), damaged.beside("whole.jsonl"));
    let before = contents(&log);
    let words = command("export whole.pb", &whole, damaged);
    let output = run(&[words.clone(), vec!["--json".to_owned()]].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("the log is damaged: "), "{said}");
    let again = run(&command("export whole.pb", &lines, damaged)).await;
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(again.status.code() == Some(3), "{text}");
    assert!(text.contains("\ndamage: ") || text.contains(" ends before offset "), "{text}");
    assert!(contents(&log) == before, "the log stays as it is");
    assert!(!damaged.path().join("replay").exists(), "the copy is deleted");
    (serde_json::from_slice(&output.stdout).unwrap(), record_lines(&lines), whole)
}

/// Goes on from the file in a new data directory.
async fn goes_on(whole: &Path, old_token: &str) {
    let next = DataDir::by_flags();
    let imported = run(&command("import whole.pb", whole, &next)).await;
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let server = Server::start(&next, &[]).await;
    server.folded(FOLD_MAX).await;
    assert_eq!(counts(&server, None).await, Ok((2, 0)));
    let refused = counts(&server, Some(old_token)).await.unwrap_err();
    assert!(refused.contains("another log"), "{refused}");
    // What was acknowledged and is lost is sent again.
    something_happens(&server).await;
    assert_eq!(counts(&server, None).await, Ok((2, 0)));
    server.term().await;
}

/// Flips a bit in a copy of the data directory; the file's name.
fn damaged(base: &DataDir, name: &str, at: impl Fn(usize) -> (usize, u8)) -> (DataDir, String) {
    let damaged = DataDir::by_flags();
    copy(&base.path(), &damaged.path());
    let file = file(&damaged.path().join("log"), name);
    let (at, bit) = at(std::fs::metadata(&file).unwrap().len().try_into().unwrap());
    flip(&file, at, bit);
    (damaged, file.file_name().unwrap().to_str().unwrap().to_owned())
}

/// receiptd does not start on it, and says why and what to do.
async fn is_refused(damaged: &DataDir, name: &str) {
    let output = receiptd_to_its_end(damaged, &[]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(&format!("{name} is damaged: at byte ")), "{said}");
    assert!(said.contains("`receiptctl log export --until-damage`"), "{said}");
}

/// Records that it says are left out.
fn left_out(exported: &Value) -> u64 {
    let partitions = exported["left_out"]["partitions"].as_array().unwrap().iter();
    partitions.map(|one| one["known_end_offset"].as_u64().unwrap() - one["from_offset"].as_u64().unwrap()).sum()
}

fn of_input_topics(exported: &Value) -> usize {
    usize::try_from(exported["records"].as_u64().unwrap() + left_out(exported)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_after_a_flipped_bit_in_the_log_one_goes_on_from_what_is_whole() {
    let (base, token, all) = crashed().await;

    // The WAL: the write that is damaged is left out, and in its partition all that follows.
    let (dir, name) = damaged(&base, ".log", |bytes| (bytes / 2, 3));
    is_refused(&dir, &name).await;
    let (said, lines, whole) = exported(&dir).await;
    assert!(said["left_out"]["damage"][0].as_str().unwrap().contains(&name), "{said}");
    assert!(is_prefix(&lines, &all) && lines.len() > MESSAGES && lines.len() < all.len(), "{} lines", lines.len());
    assert_eq!(of_input_topics(&said), all.len(), "{said}");
    goes_on(&whole, &token).await;

    // The MANIFEST, in the type of its first record: all records can be read without it.
    let (dir, name) = damaged(&base, "MANIFEST", |_| (6, 2));
    is_refused(&dir, &name).await;
    let (said, lines, whole) = exported(&dir).await;
    assert!(said["left_out"]["damage"][0].as_str().unwrap().contains(&name), "{said}");
    assert_eq!((left_out(&said), lines.len()), (0, all.len()), "{said}");
    goes_on(&whole, &token).await;

    // A table file, in its middle: the records before.
    let (dir, name) = damaged(&base, ".sst", |bytes| (bytes / 2, 5));
    let (said, lines, _) = exported(&dir).await;
    let file = dir.path().join("log").join(name).display().to_string();
    assert!(said["left_out"]["partitions"].to_string().contains(&file), "{said}");
    assert!(is_prefix(&lines, &all) && !lines.is_empty() && lines.len() < all.len(), "{} lines", lines.len());
    assert_eq!(of_input_topics(&said), all.len(), "{said}");
}

/// Of a log that is whole, it is the same as without the flag.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_whole_log_nothing_is_left_out() {
    let (dir, _, all) = crashed().await;
    let lines = dir.beside("whole.jsonl");
    let output = run(&command("export whole.pb", &lines, &dir)).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && record_lines(&lines) == all, "{said}");
}
