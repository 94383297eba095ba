//! R8, S39 on Kafka: records over the log's limits, which other producers may write, are dead letters that fit.

use std::time::Duration;

use prost::Message as _;
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use receipt_log::{Log, RECORD_KEY_AND_HEADERS_MAX_BYTES, Topic};
use receipt_proto::v1::{self, RecordPart};
use receipt_tests::{
    events,
    server::Server,
    session::{counts, reason},
    topics,
};

use crate::site::{PREFIX, Site};

/// librdkafka reads no more than 100,000, and then none at all.
const MANY_HEADERS: usize = 50_000;
const FOLDED_MAX: Duration = Duration::from_secs(60);

/// What another producer writes: key, value, and the bytes of one header; 0: very many headers that have no bytes.
fn write(site: &Site, partition: u32, records: &[(&str, &[u8], usize)]) {
    let mut config = topics::config(&site.broker.bootstrap());
    let producer: BaseProducer = config.set("message.max.bytes", "2000000").create().unwrap();
    let topic = format!("{PREFIX}{}", Topic::Conversations.name());
    for (key, value, header_bytes) in records {
        let header = "x".repeat(header_bytes.saturating_sub(1));
        let headers = match header_bytes {
            0 => (0..MANY_HEADERS)
                .fold(OwnedHeaders::new(), |headers, _| headers.insert(Header { key: "", value: None::<&[u8]> })),
            _ => OwnedHeaders::new().insert(Header { key: "h", value: Some(&header) }),
        };
        let record = BaseRecord::to(&topic).partition(i32::try_from(partition).unwrap()).key(*key).payload(*value);
        producer.send(record.headers(headers)).map_err(|(why, _)| why).unwrap();
    }
    producer.flush(FOLDED_MAX).unwrap();
}

async fn retry(server: &Server, letter: &v1::DeadLetter) -> Result<v1::RetryDeadLettersResponse, tonic::Status> {
    let letter = v1::DeadLetterRef { partition: letter.partition, offset: letter.offset };
    let request = v1::RetryDeadLettersRequest { dead_letters: vec![letter] };
    server.admin().retry_dead_letters(request).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn records_over_the_limits_are_dead_letters_and_their_partition_goes_on() {
    let site = Site::new().await;
    let home = Log::open_kafka(site.options()).await.unwrap().partition_for(b"team");
    let server = site.serve().await;
    let group = events::group_created("team", "work", &["alice", "bob"]).encode_to_vec();
    let sent = events::sent_to_all("team", "m1", "alice").encode_to_vec();
    let long_key = "k".repeat(RECORD_KEY_AND_HEADERS_MAX_BYTES + 1);
    let records: [(&str, &[u8], usize); 6] = [
        ("team", &[0; 1_500_000], 7),
        ("team", &group, 100_000),
        (&long_key, &group, 7),
        // Within the limits, until it is said why it was refused.
        ("team", b"no event", RECORD_KEY_AND_HEADERS_MAX_BYTES - 4),
        ("team", &sent, 7),
        ("team", &sent, 0),
    ];
    write(&site, home, &records);
    let letters = async || {
        let log = Log::open_kafka(site.options()).await.unwrap();
        receipt_test_engine::reaches(&log, Topic::DeadLetter, home, 6).await;
        server.folded(FOLDED_MAX).await;
        let request = v1::ListDeadLettersRequest { partition: Some(home), ..Default::default() };
        server.admin().list_dead_letters(request).await.unwrap().into_inner().dead_letters
    };
    let letters = letters().await;
    let seen: Vec<(_, _, Vec<_>)> = letters
        .iter()
        .map(|letter| (letter.reason.as_str(), letter.value_bytes, letter.left_out().collect()))
        .collect();
    let size = |bytes: usize| format!("key and headers have {bytes} bytes, at most 65536 are allowed");
    let group_bytes = group.len() as u64;
    assert_eq!(
        seen[0],
        ("the value has 1500000 bytes, at most 1000000 are allowed", 1_500_000, vec![RecordPart::Value])
    );
    assert_eq!(seen[1], (size(100_004).as_str(), group_bytes, vec![RecordPart::Headers]));
    assert_eq!(seen[2], (size(long_key.len() + 7).as_str(), group_bytes, vec![RecordPart::Key]));
    assert_eq!((seen[3].1, &seen[3].2), (8, &vec![RecordPart::Headers]));
    assert!(seen[4].2.is_empty(), "{seen:?}");
    let many = format!("the record has {MANY_HEADERS} headers, at most 1000 are allowed");
    assert_eq!(seen[5], (many.as_str(), sent.len() as u64, vec![RecordPart::Headers]));

    let refused = retry(&server, &letters[0]).await.unwrap_err();
    assert_eq!(reason(&refused), "DEAD_LETTER_INCOMPLETE");
    assert!(refused.message().contains(&format!("receipts.conversations {home}/")), "{refused}");
    assert_eq!(reason(&retry(&server, &letters[2]).await.unwrap_err()), "DEAD_LETTER_INCOMPLETE");
    // Without its headers it is as good.
    retry(&server, &letters[1]).await.unwrap();
    let token = retry(&server, &letters[4]).await.unwrap().consistency_token;
    assert_eq!(counts(&server, Some(&token)).await, Ok((0, 1)));
    assert!(server.receipt_partitions().await.iter().all(|partition| partition.sealed.is_empty()));
}
