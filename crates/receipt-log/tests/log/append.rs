//! Appending: order, offsets, many callers, limits, the end of it.

use std::collections::HashMap;

use bytes::Bytes;
use receipt_log::{
    ErrorKind, LogError, NewRecord, RECORD_HEADERS_MAX, RECORD_KEY_AND_HEADERS_MAX_BYTES, RECORD_VALUE_MAX_BYTES,
    StoredRecord, Topic,
};

use crate::support::{open, read_all, record, records, text};

#[tokio::test]
async fn records_come_back_as_they_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let headers = vec![("reason".to_owned(), Bytes::from("poison")), ("reason".to_owned(), Bytes::new())];
    let given = [
        NewRecord::new("key", "value"),
        NewRecord { headers: headers.clone(), ..NewRecord::new("", "") },
        NewRecord::default(),
    ];
    let appended = log.append(Topic::DeadLetter, 3, given.to_vec()).await.unwrap();
    assert_eq!(
        appended.iter().map(|a| (a.offset, a.timestamp_ms)).collect::<Vec<_>>(),
        [(0, 1_000), (1, 1_000), (2, 1_000)]
    );
    // Of a topic that has had one leader; the embedded log has none.
    let leader_epoch = receipt_test_engine::kafka().map(|_| 0);
    let expected: Vec<_> = given
        .into_iter()
        .zip(0..)
        .map(|(NewRecord { key, value, headers }, offset)| StoredRecord {
            offset,
            timestamp_ms: Some(1_000),
            key,
            value,
            headers,
            leader_epoch,
        })
        .collect();
    assert_eq!(read_all(&log, Topic::DeadLetter, 3, 0).unwrap(), expected);
}

#[tokio::test]
async fn each_partition_of_each_topic_counts_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let batches = vec![
        (Topic::Reads, 1, records(0..2)),
        (Topic::Reads, 2, records(10..11)),
        (Topic::Deltas, 1, vec![]),
        (Topic::Reads, 1, records(2..4)),
        (Topic::Conversations, 1, records(20..21)),
    ];
    let appended = log.append_many(batches).await.unwrap();
    let offsets: Vec<Vec<_>> = appended.iter().map(|batch| batch.iter().map(|a| a.offset).collect()).collect();
    assert_eq!(offsets, [vec![0, 1], vec![0], vec![], vec![2, 3], vec![0]]);
    let values: Vec<_> = read_all(&log, Topic::Reads, 1, 0).unwrap().iter().map(text).collect();
    assert_eq!(values, ["value 0", "value 1", "value 2", "value 3"]);
    assert_eq!(log.end_offset(Topic::Reads, 1), 4);
    assert_eq!(log.end_offset(Topic::Deltas, 1), 0);
}

#[tokio::test]
async fn nothing_to_append_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    assert_eq!(log.append(Topic::Reads, 0, vec![]).await, Ok(vec![]));
    assert_eq!(log.append_many(vec![]).await, Ok(vec![]));
}

/// Each caller's records keep their order, and nobody's offset is anybody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_two_callers_at_once_get_dense_offsets() {
    const CALLERS: u64 = 32;
    const EACH: u64 = 40;
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut offsets = Vec::new();
                for n in 0..EACH {
                    let number = caller * EACH + n;
                    offsets.push((log.append(Topic::Reads, 0, vec![record(number)]).await.unwrap()[0].offset, number));
                }
                offsets
            })
        })
        .collect();
    let mut acknowledged = HashMap::new();
    for caller in callers {
        let offsets = caller.await.unwrap();
        assert!(offsets.is_sorted());
        acknowledged.extend(offsets);
    }
    let stored = read_all(&log, Topic::Reads, 0, 0).unwrap();
    assert_eq!(stored.len() as u64, CALLERS * EACH);
    for stored in stored {
        assert_eq!(text(&stored), format!("value {}", acknowledged[&stored.offset]));
    }
}

