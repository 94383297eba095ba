//! R7 on Kafka: a store that cannot be right stops, and says what happened and what mends it.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use receipt_log::{Log, NewRecord, Topic, create_topics};
use receipt_tests::{
    broker::Broker,
    poll::until,
    server::Server,
    session::{counts, something_happens},
    topics,
};

use crate::site::{PARTITIONS, PREFIX, Site};

const NOTICED_MAX: Duration = Duration::from_secs(60);

/// Why each partition of the receipt projection does not serve; empty where it does.
async fn seals(server: &Server) -> Vec<String> {
    server.receipt_partitions().await.into_iter().map(|partition| partition.sealed).collect()
}

/// Once no partition is catching up any more.
async fn settled(server: &Server) -> Vec<String> {
    until("all partitions serve or are sealed", NOTICED_MAX, async || {
        let seals = seals(server).await;
        seals.iter().all(|why| !why.contains("catching up")).then_some(seals)
    })
    .await
}

/// The partition that [`something_happens`] happens in.
fn home(log: &Log) -> u32 {
    log.partition_for(b"team")
}

async fn delete_topic(broker: &Broker, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = topics::config(&broker.bootstrap()).create().unwrap();
    for deleted in admin.delete_topics(&[topic], &AdminOptions::new()).await.unwrap() {
        deleted.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_log_trimmed_past_the_store_seals_that_partition_and_the_others_serve() {
    let site = Site::new().await;
    let server = site.serve().await;
    something_happens(&server).await;
    server.folded(NOTICED_MAX).await;
    server.term().await;
    let log = Log::open_kafka(site.options()).await.unwrap();
    let home = home(&log);
    let filler = vec![NewRecord::new("team", "no event"); 5];
    log.append(Topic::Reads, home, filler).await.unwrap();
    log.trim(Topic::Reads, home, log.end_offset(Topic::Reads, home)).unwrap();

    let server = site.serve_unchecked().await;
    for (partition, why) in (0..).zip(settled(&server).await) {
        if partition == home {
            assert!(why.contains("has applied receipts.reads up to offset 1, but its log begins at 6"), "{why}");
            assert!(why.contains("`receiptctl snapshot restore --from PLACE --data-dir "), "what mends it: {why}");
        } else {
            assert_eq!(why, "", "partition {partition}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_store_ahead_of_a_log_that_lost_its_end_is_sealed_and_the_others_serve() {
    let mut site = Site::new().await;
    let server = site.serve().await;
    something_happens(&server).await;
    server.folded(NOTICED_MAX).await;
    server.term().await;
    let home = home(&Log::open_kafka(site.options()).await.unwrap());
    site.broker.stop().await;
    site.broker.lose(&format!("{PREFIX}receipts.reads"), home);
    site.broker.restart().await;

    let server = site.serve_unchecked().await;
    for (partition, why) in (0..).zip(settled(&server).await) {
        if partition == home {
            assert!(why.contains("has applied receipts.reads up to offset 1, but its log ends at 0"), "{why}");
            assert!(why.contains("`rm -r ") && why.contains("folded again"), "what mends it: {why}");
        } else {
            assert_eq!(why, "", "partition {partition}");
        }
    }
}

/// At the start, and while it runs.
#[tokio::test(flavor = "multi_thread")]
async fn r7_a_topic_that_was_created_again_is_noticed() {
    let site = Site::new().await;
    let server = site.serve().await;
    something_happens(&server).await;
    let topic = format!("{PREFIX}receipts.reads");
    delete_topic(&site.broker, &topic).await;
    let said = until("the topic's end is noticed", NOTICED_MAX, async || {
        let seals = seals(&server).await;
        seals.iter().all(|why| !why.is_empty()).then_some(seals)
    })
    .await;
    assert!(said[0].contains(&format!("the topic {topic} was deleted")), "{said:?}");
    server.term().await;

    let said = site.refused(&site.broker.bootstrap(), &[]).await;
    assert!(said.contains(&format!("the topic {topic} does not exist")), "{said}");
    assert!(said.contains("receiptctl topics create"), "what mends it: {said}");

    until("the topic can be created again", NOTICED_MAX, async || {
        create_topics(&site.options(), PARTITIONS, 1).await.ok()
    })
    .await;
    let said = site.refused(&site.broker.bootstrap(), &[]).await;
    assert!(said.contains(&format!("the store was created with log topic {topic} ")), "{said}");
    assert!(said.contains("start with its own log, or stop receiptd and `rm -r "), "what mends it: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_another_cluster_is_noticed_and_the_right_one_goes_on() {
    let (site, other) = (Site::new().await, Site::new().await);
    let server = site.serve().await;
    let token = something_happens(&server).await;
    server.term().await;
    let said = site.refused(&other.broker.bootstrap(), &[]).await;
    assert!(said.contains("the store was created with log Kafka cluster "), "{said}");
    let server = site.serve().await;
    assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)), "nothing was harmed");
}
