use std::path::Path;

use receipt_log::{Clock, CopiedRecord, EmbeddedOptions, Log, NewRecord, Topic};
use tokio::sync::watch;

use super::*;
use crate::copy::run;

fn open(dir: &Path, partitions: u32) -> Log {
    let (dir, clock) = (dir.to_path_buf(), Clock::System);
    let options = EmbeddedOptions { dir, partitions, retention_ms: 0, accept_clock_jump: false, clock };
    Log::open_embedded(options).unwrap()
}

/// Two logs of two partitions, and what they stand in.
fn two() -> (tempfile::TempDir, Log, Log) {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (open(&dir.path().join("source"), 2), open(&dir.path().join("target"), 2));
    (dir, source, target)
}

/// A record that has all there is, or lacks it.
fn record(n: u64) -> CopiedRecord {
    let key = (n % 5 != 4).then(|| format!("key {}", n % 7).into());
    let value = (n % 11 != 10).then(|| format!("value {n}").into());
    let headers = (0..n % 3).map(|header| (format!("name {}", header / 2), format!("{n}").into())).collect();
    let timestamp_ms = (n % 13 != 12).then_some(if n.is_multiple_of(17) { 0 } else { 1_000_000 - n });
    CopiedRecord { record: NewRecord { key, value, headers }, timestamp_ms }
}

async fn append(log: &Log, numbers: std::ops::Range<u64>) {
    log.append_copied(Topic::Reads, 1, numbers.map(record).collect()).await.unwrap();
}

/// Copies one partition; nobody stops it.
async fn walked(source: &Log, target: &Log) -> Result<Copied, CopyError> {
    let (_stop, stopped) = watch::channel(false);
    walk(place(source, target), &stopped, |_| ()).await
}

fn place<'a>(source: &'a Log, target: &'a Log) -> Place<'a> {
    let (topic, partition) = (Topic::Reads, 1);
    let end = source.end_offset(topic, partition);
    Place { source, target, topic, partition, end, timestamps: Timestamps::default() }
}

/// All but their offsets.
fn contents(log: &Log) -> Vec<CopiedRecord> {
    log.read(Topic::Reads, 1, 0, usize::MAX, usize::MAX).unwrap().into_iter().map(copy).collect()
}

#[tokio::test]
async fn all_of_a_record_is_copied_and_a_second_run_verifies() {
    let (_dir, source, target) = two();
    append(&source, 0..2_500).await;
    assert_eq!(walked(&source, &target).await, Ok(Copied { compared: 0, appended: 2_500, verified: 2_500 }));
    assert_eq!(contents(&target), (0..2_500).map(record).collect::<Vec<_>>());
    assert_eq!(walked(&source, &target).await, Ok(Copied { compared: 2_500, ..Copied::default() }));
    append(&source, 2_500..2_503).await;
    assert_eq!(walked(&source, &target).await, Ok(Copied { compared: 2_500, appended: 3, verified: 3 }));
    assert_eq!(target.end_offset(Topic::Reads, 0), 0, "nothing elsewhere");
}

#[tokio::test]
async fn what_comes_to_the_source_meanwhile_is_not_copied() {
    let (_dir, source, target) = two();
    append(&source, 0..10).await;
    let place = place(&source, &target);
    append(&source, 10..20).await;
    let (_stop, stopped) = watch::channel(false);
    assert_eq!(walk(place, &stopped, |_| ()).await.unwrap().appended, 10);
}

#[tokio::test]
async fn a_copy_that_was_stopped_between_chunks_goes_on() {
    let (_dir, source, target) = two();
    append(&source, 0..3_500).await;
    let (stop, stopped) = watch::channel(false);
    let at_two_chunks = |records| {
        if records >= 2_000 {
            stop.send_replace(true);
        }
    };
    assert_eq!(walk(place(&source, &target), &stopped, at_two_chunks).await, Err(CopyError::Stopped));
    assert_eq!(target.end_offset(Topic::Reads, 1), 2_000);
    assert_eq!(walked(&source, &target).await, Ok(Copied { compared: 2_000, appended: 1_500, verified: 1_500 }));
    assert_eq!(contents(&target), contents(&source));
}

