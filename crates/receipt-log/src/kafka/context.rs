//! What librdkafka says, as log lines.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// The context of every client but the producer.
#[derive(Debug, Clone)]
pub(super) struct Context;

impl ClientContext for Context {
    fn log(&self, level: Level, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        trouble(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        tracing::debug!(statistics = %String::from_utf8_lossy(statistics), "librdkafka");
    }
}

impl ConsumerContext for Context {}

/// A line of librdkafka's own log.
pub(super) fn log(level: Level, facility: &str, message: &str) {
    match level {
        Level::Emerg | Level::Alert | Level::Critical => tracing::error!(facility, message, "librdkafka"),
        // Among them each attempt to connect to a broker that is away; that one is, is said once.
        Level::Error | Level::Warning | Level::Notice | Level::Info | Level::Debug => {
            tracing::debug!(facility, message, "librdkafka");
        }
    }
}

/// An error of no record in particular: librdkafka goes on by itself.
pub(super) fn trouble(error: &KafkaError, reason: &str) {
    tracing::debug!(%error, reason, "librdkafka");
}
