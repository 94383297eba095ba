//! The `[kafka]` table: ours, and the rest for librdkafka as it is.

use std::collections::BTreeMap;

use anyhow::bail;
use receipt_log::KafkaOptions;
use toml::{Table, Value};

use crate::options::Options;

/// What is shown in place of a secret.
const HIDDEN: &str = "(hidden)";

/// Where the log is on Kafka; `None` where no brokers are named.
///
/// # Errors
/// If the table holds what is no setting.
pub(crate) fn options(options: &Options, table: Table, retention_ms: u64) -> anyhow::Result<Option<KafkaOptions>> {
    let mut settings = BTreeMap::new();
    flatten("", table, &mut settings)?;
    let servers = options.kafka.clone().or(settings.remove("servers"));
    let prefix = options.topic_prefix.clone().or(settings.remove("topic_prefix"));
    let Some(servers) = servers else {
        if prefix.is_some() || !settings.is_empty() {
            bail!("kafka.servers is not set: give --kafka HOST:PORT, or `servers` in the table [kafka]");
        }
        return Ok(None);
    };
    let topic_prefix = prefix.unwrap_or_default();
    Ok(Some(KafkaOptions { topic_prefix, settings, retention_ms, ..KafkaOptions::new(servers) }))
}

/// `security.protocol = "SSL"` is a table in a table to TOML, and a name with a dot to librdkafka.
fn flatten(prefix: &str, table: Table, settings: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    for (name, value) in table {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let value = match value {
            Value::Table(table) => {
                flatten(&name, table, settings)?;
                continue;
            }
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(yes) => yes.to_string(),
            Value::Array(_) | Value::Datetime(_) => bail!("kafka.{name} is neither a text, a number nor a truth value"),
        };
        settings.insert(name, value);
    }
    Ok(())
}

/// As the table of a configuration file, without secrets.
pub(crate) fn table(kafka: &KafkaOptions) -> Table {
    let secret = |name: &str| ["password", "secret", "key.pem", "token"].iter().any(|part| name.contains(part));
    let shown = |(name, value): (&String, &String)| {
        let value = if secret(name) { HIDDEN } else { value };
        (name.clone(), Value::String(value.to_owned()))
    };
    let mut table: Table = kafka.settings.iter().map(shown).collect();
    table.insert("servers".to_owned(), Value::String(kafka.servers.clone()));
    table.insert("topic_prefix".to_owned(), Value::String(kafka.topic_prefix.clone()));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Option<KafkaOptions>> {
        options(&Options::default(), text.parse()?, 0)
    }

    #[test]
    fn what_is_not_ours_goes_to_librdkafka_dotted_or_quoted() {
        let text = "servers = \"a:1,b:2\"\nsecurity.protocol = \"SSL\"\n\"ssl.ca.location\" = \"/ca\"\nlinger.ms = 2\n";
        let kafka = read(text).unwrap().unwrap();
        assert_eq!((kafka.servers.as_str(), kafka.topic_prefix.as_str()), ("a:1,b:2", ""));
        let expected = [("linger.ms", "2"), ("security.protocol", "SSL"), ("ssl.ca.location", "/ca")];
        assert!(kafka.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected));
    }

    #[test]
    fn without_brokers_the_log_is_embedded() {
        assert!(read("").unwrap().is_none());
        let error = read("security.protocol = \"SSL\"").unwrap_err().to_string();
        assert!(error.starts_with("kafka.servers is not set"), "{error}");
    }

    #[test]
    fn flags_stand_over_the_table() {
        let flags =
            Options { kafka: Some("c:3".to_owned()), topic_prefix: Some("chat.".to_owned()), ..Options::default() };
        let table = "servers = \"a:1\"\ntopic_prefix = \"x.\"".parse().unwrap();
        let kafka = options(&flags, table, 7).unwrap().unwrap();
        assert_eq!((kafka.servers.as_str(), kafka.topic_prefix.as_str(), kafka.retention_ms), ("c:3", "chat.", 7));
    }

    #[test]
    fn secrets_are_not_shown() {
        let kafka = read("servers = \"a:1\"\nsasl.password = \"geheim\"\nsasl.username = \"me\"").unwrap().unwrap();
        let shown = table(&kafka).to_string();
        assert!(!shown.contains("geheim") && shown.contains(HIDDEN) && shown.contains("me"), "{shown}");
    }
}
