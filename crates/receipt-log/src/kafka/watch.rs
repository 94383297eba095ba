//! What is looked at again and again while a log on Kafka is open: whether the brokers answer, whether the topics are still
//! the same, and whether their settings are still right.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::problems::{Found, Problems};
use super::{Kafka, topics};
use crate::{LogError, Topic, Writes};

/// How often the brokers are asked whether they are there.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// How long they may take to say so.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How often it is looked at whether the topics are still the same.
const TOPICS_INTERVAL: Duration = Duration::from_secs(15);

/// Watches until the log is closed or dropped; `problems` are those that were found at the start.
pub(super) fn until_closed(kafka: &Weak<Kafka>, mut problems: Problems) {
    let (mut looked, mut described) = (Instant::now(), Instant::now());
    loop {
        std::thread::sleep(INTERVAL);
        let Some(kafka) = kafka.upgrade() else { return };
        if kafka.is_closed() {
            return;
        }
        if kafka.wake_due.swap(false, Ordering::AcqRel) {
            kafka.wake_readers();
        }
        let answers = kafka.asking.fetch_metadata(Some(kafka.name(Topic::Reads)), ANSWER_MAX).is_ok();
        let now = if answers { Writes::Taken } else { Writes::Refused { why: "Kafka does not answer".to_owned() } };
        let changed = kafka.writes.send_if_modified(|writes| {
            // What was changed stays so.
            let changed = kafka.changed.get().is_none() && *writes != now;
            if changed {
                *writes = now;
            }
            changed
        });
        match (changed, answers) {
            (true, true) => tracing::info!("Kafka answers again"),
            (true, false) => tracing::warn!("Kafka does not answer: writes fail, queries go on"),
            (false, _) => {}
        }
        if !answers {
            continue;
        }
        if looked.elapsed() > TOPICS_INTERVAL {
            looked = Instant::now();
            kafka.look_at_topics();
        }
        // Also after the brokers were away, as they may have been given other settings then.
        if changed || described.elapsed() > kafka.options.settings_interval {
            described = Instant::now();
            match settings(&kafka) {
                Ok(found) => problems.again(found).into_iter().for_each(|error| kafka.stop_for(error)),
                Err(error) => tracing::warn!(%error, "the topics' settings could not be looked at again"),
            }
        }
    }
}

fn settings(kafka: &Kafka) -> Result<Found, LogError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| LogError::Unavailable { detail: error.to_string() })?;
    let cluster = kafka.cluster();
    runtime.block_on(topics::problems(&kafka.options, |name| cluster.copies(name)))
}
