//! The `[kafka]` table: ours, and the rest for librdkafka as it is.

use std::collections::BTreeMap;

use anyhow::bail;
use receipt_log::KafkaOptions;
use toml::{Table, Value};

use crate::options::Options;

/// What is shown in place of a secret.
const HIDDEN: &str = "(hidden)";

/// Settings of librdkafka that hold no secret.
const SHOWN: [&str; 62] = [
    "api.version.request.timeout.ms",
    "batch.num.messages",
    "batch.size",
    "broker.address.family",
    "broker.address.ttl",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.codec",
    "compression.level",
    "compression.type",
    "connections.max.idle.ms",
    "debug",
    "enable.ssl.certificate.verification",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "linger.ms",
    "log.connection.close",
    "log_level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "message.copy.max.bytes",
    "message.max.bytes",
    "message.send.max.retries",
    "metadata.max.age.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.kerberos.principal",
    "sasl.kerberos.service.name",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "security.protocol",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.max.fails",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.cipher.suites",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "statistics.interval.ms",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.interval.ms",
];

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

/// As the table of a configuration file. Values are hidden unless they are known to hold no secret: librdkafka has many
/// settings that do, in the middle of others too, and new ones come with new versions.
pub(crate) fn table(kafka: &KafkaOptions) -> Table {
    let shown = |(name, value): (&String, &String)| {
        let value = if SHOWN.contains(&name.as_str()) { value } else { HIDDEN };
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
    fn only_what_is_known_to_be_harmless_is_shown() {
        let secrets = [
            "sasl.password",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
            "sasl.oauthbearer.token.endpoint.url",
            "sasl.oauthbearer.extensions",
            "sasl.kerberos.kinit.cmd",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "ssl.ca.pem",
            "plugin.library.paths",
            "of.a.later.version",
        ];
        let lines: String = secrets.iter().map(|name| format!("\"{name}\" = \"geheim\"\n")).collect();
        let kafka =
            read(&format!("servers = \"a:1\"\nsasl.username = \"me\"\nlinger.ms = 2\n{lines}")).unwrap().unwrap();
        let shown = table(&kafka);
        assert!(secrets.iter().all(|name| shown[*name].as_str() == Some(HIDDEN)), "{shown}");
        let harmless = ["servers", "sasl.username", "linger.ms"].map(|name| shown[name].as_str());
        assert_eq!(harmless, [Some("a:1"), Some("me"), Some("2")]);
    }
}
