//! Reading, waiting and trimming.

use receipt_log::{LogError, Topic};

use crate::support::{open, read_all, records, text};

#[tokio::test]
async fn reads_are_bounded_by_records_and_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    log.append(Topic::Reads, 0, records(0..100)).await.unwrap();
    let offsets = |from, max_records, max_bytes| -> Vec<u64> {
        log.read(Topic::Reads, 0, from, max_records, max_bytes).unwrap().iter().map(|record| record.offset).collect()
    };
    assert_eq!(offsets(0, 3, 10_000), [0, 1, 2]);
    assert_eq!(offsets(98, 3, 10_000), [98, 99]);
    assert_eq!(offsets(5, 3, 0), [5]);
    assert!(offsets(5, 0, 10_000).is_empty());
    assert!(offsets(100, 3, 10_000).is_empty());
    let some = offsets(0, 100, 200).len();
    assert!((2..20).contains(&some), "{some}");
    let past = LogError::PastEnd { topic: Topic::Reads, partition: 0, from: 101, end: 100 };
    assert_eq!(log.read(Topic::Reads, 0, 101, 1, 1), Err(past));
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    log.append(Topic::Reads, 0, records(0..1_000)).await.unwrap();
    log.append(Topic::Reads, 1, records(0..1_000)).await.unwrap();
    let mut reader = log.reader(Topic::Reads, 0, 10);
    let mut seen = 10;
    while seen < 1_000 {
        reader.wait().await.unwrap();
        let records = reader.poll(70, 1_000_000).unwrap();
        assert!(!records.is_empty() && records.len() <= 70);
        for record in records {
            assert_eq!((record.offset, text(&record)), (seen, format!("value {seen}")));
            seen += 1;
        }
        assert_eq!(reader.position(), seen);
    }
    assert!(reader.poll(70, 1_000_000).unwrap().is_empty());
    reader.seek(999);
    reader.wait().await.unwrap();
    assert_eq!(reader.poll(70, 1_000_000).unwrap().len(), 1);
}

#[tokio::test]
async fn who_waits_at_the_end_is_woken_by_an_append_and_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let mut reader = log.reader(Topic::Reads, 2, 0);
    let tail = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 20 {
            reader.wait().await.unwrap();
            seen.extend(reader.poll(3, 1_000).unwrap());
        }
        seen
    });
    for n in 0..20 {
        log.append(Topic::Reads, 2, records(n..n + 1)).await.unwrap();
    }
    let seen = tail.await.unwrap();
    assert!(seen.iter().map(|record| record.offset).eq(0..20));
    assert_eq!(log.end_offset(Topic::Reads, 2), 20);
    assert_eq!(log.end_offset(Topic::Reads, 1), 0);
}

#[tokio::test]
async fn closing_wakes_who_waits_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    log.append(Topic::Reads, 0, records(0..1)).await.unwrap();
    let (mut behind, mut at_end) = (log.reader(Topic::Reads, 0, 0), log.reader(Topic::Reads, 0, 1));
    let tail = tokio::spawn(async move { at_end.wait().await });
    tokio::task::yield_now().await;
    log.close().unwrap();
    assert_eq!(tail.await.unwrap(), Err(LogError::Closed));
    assert_eq!(behind.wait().await, Ok(()));
}

#[tokio::test]
async fn what_was_trimmed_is_gone_and_the_rest_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    log.append(Topic::Reads, 0, records(0..10)).await.unwrap();
    log.append(Topic::Reads, 1, records(0..10)).await.unwrap();
    log.trim(Topic::Reads, 0, 7).unwrap();
    log.trim(Topic::Reads, 0, 3).unwrap();
    assert_eq!(log.start_offset(Topic::Reads, 0), 7);
    let trimmed = LogError::Trimmed { topic: Topic::Reads, partition: 0, from: 0, start: 7 };
    assert_eq!(log.read(Topic::Reads, 0, 0, 10, 1_000), Err(trimmed.clone()));
    let mut reader = log.reader(Topic::Reads, 0, 0);
    reader.wait().await.unwrap();
    assert_eq!(reader.poll(10, 1_000), Err(trimmed));
    assert!(read_all(&log, Topic::Reads, 0, 7).unwrap().iter().map(|record| record.offset).eq(7..10));
    assert_eq!(read_all(&log, Topic::Reads, 1, 0).unwrap().len(), 10);
    let past = LogError::PastEnd { topic: Topic::Reads, partition: 0, from: 11, end: 10 };
    assert_eq!(log.trim(Topic::Reads, 0, 11), Err(past));
}