type Change = fn(&mut CopiedRecord);

#[tokio::test]
async fn the_first_difference_is_named_and_nothing_is_appended() {
    let headers = vec![("a".to_owned(), "1".into()), ("b".to_owned(), "2".into())];
    let record_8 = CopiedRecord { record: NewRecord { headers, ..record(8).record }, timestamp_ms: Some(5) };
    let cases: [(_, Change); 7] = [
        ("keys", |record| record.record.key = None),
        ("keys", |record| record.record.key = Some("".into())),
        ("values", |record| record.record.value = Some("value 9".into())),
        ("headers", |record| record.record.headers.reverse()),
        ("headers", |record| record.record.headers.clear()),
        ("timestamps", |record| record.timestamp_ms = None),
        ("timestamps", |record| record.timestamp_ms = Some(6)),
    ];
    for (what, change) in cases {
        let (_dir, source, target) = two();
        let mut changed = record_8.clone();
        change(&mut changed);
        for (log, record_8) in [(&source, record_8.clone()), (&target, changed)] {
            append(log, 0..8).await;
            log.append_copied(Topic::Reads, 1, vec![record_8]).await.unwrap();
        }
        append(&source, 9..20).await;
        let error = walked(&source, &target).await.unwrap_err();
        let (topic, partition) = (Topic::Reads, 1);
        assert_eq!(error, CopyError::Differs { topic, partition, source_offset: 8, target_offset: 8, what });
        let said = error.to_string();
        assert!(said.starts_with("receipts.reads/1: the record at offset 8 of the source"), "{said}");
        assert_eq!(target.end_offset(topic, partition), 9, "nothing was appended");
    }
}

#[tokio::test]
async fn a_target_that_has_more_is_refused() {
    let (_dir, source, target) = two();
    append(&source, 0..5).await;
    append(&target, 0..7).await;
    let (topic, partition) = (Topic::Reads, 1);
    let longer = CopyError::Longer { topic, partition, target_offset: 5, records: 5 };
    assert_eq!(walked(&source, &target).await, Err(longer));
}

#[tokio::test]
async fn of_a_whole_log_the_topics_that_come_in_are_copied() {
    let (_dir, source, target) = two();
    for topic in Topic::ALL {
        for partition in 0..2 {
            let records = (0..u64::from(partition) + 3).map(record).collect();
            source.append_copied(topic, partition, records).await.unwrap();
        }
    }
    let (_stop, stopped) = watch::channel(false);
    let done = run(&source, &target, Timestamps::default(), &stopped, true).await.unwrap();
    let appended: Vec<_> = done.iter().map(|done| (done.topic, done.partition, done.copied.appended)).collect();
    let (conversations, reads) = (Topic::Conversations, Topic::Reads);
    assert_eq!(appended, [(conversations, 0, 3), (conversations, 1, 4), (reads, 0, 3), (reads, 1, 4)]);
    for topic in [Topic::Deltas, Topic::DeadLetter] {
        assert_eq!((target.end_offset(topic, 0), target.end_offset(topic, 1)), (0, 0), "{topic}");
    }
}

#[tokio::test]
async fn a_trimmed_source_and_a_log_into_itself_are_refused() {
    let (_dir, source, target) = two();
    append(&source, 0..10).await;
    let (_stop, stopped) = watch::channel(false);
    let error = run(&source, &source, Timestamps::default(), &stopped, true).await.unwrap_err().to_string();
    assert!(error.starts_with("source and target are the same log: embedded log "), "{error}");
    source.trim(Topic::Reads, 1, 4).unwrap();
    let error = run(&source, &target, Timestamps::default(), &stopped, true).await.unwrap_err().to_string();
    assert!(error.starts_with("receipts.reads/1 of the source begins at offset 4: "), "{error}");
    assert_eq!(target.end_offset(Topic::Reads, 1), 0);
}
