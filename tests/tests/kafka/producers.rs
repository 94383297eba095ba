//! Producers in other languages: the examples of docs/producers.md, built and run against a real Kafka.

use std::{collections::BTreeSet, time::Duration};

use prost::Message as _;
use rdkafka::{Message as _, message::OwnedMessage};
use receipt_log::{KafkaOptions, create_topics};
use receipt_proto::{decode_conversation_record, decode_read_record, v1};
use receipt_tests::{
    broker::Broker,
    language::{Checkout, Language},
    program::Program,
    server::{DataDir, Server},
    tool::{KAFKA, Tool},
    topics,
};

const DOCUMENT: &str = "docs/producers.md";
const PARTITIONS: u32 = 6;
/// How long receiptd may take to fold it all.
const FOLD_MAX: Duration = Duration::from_secs(60);

const PYTHON: Language = Language {
    folder: "tests/producers/python",
    source: "producer.py",
    comment: "#",
    document: DOCUMENT,
    fence: "python",
    commands: "sh python",
    run: &["python3", "session.py"],
    tool: Tool { list: "tests/producers/python/requirements.txt", folder: "producers/python", target: "producers" },
    path: ("PYTHONPATH", "", "gen"),
};

const JAVA: Language = Language {
    folder: "tests/producers/java",
    source: "Producer.java",
    comment: "//",
    document: DOCUMENT,
    fence: "java",
    commands: "sh java",
    run: &["java", "Session"],
    tool: KAFKA,
    path: ("CLASSPATH", "libs/*", "out"),
};

