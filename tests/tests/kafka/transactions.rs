//! Producers that write in transactions: their markers take offsets that no record has, and what was aborted counts for
//! nothing.

use std::time::Duration;

use prost::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use receipt_log::Topic;
use receipt_proto::v1::{self, read_event::Target};
use receipt_tests::{
    poll::until,
    session::{counts, something_happens},
    topics,
};

use crate::site::Site;

const STEP_MAX: Duration = Duration::from_secs(30);

/// That somebody has read the message that [`something_happens`] sends.
fn read(reader: &str) -> Vec<u8> {
    let target = Target::Messages(v1::MessageIds { message_ids: vec!["m1".to_owned()] });
    let (conversation_id, reader_id) = ("team".to_owned(), reader.to_owned());
    v1::ReadEvent { conversation_id, reader_id, read_at: None, target: Some(target) }.encode_to_vec()
}

/// R2, R8: it serves, live and after a start, although the log's last offsets are no records.
#[tokio::test(flavor = "multi_thread")]
async fn markers_are_passed_over_and_aborted_records_do_not_count() {
    let site = Site::new().await;
    let server = site.serve().await;
    something_happens(&server).await;
    let bootstrap = site.broker.bootstrap();
    let topic = site.options().topic_name(Topic::Reads);
    let write = tokio::task::spawn_blocking(move || {
        let mut config = topics::config(&bootstrap);
        config.set("transactional.id", "backend").set("partitioner", "murmur2_random");
        let producer: BaseProducer = config.create().expect("a producer");
        producer.init_transactions(STEP_MAX).unwrap();
        // Carol has not read it, so that what is aborted would show.
        for (reader, commits) in [("carol", false), ("bob", true), ("carol", false)] {
            producer.begin_transaction().unwrap();
            let value = read(reader);
            producer.send(BaseRecord::to(&topic).key("team").payload(&value)).expect("room in the queue");
            producer.flush(STEP_MAX).unwrap();
            if commits {
                producer.commit_transaction(STEP_MAX).unwrap();
            } else {
                producer.abort_transaction(STEP_MAX).unwrap();
            }
        }
    });
    write.await.unwrap();
    // Bob's first read, three transactions of a record and a marker each.
    let at_end = |partitions: Vec<v1::PartitionStatus>| {
        let mut reads = partitions.into_iter().map(|partition| partition.positions[1].clone());
        reads.find(|at| at.applied_offset == 7 && at.end_offset == 7)
    };
    until("the markers are passed over", STEP_MAX, async || at_end(server.receipt_partitions().await)).await;
    assert_eq!(counts(&server, None).await, Ok((1, 1)), "carol's reads were aborted");
    server.kill_9();

    // It waits for the log's end as of its start, which is a marker.
    let server = site.serve().await;
    until("the markers are passed over again", STEP_MAX, async || at_end(server.receipt_partitions().await)).await;
    assert_eq!(counts(&server, None).await, Ok((1, 1)));
    server.term().await;
    let server = site.serve().await;
    assert_eq!(counts(&server, None).await, Ok((1, 1)), "and with a store that has applied all records");
}
