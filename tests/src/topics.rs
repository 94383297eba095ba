//! Topics of a real Kafka, seen with nothing of ours in between.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::OwnedMessage,
};

/// How long a step may take.
const STEP_MAX: Duration = Duration::from_secs(60);

/// A client's settings, with nothing but where the broker is.
#[must_use]
pub fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// Creates topics of as many partitions.
///
/// # Panics
/// If one of them cannot be created.
pub async fn create(bootstrap: &str, names: &[&str], partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create().expect("a client");
    let topics: Vec<_> = names.iter().map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(1))).collect();
    let options = AdminOptions::new().operation_timeout(Some(STEP_MAX));
    for created in admin.create_topics(&topics, &options).await.expect("an answer") {
        created.unwrap_or_else(|(name, why)| panic!("{name}: {why}"));
    }
}

/// All that a topic holds, each partition in its order.
///
/// # Panics
/// If it cannot be read.
pub async fn records(bootstrap: &str, topic: &str) -> Vec<OwnedMessage> {
    let (config, topic) = (config(bootstrap), topic.to_owned());
    tokio::task::spawn_blocking(move || read(config, &topic)).await.expect("records")
}

fn read(mut config: ClientConfig, topic: &str) -> Vec<OwnedMessage> {
    // A group is asked for, and not used.
    config.set("group.id", "receipt-tests").set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "error").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().expect("a client");
    let metadata = consumer.fetch_metadata(Some(topic), STEP_MAX).expect("the topic's partitions");
    let partitions = metadata.topics()[0].partitions();
    let mut all = TopicPartitionList::new();
    for partition in partitions {
        all.add_partition_offset(topic, partition.id(), Offset::Beginning).expect("a partition");
    }
    consumer.assign(&all).expect("all partitions");
    let (mut records, mut ended) = (Vec::new(), 0);
    let start = Instant::now();
    while ended < partitions.len() {
        match consumer.poll(STEP_MAX) {
            Some(Ok(record)) => records.push(record.detach()),
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(why)) => panic!("{topic}: {why}"),
            None => {}
        }
        assert!(start.elapsed() < STEP_MAX, "{topic} cannot be read to its end");
    }
    records.sort_by_key(|record| (record.partition(), record.offset()));
    records
}