/// A record that its producer was told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Landed {
    topic: String,
    partition: i32,
    offset: i64,
    key: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn receiptd_counts_what_producers_in_other_languages_write() {
    let broker = Broker::start().await;
    for (language, prefix) in [(PYTHON, "python."), (JAVA, "java.")] {
        let checkout = built(&language).await;
        let landed = publish(&language, &checkout, &broker, prefix, &[]).await;
        assert_eq!(misplaced(&landed), 0, "{landed:?}");
        assert_stored(&broker, prefix, &landed).await;
        assert_folded(&broker, prefix, &landed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_with_another_partitioner_is_told_by_dead_letters() {
    let broker = Broker::start().await;
    // What librdkafka does unless it is told.
    let options = ["--partitioner", "consistent_random"];
    let landed = publish(&PYTHON, &built(&PYTHON).await, &broker, "crc.", &options).await;
    assert_ne!(misplaced(&landed), 0, "{landed:?}");
    assert_stored(&broker, "crc.", &landed).await;
    assert_folded(&broker, "crc.", &landed).await;
}

#[test]
fn the_document_shows_what_runs() {
    for language in [PYTHON, JAVA] {
        language.assert_shown_is_what_runs();
    }
}

/// Of several lengths, as the hash takes four bytes at a time.
fn groups() -> Vec<String> {
    let mut groups: Vec<_> = (1..=40).map(|n| format!("my_key_{n}")).collect();
    groups.extend(["a", "ab", "abc", "with spaces", "größer", "群聊", &"long".repeat(64)].map(str::to_owned));
    groups
}

/// Builds a producer as the document says.
async fn built(language: &Language) -> Checkout {
    let checkout = language.checkout();
    Program::start(language.build(&checkout)).ends().await;
    checkout
}

/// Creates the topics of this prefix, and has the producer tell of all groups; where its records landed.
async fn publish(
    language: &Language,
    checkout: &Checkout,
    broker: &Broker,
    prefix: &str,
    options: &[&str],
) -> Vec<Landed> {
    let kafka = KafkaOptions { topic_prefix: prefix.to_owned(), ..KafkaOptions::new(broker.bootstrap()) };
    create_topics(&kafka, PARTITIONS, 1).await.expect("topics");
    let (bootstrap, groups) = (broker.bootstrap(), groups());
    let mut arguments = options.to_vec();
    arguments.extend([bootstrap.as_str(), prefix]);
    arguments.extend(groups.iter().map(String::as_str));
    let lines = Program::start(language.run(checkout, &arguments)).ends().await;
    lines.iter().map(|line| landed(line)).collect()
}

fn topic_names(prefix: &str) -> [String; 2] {
    ["receipts.conversations", "receipts.reads"].map(|topic| format!("{prefix}{topic}"))
}

/// Reads a line of a producer.
fn landed(line: &str) -> Landed {
    let fields: Vec<_> = line.split('\t').collect();
    let [topic, partition, offset, key] = fields[..] else { panic!("a producer printed {line:?}") };
    let (partition, offset) = (partition.parse().expect("a partition"), offset.parse().expect("an offset"));
    Landed { topic: topic.to_owned(), partition, offset, key: key.to_owned() }
}

/// How many records are not in the partition of their key.
fn misplaced(landed: &[Landed]) -> usize {
    landed.iter().filter(|at| !is_placed(at)).count()
}

fn is_placed(at: &Landed) -> bool {
    at.partition.unsigned_abs() == (receipt_log::murmur2(at.key.as_bytes()) & 0x7fff_ffff) % PARTITIONS
}

/// The topics hold the records that the producer was told of, and nothing else; each is an event as it should be, and
/// those of a group are in the order in which they were told.
async fn assert_stored(broker: &Broker, prefix: &str, landed: &[Landed]) {
    let [conversations, reads] = topic_names(prefix);
    let conversations = topics::records(&broker.bootstrap(), &conversations).await;
    let reads = topics::records(&broker.bootstrap(), &reads).await;
    let stored: BTreeSet<_> = conversations.iter().chain(&reads).map(place).collect();
    assert_eq!(stored, landed.iter().cloned().collect());
    for record in &conversations {
        decode_conversation_record(record.key(), record.payload())
            .unwrap_or_else(|why| panic!("{record:?}: {}", why.0));
    }
    for record in &reads {
        decode_read_record(record.key(), record.payload()).unwrap_or_else(|why| panic!("{record:?}: {}", why.0));
    }
    for group in groups() {
        let of_group = conversations.iter().filter(|record| record.key() == Some(group.as_bytes()));
        let versions: Vec<_> = of_group.map(version).collect();
        assert_eq!(versions, [1, 2, 3], "{group}");
        assert_eq!(reads.iter().filter(|record| record.key() == Some(group.as_bytes())).count(), 1, "{group}");
    }
}

/// receiptd knows of the groups whose records are where they belong, and refuses each record that is not.
async fn assert_folded(broker: &Broker, prefix: &str, landed: &[Landed]) {
    let dir = DataDir::new();
    let flags = ["--kafka", &broker.bootstrap(), "--topic-prefix", prefix];
    let server = Server::start(&dir, &flags).await;
    server.folded(FOLD_MAX).await;
    let dead_letters = topics::records(&broker.bootstrap(), &format!("{prefix}receipts.dead-letter")).await;
    assert_eq!(dead_letters.len(), misplaced(landed));

    let (placed, elsewhere): (Vec<_>, Vec<_>) = landed.iter().partition(|at| is_placed(at));
    let (placed, elsewhere) = (keys(&placed), keys(&elsewhere));
    let message = |group: &String| v1::MessageRef { conversation_id: group.clone(), message_id: "m1".to_owned() };
    let messages = placed.iter().chain(&elsewhere).map(message).collect();
    let request = v1::GetMessageReadReceiptsRequest { messages, ..Default::default() };
    let answer = server.receipts().get_message_read_receipts(request).await.expect("counts").into_inner();
    let (known, unknown) = answer.results.split_at(placed.len());
    for result in known {
        let Some(v1::receipt_result::Result::Receipt(receipt)) = &result.result else { panic!("{result:?}") };
        assert_eq!((receipt.read_count, receipt.unread_count), (1, 1), "{result:?}");
    }
    let not_found = v1::receipt_result::Result::Error(v1::ReceiptError::NotFound.into());
    assert!(unknown.iter().all(|result| result.result.as_ref() == Some(&not_found)), "{unknown:?}");
    assert_eq!(unknown.len(), elsewhere.len());
}

fn keys(landed: &[&Landed]) -> BTreeSet<String> {
    landed.iter().map(|at| at.key.clone()).collect()
}

fn place(record: &OwnedMessage) -> Landed {
    let key = String::from_utf8(record.key().expect("a key").to_vec()).expect("text");
    Landed { topic: record.topic().to_owned(), partition: record.partition(), offset: record.offset(), key }
}

fn version(record: &OwnedMessage) -> u64 {
    v1::ConversationEvent::decode(record.payload().expect("a value")).expect("an event").version
}
