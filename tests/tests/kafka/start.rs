//! What is checked before receiptd starts on Kafka, and again while it runs: each refusal names the topic or the setting, and
//! what mends it.

use std::{process::Command, time::Duration};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use receipt_log::{KafkaOptions, Log, NewRecord, Topic, create_topics};
use receipt_tests::{
    ctl,
    poll::until,
    server::{binary, receiptd_to_its_end},
    session::{counts, something_happens},
    topics,
};

use crate::site::Site;

const NOTICED_MAX: Duration = Duration::from_secs(60);

fn admin(site: &Site) -> AdminClient<DefaultClientContext> {
    topics::config(&site.broker.bootstrap()).create().unwrap()
}

async fn set(site: &Site, topic: &str, name: &str, value: &str) {
    // What is not given goes back to the broker's own.
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("max.message.bytes", "2000000").set(name, value);
    for altered in admin(site).alter_configs(&[change], &AdminOptions::new()).await.unwrap() {
        altered.unwrap();
    }
    // The broker takes a moment until it says so itself.
    until("the topic has the setting", NOTICED_MAX, async || {
        (describe(site, topic, name).await?.1 == value).then_some(())
    })
    .await;
}

/// A setting of a topic, and whether it is the topic's own.
async fn describe(site: &Site, topic: &str, name: &str) -> Option<(bool, String)> {
    let topics = [ResourceSpecifier::Topic(topic)];
    let described = admin(site).describe_configs(&topics, &AdminOptions::new()).await.ok()?.pop()?.ok()?;
    let entry = described.get(name)?;
    Some((entry.source == ConfigSource::DynamicTopic, entry.value.clone()?))
}

