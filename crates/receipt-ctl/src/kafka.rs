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

/// `NAME=VALUE`.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
