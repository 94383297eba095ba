//! The broker of the tests keeps what it has acknowledged.

use std::time::Duration;

use rdkafka::{
    Message as _,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use receipt_tests::{broker::Broker, topics};

const TOPIC: &str = "kept";
const FLUSH_MAX: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill_and_after_a_stop() {
    let mut broker = Broker::start().await;
    let (addr, first) = (broker.bootstrap(), broker.pid());
    topics::create(&addr, &[TOPIC], 2).await;
    write(&addr, &["a", "b", "c"]);

    broker.kill_9();
    broker.restart().await;
    assert_eq!(broker.bootstrap(), addr, "it comes back to where it was");
    assert_ne!(broker.pid(), first);
    assert_eq!(values(&addr).await, ["a", "b", "c"]);

    write(&addr, &["d"]);
    broker.stop().await;
    broker.restart().await;
    assert_eq!(values(&addr).await, ["a", "b", "c", "d"]);
}

/// Writes records to partition 1, and waits until the broker has them all.
fn write(addr: &str, values: &[&str]) {
    let producer: BaseProducer = topics::config(addr).set("acks", "all").create().expect("a producer");
    for value in values {
        producer.send(BaseRecord::to(TOPIC).partition(1).key("key").payload(*value)).expect("room in the queue");
    }
    producer.flush(FLUSH_MAX).expect("acknowledged");
}

async fn values(addr: &str) -> Vec<String> {
    let records = topics::records(addr, TOPIC).await;
    records.iter().map(|record| String::from_utf8_lossy(record.payload().unwrap()).into_owned()).collect()
}