/// What is wrong with the topics is looked at when the brokers answer again.
async fn restart(site: &mut Site) {
    site.broker.stop().await;
    site.broker.restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_settings_that_are_changed_while_it_runs_are_noticed_when_the_brokers_answer_again() {
    let mut site = Site::new().await;
    let server = site.serve().await;
    let token = something_happens(&server).await;
    let reads = site.options().topic_name(Topic::Reads);
    set(&site, &reads, "retention.ms", "86400000").await;
    restart(&mut site).await;
    let says = format!("the topic {reads} has retention.ms=86400000: messages are kept for 30 d 0 h");
    let log_file = site.dir.path().with_extension("stderr");
    until("it is logged", NOTICED_MAX, async || {
        std::fs::read_to_string(&log_file).is_ok_and(|lines| lines.contains(&says)).then_some(())
    })
    .await;
    assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)), "what is lost so is noticed where it is read");

    set(&site, &reads, "cleanup.policy", "compact").await;
    restart(&mut site).await;
    let sealed = until("all partitions are sealed", NOTICED_MAX, async || {
        let partitions = server.partitions().await;
        partitions.iter().all(|one| !one.sealed.is_empty()).then(|| partitions[0].sealed.clone())
    })
    .await;
    assert!(sealed.contains(&format!("the topic {reads} has cleanup.policy=compact: ")), "{sealed}");
    assert!(sealed.contains("set it to delete ") && sealed.contains("start receiptd again"), "{sealed}");
    server.term().await;
    set(&site, &reads, "retention.ms", "-1").await;
    let server = site.serve().await;
    assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)), "nothing was harmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_settings_are_looked_at_again_and_again() {
    let site = Site::new().await;
    let options = KafkaOptions { settings_interval: Duration::from_secs(1), ..site.options() };
    let log = Log::open_kafka(options).await.unwrap();
    set(&site, &site.options().topic_name(Topic::Conversations), "cleanup.policy", "compact").await;
    until("nothing is appended any more", NOTICED_MAX, async || {
        let refused = log.append(Topic::Reads, 0, vec![NewRecord::default()]).await.err()?;
        refused.to_string().contains("receipts.conversations has cleanup.policy=compact: ").then_some(())
    })
    .await;
    log.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_would_lose_records_stop_the_start() {
    let site = Site::new().await;
    let servers = site.broker.bootstrap();
    let reads = site.options().topic_name(Topic::Reads);
    let cases = [
        ("cleanup.policy", "compact", "set it to delete"),
        ("retention.ms", "86400000", "set it to -1 or at least 5184000000"),
        ("message.timestamp.type", "LogAppendTime", "set it to CreateTime"),
    ];
    for (name, value, cure) in cases {
        set(&site, &reads, name, value).await;
        let said = site.refused(&servers, &[]).await;
        assert!(said.contains(&format!("the topic {reads} has {name}={value}: ")) && said.contains(cure), "{said}");
    }
    let said = site.refused(&servers, &["--retention", "12h"]).await;
    assert!(said.contains("message.timestamp.type"), "twice the retention is enough: {said}");
    set(&site, &reads, "unclean.leader.election.enable", "true").await;
    let said = site.refused(&servers, &["--retention", "12h"]).await;
    assert!(said.contains(&format!("the topic {reads} has unclean.leader.election.enable=true: ")), "{said}");
    assert!(said.contains("set it to false"), "{said}");
    set(&site, &reads, "retention.ms", "-1").await;
    site.serve().await.term().await;

    let said = site.refused(&servers, &["--partitions", "5"]).await;
    assert!(said.contains("partitions is 5, and the topics on Kafka have 4"), "{said}");
    admin(&site).create_partitions(&[NewPartitions::new(&reads, 6)], &AdminOptions::new()).await.unwrap();
    let said = site.refused(&servers, &[]).await;
    assert!(said.contains(&format!("the topic {reads} has 6 partitions, and ")), "{said}");
    let output = receiptd_to_its_end(&site.dir, &["--kafka", &servers, "--topic-prefix", "none."]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the topic none.receipts.conversations does not exist"), "{said}");
    assert!(said.contains("receiptctl topics create"), "what mends it: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_librdkafka_go_to_it_but_those_that_would_break_a_promise() {
    let site = Site::new().await;
    let servers = site.broker.bootstrap();
    let config = site.dir.beside("receiptd.toml");
    let write = |line: &str| std::fs::write(&config, format!("[kafka]\n{line}\n")).unwrap();
    let path = config.to_string_lossy().into_owned();
    write("acks = \"1\"");
    let said = site.refused(&servers, &["--config", &path]).await;
    assert!(said.contains("the Kafka setting acks may not be set: what was acknowledged must survive"), "{said}");
    write("no.such.setting = true");
    let said = site.refused(&servers, &["--config", &path]).await;
    assert!(said.contains("the Kafka setting no.such.setting is not right: No such configuration property"), "{said}");
    write("security.protocol = \"SSL\"\nssl.ca.location = \"/no/such/file\"");
    let said = site.refused(&servers, &["--config", &path]).await;
    assert!(said.contains("ssl.ca.location failed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn receiptctl_creates_what_is_missing_and_leaves_the_rest() {
    let site = Site::new().await;
    let servers = site.broker.bootstrap();
    let create = || {
        let arguments = ["topics", "create", "--kafka", &servers, "--partitions", "3", "--topic-prefix", "mine."];
        let output = Command::new(binary("receiptctl")).args(arguments).arg("--json").output().unwrap();
        ctl::json(&output)
    };
    let created = create();
    let topics = created["topics"].as_array().unwrap();
    assert!(topics.len() == 4 && topics.iter().all(|topic| topic["created"] == true), "{created}");
    for topic in Topic::ALL {
        // Each is the topic's own, and not as the brokers have it at present.
        let name = format!("mine.{}", topic.name());
        for (setting, value) in [("min.insync.replicas", "1"), ("unclean.leader.election.enable", "false")] {
            let described = until("it is described", NOTICED_MAX, async || describe(&site, &name, setting).await).await;
            assert_eq!(described, (true, value.to_owned()), "{name}: {setting}");
        }
    }
    let again = create();
    assert!(again["topics"].as_array().unwrap().iter().all(|topic| topic["created"] == false), "{again}");
    let mine = KafkaOptions { topic_prefix: "mine.".to_owned(), ..site.options() };
    assert_eq!(receipt_log::Log::open_kafka(mine.clone()).await.unwrap().partitions(), 3);
    let error = create_topics(&mine, 0, 1).await.unwrap_err().to_string();
    assert_eq!(error, "a log has 1 to 1024 partitions, and 0 were asked for");
    let error = create_topics(&KafkaOptions { topic_prefix: "more.".to_owned(), ..mine }, 1, 3).await.unwrap_err();
    assert!(error.to_string().starts_with("the topic more.receipts."), "three copies on one broker: {error}");
}
