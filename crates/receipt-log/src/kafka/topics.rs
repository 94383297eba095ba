//! The topics on the brokers: how they are made, and which settings those have that are there.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::context::Context;
use super::options::KafkaOptions;
use super::settings::{self, Problem};
use super::{ASK_MAX, producer};
use crate::{LogError, PARTITIONS_MAX, Topic};

/// What became of a topic that was to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its name on the brokers.
    pub name: String,
    /// `false`: it was there already.
    pub created: bool,
}

/// Makes the topics that are missing, each with so many partitions and replicas, and receiptd's settings. Those that
/// are there are left as they are.
///
/// # Errors
/// [`LogError::BadPartitionCount`], [`LogError::Setting`]; [`LogError::Topic`] names the topic that the brokers do not
/// make, and why; [`LogError::Unavailable`].
pub async fn create_topics(
    options: &KafkaOptions,
    partitions: u32,
    replication: u16,
) -> Result<Vec<CreatedTopic>, LogError> {
    options.check()?;
    if !(1..=PARTITIONS_MAX).contains(&partitions) {
        return Err(LogError::BadPartitionCount { asked: partitions, max: PARTITIONS_MAX });
    }
    let admin = admin(options)?;
    let (names, settings) = (Topic::ALL.map(|topic| options.topic_name(topic)), settings::of_new(replication));
    let new = names.iter().map(|name| {
        let replication = TopicReplication::Fixed(i32::from(replication));
        let topic = NewTopic::new(name, i32::try_from(partitions).unwrap_or(i32::MAX), replication);
        settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
    });
    let new: Vec<_> = new.collect();
    let results = admin.create_topics(&new, &asked()).await.map_err(|error| unavailable(&error))?;
    let created = results.into_iter().map(|result| match result {
        Ok(name) => Ok(CreatedTopic { name, created: true }),
        Err((name, Code::TopicAlreadyExists)) => Ok(CreatedTopic { name, created: false }),
        Err((name, code)) => Err(LogError::Topic { name, problem: format!("could not be created: {code}") }),
    });
    created.collect()
}

/// What is wrong with the settings of each topic, whose partitions have so many copies.
///
/// # Errors
/// [`LogError::Topic`] where the brokers do not describe one; [`LogError::Unavailable`].
pub(super) async fn problems(
    options: &KafkaOptions,
    copies: impl Fn(&str) -> Result<usize, LogError>,
) -> Result<Vec<(String, Vec<Problem>)>, LogError> {
    let admin = admin(options)?;
    let names = Topic::ALL.map(|topic| options.topic_name(topic));
    let asked_for: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let described = admin.describe_configs(&asked_for, &asked()).await.map_err(|error| unavailable(&error))?;
    let described = Topic::ALL.into_iter().zip(names).zip(described);
    let problems = described.map(|((topic, name), described)| {
        let described = described
            .map_err(|code| LogError::Topic { name: name.clone(), problem: format!("cannot be described: {code}") })?;
        let entries = described.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
        let problems = settings::problems(topic, &entries.collect(), copies(&name)?, options.retention_ms);
        Ok((name, problems))
    });
    problems.collect()
}

pub(super) fn admin(options: &KafkaOptions) -> Result<AdminClient<Context>, LogError> {
    AdminClient::from_config_and_context(&options.admin(), Context).map_err(|error| producer::setting(&error))
}

pub(super) fn asked() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ASK_MAX)).operation_timeout(Some(ASK_MAX))
}

fn unavailable(error: &rdkafka::error::KafkaError) -> LogError {
    LogError::Unavailable { detail: error.to_string() }
}
