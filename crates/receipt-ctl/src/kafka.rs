//! Where Kafka is, for the commands that speak to it themselves.

use std::{collections::BTreeMap, fs};

use anyhow::Context as _;
use clap::Args;
use receipt_log::KafkaOptions;

/// Settings of librdkafka, by their names.
pub(crate) type Settings = BTreeMap<String, String>;

/// Which brokers, and how to reach them.
#[derive(Debug, Clone, Args)]
pub(crate) struct KafkaArgs {
    /// Brokers of the cluster, HOST:PORT with commas between.
    #[arg(long, value_name = "SERVERS", env = "RECEIPTD_KAFKA")]
    pub(crate) kafka: String,
    /// What the topics' names begin with.
    #[arg(long, value_name = "PREFIX", env = "RECEIPTD_TOPIC_PREFIX", default_value = "")]
    pub(crate) topic_prefix: String,
    /// A setting of librdkafka, such as security.protocol=SASL_SSL. May be repeated. Others see the command line: put a
    /// secret into a file (--kafka-settings-file).
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) kafka_setting: Vec<(String, String)>,
    /// A file with settings of librdkafka, NAME=VALUE on a line each; lines that begin with # are comments. A setting that
    /// is given by --kafka-setting too is taken from there.
    #[arg(long, value_name = "FILE", env = "RECEIPTD_KAFKA_SETTINGS_FILE", value_parser = settings_file)]
    pub(crate) kafka_settings_file: Option<Settings>,
}

impl KafkaArgs {
    pub(crate) fn options(self) -> KafkaOptions {
        let settings = settings(self.kafka_settings_file, self.kafka_setting);
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
    /// A setting of librdkafka, such as security.protocol=SASL_SSL. May be repeated. Others see the command line: put a
    /// secret into a file (--kafka-settings-file).
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, requires = "kafka")]
    kafka_setting: Vec<(String, String)>,
    /// A file with settings of librdkafka, NAME=VALUE on a line each; lines that begin with # are comments. A setting that
    /// is given by --kafka-setting too is taken from there.
    #[arg(long, value_name = "FILE", env = "RECEIPTD_KAFKA_SETTINGS_FILE", value_parser = settings_file)]
    kafka_settings_file: Option<Settings>,
}

impl MaybeKafkaArgs {
    /// `None`: it is not on Kafka.
    pub(crate) fn options(&self) -> Option<KafkaOptions> {
        let Self { kafka, topic_prefix, kafka_setting, kafka_settings_file } = self.clone();
        kafka.map(|kafka| KafkaArgs { kafka, topic_prefix, kafka_setting, kafka_settings_file }.options())
    }
}

/// `NAME=VALUE`.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The settings of a file, and over them those of the command line.
pub(crate) fn settings(file: Option<Settings>, given: Vec<(String, String)>) -> Settings {
    let mut settings = file.unwrap_or_default();
    settings.extend(given);
    settings
}

/// Settings in a file. As it may hold a password, an error names a line and does not show it.
pub(crate) fn settings_file(path: &str) -> Result<Settings, String> {
    let text = fs::read_to_string(path).map_err(|why| format!("the file cannot be read: {why}"))?;
    of_lines(&text).map_err(|why| why.to_string())
}

fn of_lines(text: &str) -> anyhow::Result<Settings> {
    let mut settings = Settings::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').with_context(|| format!("line {number} is not NAME=VALUE"))?;
        let (name, value) = (name.trim(), value.trim());
        anyhow::ensure!(!name.is_empty(), "line {number} is not NAME=VALUE");
        let before = settings.insert(name.to_owned(), value.to_owned());
        anyhow::ensure!(before.is_none(), "line {number}: {name} is given twice");
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_setting_a_line_and_the_command_line_stands_over_it() {
        let file = of_lines("# who\n\nsasl.username = me\nsasl.password=a=b \n").unwrap();
        assert_eq!(file["sasl.password"], "a=b");
        let all = settings(Some(file), vec![("sasl.username".to_owned(), "you".to_owned())]);
        assert_eq!((all["sasl.username"].as_str(), all.len()), ("you", 2));
    }

    #[test]
    fn an_error_names_the_line_and_does_not_show_it() {
        for (text, said) in [
            ("a=b\nsasl.password geheim", "line 2 is not NAME=VALUE"),
            ("=geheim", "line 1 is not NAME=VALUE"),
            ("a=geheim\na=geheim", "line 2: a is given twice"),
        ] {
            assert_eq!(of_lines(text).unwrap_err().to_string(), said);
        }
    }
}
