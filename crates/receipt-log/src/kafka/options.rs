//! How a log on Kafka is opened, and what that says to librdkafka.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;

use crate::{Clock, LogError, Topic};

/// How a log on Kafka is opened.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Brokers to begin with: `HOST:PORT[,HOST:PORT]`.
    pub servers: String,
    /// What the topics' names begin with; empty, or such as `chat.`.
    pub topic_prefix: String,
    /// Further settings for librdkafka, by its names, such as `security.protocol`.
    pub settings: BTreeMap<String, String>,
    /// How long messages are kept, in milliseconds; 0: for ever. The topics must keep records twice as long.
    pub retention_ms: u64,
    /// After a record that could not be appended, those behind it are not either: for a copy, which goes on at its end.
    /// Whoever else appends at that moment gets an error too.
    pub gapless: bool,
    /// Where the timestamps of what is appended come from.
    pub clock: Clock,
    /// How often the topics' settings are looked at again while the log is open; also after the brokers were away.
    pub settings_interval: Duration,
}

/// See [`KafkaOptions::settings_interval`].
const SETTINGS_INTERVAL: Duration = Duration::from_secs(300);

/// How long a record may wait for the broker before its append has failed. Callers with a deadline wait no longer than
/// that; what they gave up may still be appended so long.
const APPEND_TIMEOUT_MS: &str = "10000";

/// KiB of records that were fetched and not yet read, about; with very many partitions 1 MiB of each.
const QUEUES_MAX_KIB: u32 = 256 * 1024;

/// Settings that no operator may change, and why.
const OURS: [(&str, &str); 22] = [
    ("bootstrap.servers", "brokers are given by --kafka, or `servers`"),
    ("metadata.broker.list", "brokers are given by --kafka, or `servers`"),
    ("acks", "what was acknowledged must survive a broker"),
    ("request.required.acks", "what was acknowledged must survive a broker"),
    ("enable.idempotence", "records must neither be doubled nor change their order"),
    ("enable.gapless.guarantee", "whether a failed append ends others is receiptd's to say"),
    ("transactional.id", "the state's own write is the transaction"),
    ("partitioner", "a key's partition is that of Kafka's Java client"),
    ("message.timeout.ms", "a write must fail within its caller's deadline"),
    ("delivery.timeout.ms", "a write must fail within its caller's deadline"),
    ("queue.buffering.max.messages", "the memory for waiting records is bounded by receiptd"),
    ("enable.auto.commit", "the state's own offsets are the truth"),
    ("auto.commit.enable", "the state's own offsets are the truth"),
    ("enable.auto.offset.store", "the state's own offsets are the truth"),
    ("auto.offset.reset", "a lost offset must be noticed"),
    ("check.crcs", "damaged records must be noticed"),
    ("enable.partition.eof", "receiptd must know when it has caught up"),
    ("isolation.level", "records of aborted transactions must not be folded"),
    ("allow.auto.create.topics", "topics need the right settings: receiptctl topics create"),
    ("group.id", "partitions are read by the state's own offsets"),
    ("group.instance.id", "partitions are read by the state's own offsets"),
    ("log.queue", "librdkafka's lines go to receiptd's log"),
];

impl KafkaOptions {
    /// Of these brokers, with nothing else set.
    #[must_use]
    pub fn new(servers: impl Into<String>) -> KafkaOptions {
        KafkaOptions {
            servers: servers.into(),
            topic_prefix: String::new(),
            settings: BTreeMap::new(),
            retention_ms: 0,
            gapless: false,
            clock: Clock::System,
            settings_interval: SETTINGS_INTERVAL,
        }
    }

    /// The name of a topic on the brokers.
    #[must_use]
    pub fn topic_name(&self, topic: Topic) -> String {
        format!("{}{}", self.topic_prefix, topic.name())
    }