#[tokio::test]
async fn threads_that_may_wait_append_too() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let appended = tokio::task::spawn_blocking(move || {
        assert_eq!(log.append_blocking(Topic::Deltas, 0, records(0..3)).unwrap()[2].offset, 2);
        assert_eq!(log.append_many_blocking(vec![(Topic::Deltas, 0, records(3..4))]).unwrap()[0][0].offset, 3);
    });
    appended.await.unwrap();
}

#[tokio::test]
async fn a_record_over_a_limit_is_refused_with_its_whole_request() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let fits = NewRecord::new("key", vec![0; RECORD_VALUE_MAX_BYTES]);
    let value = NewRecord::new("key", vec![0; RECORD_VALUE_MAX_BYTES + 1]);
    let key = NewRecord::new(vec![0; RECORD_KEY_AND_HEADERS_MAX_BYTES + 1], "value");
    let headers = vec![(String::new(), Bytes::new()); RECORD_HEADERS_MAX];
    let most = NewRecord { headers: headers.clone(), ..record(1) };
    let headers = NewRecord { headers: [headers, vec![Default::default()]].concat(), ..record(1) };
    for (too_large, message) in [
        (headers, "a record may have 1000 headers, and this one has 1001"),
        (value, "a record's value may have 1000000 bytes, and this one has 1000001"),
        (key, "a record's key and headers may have 65536 bytes, and this one has 65537"),
    ] {
        let error = log.append(Topic::Reads, 0, vec![record(0), too_large]).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), (message, ErrorKind::Invalid));
    }
    assert_eq!(log.append(Topic::Reads, 0, vec![fits, most.clone()]).await.unwrap()[0].offset, 0);
    assert_eq!(read_all(&log, Topic::Reads, 0, 1).unwrap()[0].headers, most.headers);
}

#[tokio::test]
async fn a_request_larger_than_a_write_is_appended_whole() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let large = vec![NewRecord::new("key", vec![7; RECORD_VALUE_MAX_BYTES]); 20];
    assert_eq!(log.append(Topic::Reads, 0, large.clone()).await.unwrap().len(), 20);
    let mut reader = log.reader(Topic::Reads, 0, 0);
    for _ in &large {
        reader.wait().await.unwrap();
        let records = reader.poll(100, 1).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].value, large[0].value);
    }
}

#[tokio::test]
async fn a_partition_that_is_not_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let error = LogError::NoSuchPartition { partition: 4, last: 3 };
    assert_eq!(log.append(Topic::Reads, 4, records(0..1)).await, Err(error.clone()));
    assert_eq!(log.read(Topic::Reads, 4, 0, 1, 1), Err(error.clone()));
    assert_eq!(log.trim(Topic::Reads, 4, 0), Err(error.clone()));
    assert_eq!(log.reader(Topic::Reads, 4, 0).wait().await, Err(error));
    assert_eq!((log.start_offset(Topic::Reads, 4), log.end_offset(Topic::Reads, 4)), (0, 0));
}

/// What was queued before is appended and answered; what comes after is refused; what there is can still be read.
#[tokio::test]
async fn closing_loses_nothing_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let callers: Vec<_> = (0..50)
        .map(|n| {
            let log = log.clone();
            tokio::spawn(async move { log.append(Topic::Reads, 0, vec![record(n)]).await })
        })
        .collect();
    tokio::task::yield_now().await;
    log.close().unwrap();
    let mut appended = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(_) => appended += 1,
            Err(error) => assert_eq!(error, LogError::Closed),
        }
    }
    assert_eq!(log.append(Topic::Reads, 0, records(0..1)).await, Err(LogError::Closed));
    assert_eq!(log.trim(Topic::Reads, 0, 0), Err(LogError::Closed));
    assert_eq!(read_all(&log, Topic::Reads, 0, 0).unwrap().len(), appended);
    log.close().unwrap();
}
