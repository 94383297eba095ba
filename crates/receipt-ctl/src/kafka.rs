//! Where Kafka is, for the commands that speak to it themselves.

use std::collections::BTreeMap;

use clap::Args;
use receipt_log::KafkaOptions;

/// Which brokers, and how to reach them.
#[derive(Debug, Clone, Args)]
pub(crate) struct KafkaArgs {
    /// Brokers of the cluster, HOST:PORT with commas between.
    #[arg(long, value_name = "SERVERS", env = "RECEIPTD_KAFKA")]
    pub(crate) kafka: String,
    /// What the topics' names begin with.
    #[arg(long, value_name = "PREFIX", env = "RECEIPTD_TOPIC_PREFIX", default_value = "")]
    pub(crate) topic_prefix: String,
    /// A setting of librdkafka, such as security.protocol=SASL_SSL. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) kafka_setting: Vec<(String, String)>,
}

impl KafkaArgs {
    pub(crate) fn options(self) -> KafkaOptions {
        let settings: BTreeMap<_, _> = self.kafka_setting.into_iter().collect();
        KafkaOptions { topic_prefix: self.topic_prefix, settings, ..KafkaOptions::new(self.kafka) }
    }
}

/// Which brokers, where the log may also be in a data directory, or a receiptd that serves may have it.
#[derive(Debug, Clone, Args)]
pub(crate) struct MaybeKafkaArgs {
    /// Brokers of the Kafka cluster that the log is on, HOST:PORT with commas between. Left out: it is in the data directory.
    #[arg(long, value_name = "SERVERS", env = "RECEIPTD_KAFKA")]
    kafka: Option<String>,
    /// What the names of the topics on Kafka begin with.
    #[arg(long, value_name = "PREFIX", env = "RECEIPTD_TOPIC_PREFIX", default_value = "", hide_default_value = true)]
    topic_prefix: String,
    /// A setting of librdkafka, such as security.protocol=SASL_SSL. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, requires = "kafka")]
    kafka_setting: Vec<(String, String)>,
}

impl MaybeKafkaArgs {
    /// `None`: it is not on Kafka.
    pub(crate) fn options(&self) -> Option<KafkaOptions> {
        let Self { kafka, topic_prefix, kafka_setting } = self.clone();
        kafka.map(|kafka| KafkaArgs { kafka, topic_prefix, kafka_setting }.options())
    }
}

/// `NAME=VALUE`.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