    /// Refuses what would break a promise of the log.
    ///
    /// # Errors
    /// [`LogError::Setting`], which names the setting.
    pub fn check(&self) -> Result<(), LogError> {
        let setting =
            |name: &str, problem: &str| Err(LogError::Setting { name: name.to_owned(), problem: problem.to_owned() });
        if self.servers.trim().is_empty() {
            return setting("servers", "must name a broker, such as 127.0.0.1:9092");
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !self.topic_prefix.chars().all(fits) || self.topic_prefix.len() > 200 {
            return setting("topic_prefix", "may have 200 letters, digits, dots, dashes and underscores");
        }
        for name in self.settings.keys() {
            if let Some((_, why)) = OURS.iter().find(|(ours, _)| ours == name) {
                return setting(name, &format!("may not be set: {why}"));
            }
        }
        Ok(())
    }

    fn common(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("client.id", "receiptd")
            // A broker that comes back is to be noticed soon.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("allow.auto.create.topics", "false");
        config
    }

    /// The operator's settings last, over our defaults; never over our promises, as [`KafkaOptions::check`] saw.
    fn over(&self, mut config: ClientConfig) -> ClientConfig {
        for (name, value) in &self.settings {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.servers);
        config
    }

    /// For questions about the cluster and its topics.
    pub(super) fn admin(&self) -> ClientConfig {
        self.over(self.common())
    }

    /// For appending.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.common();
        config
            .set("enable.idempotence", "true")
            .set("enable.gapless.guarantee", if self.gapless { "true" } else { "false" })
            .set("acks", "all")
            // For records without a partition of their own, of which there are none; so that nobody errs who looks.
            .set("partitioner", "murmur2_random")
            // Records are sent at once, and what comes while requests are on their way goes with the next one.
            .set("linger.ms", "0")
            .set("compression.type", "lz4")
            .set("message.timeout.ms", APPEND_TIMEOUT_MS)
            .set("message.max.bytes", "2000000")
            .set("queue.buffering.max.messages", "1000000");
        self.over(config)
    }

    /// For reading so many partitions of each topic. Small records: many of them are kept ready, as far as there is memory
    /// for all partitions, and a full queue is looked at again soon, as a projection empties it in far less than the
    /// second that is librdkafka's default.
    pub(super) fn consumer(&self, partitions: u32) -> ClientConfig {
        // Of each topic whose records are folded there is a queue for each partition.
        let queue_kib = (QUEUES_MAX_KIB / (3 * partitions.max(1))).clamp(1024, 16 * 1024);
        let mut config = self.common();
        config
            // Nothing is committed and no group joined, but librdkafka wants a name for what is assigned by hand.
            .set("group.id", "receiptd")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "2")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.min.messages", "100000")
            .set("queued.max.messages.kbytes", queue_kib.to_string());
        self.over(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_promise_is_refused_by_name() {
        for (name, _) in OURS {
            let mut options = KafkaOptions::new("127.0.0.1:9092");
            options.settings.insert(name.to_owned(), "0".to_owned());
            let refusal = options.check().map_err(|error| error.to_string()).unwrap_err();
            assert!(refusal.starts_with(&format!("the Kafka setting {name} may not be set: ")), "{refusal}");
        }
        let mut options = KafkaOptions::new("127.0.0.1:9092");
        options.settings.insert("security.protocol".to_owned(), "SASL_SSL".to_owned());
        assert_eq!(options.check(), Ok(()));
        assert_eq!(options.consumer(4).get("security.protocol"), Some("SASL_SSL"));
    }

    #[test]
    fn memory_for_what_was_fetched_does_not_grow_with_the_partitions() {
        let mut options = KafkaOptions::new("127.0.0.1:9092");
        let kib = |options: &KafkaOptions, partitions| {
            options.consumer(partitions).get("queued.max.messages.kbytes").and_then(|kib| kib.parse::<u32>().ok())
        };
        assert_eq!([1, 4, 64, 1024].map(|n| kib(&options, n)), [16_384, 16_384, 1365, 1024].map(Some));
        options.settings.insert("queued.max.messages.kbytes".to_owned(), "77".to_owned());
        assert_eq!(kib(&options, 4), Some(77), "the operator knows better");
    }

    #[test]
    fn a_prefix_is_part_of_a_topics_name() {
        let prefixed = KafkaOptions { topic_prefix: "chat.".to_owned(), ..KafkaOptions::new("b:1") };
        assert_eq!(prefixed.topic_name(Topic::DeadLetter), "chat.receipts.dead-letter");
        let bad = KafkaOptions { topic_prefix: "chat/".to_owned(), ..KafkaOptions::new("b:1") };
        assert!(bad.check().is_err());
        assert!(KafkaOptions::new(" ").check().is_err());
    }
}
