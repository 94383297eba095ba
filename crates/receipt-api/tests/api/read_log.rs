//! Records as they stand in the log, told to operators.

use receipt_log::{NewRecord, StoredRecord, Topic};
use receipt_proto::v1;
use tonic::{Code, Status, Streaming};

use crate::harness::*;

fn request(topic: Topic, partition: u32) -> v1::ReadLogRequest {
    v1::ReadLogRequest { topic: topic.name().to_owned(), partition, ..v1::ReadLogRequest::default() }
}

async fn open(server: &Server, request: v1::ReadLogRequest) -> Result<Streaming<v1::ReadLogResponse>, Status> {
    Ok(server.admin.clone().read_log(request).await?.into_inner())
}

/// What the first response says, and all records.
async fn all(server: &Server, request: v1::ReadLogRequest) -> (v1::LogDescription, Vec<v1::LogRecord>) {
    let mut responses = open(server, request).await.unwrap();
    let first = responses.message().await.unwrap().unwrap();
    assert!(first.records.is_empty());
    let mut records = Vec::new();
    while let Some(response) = responses.message().await.unwrap() {
        assert!(response.log.is_none() && !response.records.is_empty());
        let bytes: usize = response.records.iter().map(|record| record.value.as_ref().map_or(0, Vec::len)).sum();
        assert!(bytes <= 1 << 20 || response.records.len() == 1, "{bytes}");
        records.extend(response.records);
    }
    (first.log.unwrap(), records)
}

fn told(record: &StoredRecord) -> v1::LogRecord {
    let header =
        |(name, value): &(String, bytes::Bytes)| v1::RecordHeader { name: name.clone(), value: value.to_vec() };
    v1::LogRecord {
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.as_ref().map(|key| key.to_vec()),
        value: record.value.as_ref().map(|value| value.to_vec()),
        headers: record.headers.iter().map(header).collect(),
    }
}

/// Records of all shapes, some of them large.
async fn fill(server: &Server) -> Vec<v1::LogRecord> {
    let record = |n: u32| {
        let value = (n % 5 != 4).then(|| vec![7; if n.is_multiple_of(50) { 900_000 } else { 10 }].into());
        let headers = (0..n % 3).map(|header| (format!("h{header}"), n.to_be_bytes().to_vec().into())).collect();
        NewRecord { key: (n % 3 != 2).then(|| n.to_be_bytes().to_vec().into()), value, headers }
    };
    for chunk in 0..10 {
        let records = (chunk * 50..chunk * 50 + 50).map(record).collect();
        server.log.append(Topic::Deltas, 1, records).await.unwrap();
    }
    let mut stored = Vec::new();
    loop {
        let next = stored.last().map_or(0, |last: &StoredRecord| last.offset + 1);
        let more = server.log.read(Topic::Deltas, 1, next, 1000, 1 << 22).unwrap();
        if more.is_empty() {
            return stored.iter().map(told).collect();
        }
        stored.extend(more);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_as_they_are_in_portions() {
    let server = Server::with(Setup { unfolded: true, ..Setup::default() }).await;
    let stored = fill(&server).await;
    let (log, records) = all(&server, request(Topic::Deltas, 1)).await;
    assert!(records == stored, "{} of {}", records.len(), stored.len());
    assert_eq!((log.partitions, log.start_offset), (PARTITIONS, stored[0].offset));
    assert_eq!((log.log_id, log.origin), (server.log.id().to_string(), server.log.origin()));
    assert_eq!(log.end_offset, server.log.end_offset(Topic::Deltas, 1));
    assert_eq!(log.settings.unwrap().max_group_members, 100_000);
    let (from, to) = (stored[120].offset, stored[130].offset);
    let span = v1::ReadLogRequest { from_offset: Some(from), to_offset: Some(to), ..request(Topic::Deltas, 1) };
    assert_eq!(all(&server, span).await.1, stored[120..130]);
    let only = v1::ReadLogRequest { description_only: true, ..request(Topic::Deltas, 1) };
    assert!(all(&server, only).await.1.is_empty());
    assert!(all(&server, request(Topic::Deltas, 2)).await.1.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_meanwhile_is_not_told_and_a_stream_that_nobody_reads_holds_nobody_up() {
    let server = Server::with(Setup { unfolded: true, ..Setup::default() }).await;
    let stored = fill(&server).await;
    let mut slow = open(&server, request(Topic::Deltas, 1)).await.unwrap();
    slow.message().await.unwrap();
    server.log.append(Topic::Deltas, 1, vec![NewRecord::new("k", "late")]).await.unwrap();
    assert_eq!(all(&server, request(Topic::Deltas, 1)).await.1.len(), stored.len() + 1);
    let mut records = 0;
    while let Some(response) = slow.message().await.unwrap() {
        records += response.records.len();
    }
    assert_eq!(records, stored.len());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_by_its_field() {
    let server = Server::with(Setup { unfolded: true, ..Setup::default() }).await;
    fill(&server).await;
    let good = request(Topic::Deltas, 1);
    let end = server.log.end_offset(Topic::Deltas, 1);
    let cases = [
        (v1::ReadLogRequest { topic: "chats".to_owned(), ..good.clone() }, "topic"),
        (v1::ReadLogRequest { partition: PARTITIONS, ..good.clone() }, "partition"),
        (v1::ReadLogRequest { from_offset: Some(end + 1), ..good.clone() }, "from_offset"),
        (v1::ReadLogRequest { to_offset: Some(end + 1), ..good.clone() }, "to_offset"),
        (v1::ReadLogRequest { from_offset: Some(5), to_offset: Some(4), ..good.clone() }, "to_offset"),
    ];
    for (request, field) in cases {
        let answer = server.admin.clone().read_log(request).await;
        refused(answer, Code::InvalidArgument, "INVALID_FIELD", field, None);
    }
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(self::open(&server, good.clone()).await.unwrap());
    }
    let answer = server.admin.clone().read_log(good).await;
    refused(answer, Code::ResourceExhausted, "TOO_MANY_STREAMS", "", Some(16));
    // Whoever does not read is waited for at the end, for a while.
    drop(open);
    server.stop().await;
}
