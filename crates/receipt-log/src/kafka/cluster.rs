//! What is asked of the brokers: who they are, which topics they have, and where those begin and end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};
use uuid::Uuid;

use super::consumers::number;
use super::context::Context;
use super::options::KafkaOptions;
use super::{ASK_MAX, native};
use crate::{LogError, LogId, PARTITIONS_MAX, Topic};

/// How long a start waits for a broker: one that is being restarted with this process comes back in that time.
const START_MAX: Duration = Duration::from_secs(60);
/// Between two tries.
const TRY_PAUSE: Duration = Duration::from_millis(250);
/// What the identities of logs on Kafka are made in.
const NAMESPACE: Uuid = Uuid::from_u128(0x8d0f_94b1_5c0e_4d1c_9c53_2f5d_5b6a_7e11);

/// Which cluster and topics make up a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    cluster: String,
    /// Ids of the topics that state is folded from, by their names.
    topics: BTreeMap<String, [u8; 16]>,
}

impl Origin {
    /// The log's identity: that of another cluster, or with another topic of the same name, is another.
    pub(super) fn id(&self) -> LogId {
        let mut name = self.cluster.clone().into_bytes();
        for id in self.topics.values() {
            name.extend_from_slice(id);
        }
        LogId::from_bytes(Uuid::new_v5(&NAMESPACE, &name).into_bytes())
    }

    /// The first topic whose id is another than here, or that is gone.
    pub(super) fn changed(&self, ids: &BTreeMap<String, [u8; 16]>) -> Option<&str> {
        self.topics.iter().find(|(name, id)| ids.get(*name) != Some(id)).map(|(name, _)| name.as_str())
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kafka cluster {}", self.cluster)?;
        for (name, id) in &self.topics {
            write!(f, ", topic {name} {}", Uuid::from_bytes(*id))?;
        }
        Ok(())
    }
}

/// Asks again while the brokers are not ready, as after their start, when partitions have no leader yet.
pub(super) fn patiently<T>(mut ask: impl FnMut() -> Result<T, LogError>) -> Result<T, LogError> {
    let began = Instant::now();
    loop {
        match ask() {
            Err(LogError::Unavailable { detail }) if began.elapsed() < START_MAX => {
                tracing::debug!(detail, "Kafka is not ready");
                std::thread::sleep(TRY_PAUSE);
            }
            answer => return answer,
        }
    }
}

/// The offsets of every partition of every topic, in the order of [`Topic::ALL`].
pub(super) type Offsets = Vec<u64>;

/// A consumer that asks, and never reads.
pub(super) struct Cluster<'a> {
    pub(super) consumer: &'a BaseConsumer<Context>,
    pub(super) options: &'a KafkaOptions,
}

impl Cluster<'_> {
    /// Who the brokers are, once they answer.
    pub(super) fn id(&self) -> Result<String, LogError> {
        let began = Instant::now();
        let mut warned = false;
        loop {
            // It leaks a little at each call, so it is called at the start only.
            if let Some(id) = self.consumer.client().fetch_cluster_id(ASK_MAX.min(Duration::from_secs(5))) {
                return Ok(id);
            }
            if began.elapsed() > START_MAX {
                let servers = self.options.servers.clone();
                return Err(LogError::Unreachable { servers, waited_secs: START_MAX.as_secs() });
            }
            if !warned {
                tracing::warn!(servers = self.options.servers, "Kafka does not answer yet");
                warned = true;
            }
            std::thread::sleep(TRY_PAUSE);
        }
    }

    /// How many partitions the topics have, which is the same for all.
    pub(super) fn partitions(&self) -> Result<u32, LogError> {
        let mut counts = Vec::new();
        for topic in Topic::ALL {
            let name = self.options.topic_name(topic);
            counts.push((self.count(&name)?, name));
        }
        let (first, _) = counts[0];
        if let Some((count, name)) = counts.iter().find(|(count, _)| *count != first) {
            let problem = format!(
                "has {count} partitions, and {} has {first}: all four must have the same number; create them anew with \
                 `receiptctl topics create`, or add to the smaller one if it is still empty",
                counts[0].1
            );
            return Err(LogError::Topic { name: name.clone(), problem });
        }
        match u32::try_from(first) {
            Ok(partitions @ 1..=PARTITIONS_MAX) => Ok(partitions),
            _ => Err(LogError::Topic {
                name: counts.swap_remove(0).1,
                problem: format!("has {first} partitions, and a log has 1 to {PARTITIONS_MAX}"),
            }),
        }
    }

    /// Partitions of one topic, tried again while the brokers do not agree yet, as after their start.
    fn count(&self, name: &str) -> Result<usize, LogError> {
        let began = Instant::now();
        loop {
            let metadata = self.consumer.fetch_metadata(Some(name), ASK_MAX).map_err(|error| unavailable(&error))?;
            let topic = metadata.topics().iter().find(|topic| topic.name() == name);
            let code = topic.map_or(Some(Code::UnknownTopic), |topic| topic.error().map(Code::from));
            match (code, topic) {
                (None, Some(topic)) => return Ok(topic.partitions().len()),
                // Some brokers take a while to know of topics after their start.
                (Some(Code::UnknownTopicOrPartition | Code::UnknownTopic), _) if began.elapsed() > ASK_MAX => {
                    return Err(missing(name));
                }
                (Some(Code::TopicAuthorizationFailed), _) => {
                    let problem = "may not be read by this client: give it the rights to describe, read and write";
                    return Err(LogError::Topic { name: name.to_owned(), problem: problem.to_owned() });
                }
                (Some(code), _) if began.elapsed() > ASK_MAX => {
                    return Err(LogError::Unavailable { detail: format!("{name}: {code}") });
                }
                _ => std::thread::sleep(TRY_PAUSE),
            }
        }
    }

    /// How many copies each partition of a topic has; of the partition that has the fewest.
    pub(super) fn copies(&self, name: &str) -> Result<usize, LogError> {
        let metadata = self.consumer.fetch_metadata(Some(name), ASK_MAX).map_err(|error| unavailable(&error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        let copies = topic.and_then(|topic| topic.partitions().iter().map(|one| one.replicas().len()).min());
        copies.ok_or_else(|| LogError::Unavailable { detail: format!("{name} has no partitions at present") })
    }

    /// The log's origin now.
    pub(super) fn origin(&self, cluster: String) -> Result<Origin, LogError> {
        let topics = self.topic_ids()?;
        match self.folded().find(|name| !topics.contains_key(name)) {
            Some(name) => Err(missing(&name)),
            None => Ok(Origin { cluster, topics }),
        }
    }

    /// Ids of the topics that state is folded from.
    pub(super) fn topic_ids(&self) -> Result<BTreeMap<String, [u8; 16]>, LogError> {
        let names: Vec<_> = self.folded().collect();
        let ids = native::topic_ids(self.consumer.client(), &names, ASK_MAX);
        ids.map_err(|code| LogError::Unavailable { detail: code.to_string() })
    }

    /// Names of the topics that state is folded from. Dead letters are for people: that topic may be made anew.
    fn folded(&self) -> impl Iterator<Item = String> {
        let folded = [Topic::Conversations, Topic::Reads, Topic::Deltas];
        folded.into_iter().map(|topic| self.options.topic_name(topic))
    }

    /// Where all partitions begin and end: the first offsets, and the next ones.
    pub(super) fn bounds(&self, partitions: u32) -> Result<(Offsets, Offsets), LogError> {
        let all = || Topic::ALL.into_iter().flat_map(|topic| (0..partitions).map(move |partition| (topic, partition)));
        let starts = self.offsets(all(), Offset::Beginning)?;
        Ok((starts, self.offsets(all(), Offset::End)?))
    }

    /// Where one partition begins and ends.
    pub(super) fn bounds_of(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        let name = self.options.topic_name(topic);
        let marks = self.consumer.fetch_watermarks(&name, number(partition), ASK_MAX);
        let (start, end) = marks.map_err(|error| unavailable(&error))?;
        Ok((u64::try_from(start).unwrap_or(0), u64::try_from(end).unwrap_or(0)))
    }

    fn offsets(&self, all: impl Iterator<Item = (Topic, u32)>, which: Offset) -> Result<Offsets, LogError> {
        let mut list = TopicPartitionList::new();
        let places: Vec<_> =
            all.map(|(topic, partition)| (self.options.topic_name(topic), number(partition))).collect();
        for (topic, partition) in &places {
            list.add_partition_offset(topic, *partition, which).map_err(|error| unavailable(&error))?;
        }
        let found = self.consumer.offsets_for_times(list, ASK_MAX).map_err(|error| unavailable(&error))?;
        let found = found.to_topic_map();
        let offset = |place: &(String, i32)| match found.get(place) {
            Some(Offset::Offset(offset)) => Ok(u64::try_from(*offset).unwrap_or(0)),
            // Of an empty partition.
            Some(Offset::End | Offset::Beginning) => Ok(0),
            other => Err(LogError::Unavailable { detail: format!("no offset of {}/{}: {other:?}", place.0, place.1) }),
        };
        places.iter().map(offset).collect()
    }
}

fn missing(name: &str) -> LogError {
    let problem = "does not exist: create all of them with `receiptctl topics create --kafka HOST:PORT --partitions N`";
    LogError::Topic { name: name.to_owned(), problem: problem.to_owned() }
}

fn unavailable(error: &KafkaError) -> LogError {
    LogError::Unavailable { detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_cluster_or_another_topic_of_the_same_name_is_another_log() {
        let topics = BTreeMap::from([("receipts.reads".to_owned(), [1; 16]), ("receipts.deltas".to_owned(), [2; 16])]);
        let origin = Origin { cluster: "one".to_owned(), topics };
        assert_eq!(origin.id(), origin.clone().id());
        assert_ne!(origin.id(), Origin { cluster: "two".to_owned(), ..origin.clone() }.id());
        let mut again = origin.clone();
        again.topics.insert("receipts.deltas".to_owned(), [3; 16]);
        assert_ne!(origin.id(), again.id());
        assert_eq!(origin.changed(&origin.topics), None);
        assert_eq!(origin.changed(&again.topics), Some("receipts.deltas"));
        assert_eq!(origin.changed(&BTreeMap::new()), Some("receipts.deltas"));
    }
}
