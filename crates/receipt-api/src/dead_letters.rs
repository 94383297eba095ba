//! For operators: one dead letter, and dead letters that are tried again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use receipt_log::{Appended, Batch, Log, LogError, NewRecord, StoredRecord, Topic};
use receipt_projector::{DeadLetter, Offsets, Part};
use receipt_proto::{
    InvalidField, timestamp_from_ms,
    v1::{self, get_dead_letter_response::Event},
};
use tonic::{Request, Response, Status};

use crate::{
    api::{Api, blocking},
    deadline::Deadline,
    error,
    token::Positions,
};

/// Dead letters that one call tries again, at most.
const RETRIES_MAX: usize = 100;
/// Bytes of their values together, at most.
const RETRIES_MAX_BYTES: usize = 16 * 1024 * 1024;
/// What is asked of the log at a time, at most, where several are near each other.
const READ_MAX_RECORDS: u64 = 256;
const READ_MAX_BYTES: usize = 1024 * 1024;

/// GetDeadLetter.
pub(crate) async fn get(
    api: &Api,
    request: Request<v1::GetDeadLetterRequest>,
) -> Result<Response<v1::GetDeadLetterResponse>, Status> {
    let deadline = Deadline::of(&request);
    let v1::GetDeadLetterRequest { partition, offset } = request.into_inner();
    check_partition(&api.log, "partition", partition)?;
    let log = api.log.clone();
    let place = (partition, offset);
    let record = in_time(deadline, move || {
        let found = read(&log, BTreeSet::from([place]))?.remove(&place);
        found.ok_or_else(|| error::no_dead_letter(partition, offset))
    });
    let record = record.await?;
    let DeadLetter { source, headers, .. } = DeadLetter::read(&record);
    let event = source.zip(record.value.as_ref()).map(|(source, value)| event(source.topic, value));
    let header = |(name, value): (String, Bytes)| v1::RecordHeader { name, value: value.into() };
    Ok(Response::new(v1::GetDeadLetterResponse {
        dead_letter: Some(message(partition, &record)),
        value: record.value.map(Vec::from),
        headers: headers.into_iter().map(header).collect(),
        event,
    }))
}

/// RetryDeadLetters.
pub(crate) async fn retry(
    api: &Api,
    request: Request<v1::RetryDeadLettersRequest>,
) -> Result<Response<v1::RetryDeadLettersResponse>, Status> {
    let deadline = Deadline::of(&request);
    let letters = request.into_inner().dead_letters;
    error::check_len("dead_letters", letters.len(), RETRIES_MAX)?;
    let mut places = BTreeSet::new();
    for (i, letter) in letters.iter().enumerate() {
        check_partition(&api.log, &format!("dead_letters[{i}].partition"), letter.partition)?;
        if !places.insert((letter.partition, letter.offset)) {
            let problem = format_args!("is {}, which is named before", place(letter));
            return Err(error::invalid(InvalidField::rule(format!("dead_letters[{i}]"), problem)));
        }
    }
    let log = api.log.clone();
    let (letters, batches) = in_time(deadline, move || {
        let batches = batches(&log, &letters, &read(&log, places)?)?;
        Ok((letters, batches))
    })
    .await?;
    let places: Vec<_> = batches.iter().map(|(topic, partition, _)| (*topic, *partition)).collect();
    let appended = api.append(batches, deadline).await?;
    let mut positions = Positions::default();
    let mut retried = Vec::with_capacity(letters.len());
    for ((letter, (topic, partition)), appended) in letters.into_iter().zip(places).zip(appended.into_iter().flatten())
    {
        let Appended { offset, .. } = appended;
        positions.include(partition, after(topic, offset));
        tracing::info!(from = %place(&letter), topic = topic.name(), partition, offset, "a dead letter is tried again");
        let topic = topic.name().to_owned();
        retried.push(v1::RetriedDeadLetter { dead_letter: Some(letter), topic, partition, offset });
    }
    Ok(Response::new(v1::RetryDeadLettersResponse { retried, consistency_token: positions.encode(&api.log) }))
}

/// The records to append, a batch each, so that they keep their order.
fn batches(log: &Log, letters: &[v1::DeadLetterRef], records: &Records) -> Result<Vec<Batch>, Status> {
    let mut batches = Vec::with_capacity(letters.len());
    for letter in letters {
        let record = records.get(&(letter.partition, letter.offset));
        let record = record.ok_or_else(|| error::no_dead_letter(letter.partition, letter.offset))?;
        let DeadLetter { source, headers, left_out, .. } = DeadLetter::read(record);
        let Some(source) = source else {
            return Err(error::incomplete_dead_letter(&place(letter), "it does not say which topic its record is of"));
        };
        // Nothing is folded from headers, so a record without its own is as good.
        if let Some((part, bytes)) = left_out.iter().find(|(part, _)| *part != Part::Headers) {
            let part = if *part == Part::Key { "key" } else { "value" };
            let (topic, partition, offset) = (source.topic, source.partition, source.offset);
            let why = format!(
                "its record's {part} has {bytes} bytes, over the limit, and is not in it; it stands in {topic} \
                 {partition}/{offset}"
            );
            return Err(error::incomplete_dead_letter(&place(letter), &why));
        }
        let partition = match record.key.as_deref() {
            None | Some([]) => letter.partition,
            Some(key) => log.partition_for(key),
        };
        let (key, value) = (record.key.clone(), record.value.clone());
        batches.push((source.topic, partition, vec![NewRecord { key, value, headers }]));
    }
    Ok(batches)
}

/// Dead letters by partition and offset.
type Records = BTreeMap<(u32, u64), StoredRecord>;

/// Reads these dead letters, those that are near each other at once: on Kafka each reading takes a while.
fn read(log: &Log, mut places: BTreeSet<(u32, u64)>) -> Result<Records, Status> {
    let mut found = Records::new();
    let mut bytes = 0;
    while let Some((partition, offset)) = places.pop_first() {
        let last = places.range((partition, 0)..=(partition, u64::MAX)).next_back().map_or(offset, |(_, last)| *last);
        let records = usize::try_from((last - offset).saturating_add(1).min(READ_MAX_RECORDS)).unwrap_or(1);
        let read = match log.read(Topic::DeadLetter, partition, offset, records, READ_MAX_BYTES) {
            Err(LogError::Trimmed { .. } | LogError::PastEnd { .. }) => Vec::new(),
            other => other.map_err(|why| error::unread(&why))?,
        };
        for record in read {
            if record.offset == offset || places.remove(&(partition, record.offset)) {
                bytes += record.value.as_ref().map_or(0, Bytes::len);
                found.insert((partition, record.offset), record);
            }
        }
        if !found.contains_key(&(partition, offset)) {
            return Err(error::no_dead_letter(partition, offset));
        }
        if bytes > RETRIES_MAX_BYTES {
            let problem = format_args!("have values of {bytes} bytes, at most {RETRIES_MAX_BYTES} are allowed");
            return Err(error::invalid(InvalidField::limit("dead_letters", problem)));
        }
    }
    Ok(found)
}

/// Reads the log on a thread that may wait for it, and waits for that no longer than the caller does.
pub(crate) async fn in_time<T: Send + 'static>(
    deadline: Deadline,
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::time::timeout_at(deadline.instant(), blocking(work)).await;
    done.unwrap_or_else(|_| Err(error::log_silent()))
}

/// Refuses a partition that the log does not have.
pub(crate) fn check_partition(log: &Log, field: &str, partition: u32) -> Result<(), Status> {
    let partitions = log.partitions();
    if partition < partitions {
        return Ok(());
    }
    let problem = format_args!("is {partition}: the log has partitions 0 to {}", partitions.saturating_sub(1));
    Err(error::invalid(InvalidField::rule(field, problem)))
}

/// A record of receipts.dead-letter as the contract has it.
pub(crate) fn message(partition: u32, record: &StoredRecord) -> v1::DeadLetter {
    let letter = DeadLetter::read(record);
    let value_bytes = record.value.as_ref().map_or(0, |value| value.len() as u64);
    let part = |part: &Part| match part {
        Part::Key => v1::RecordPart::Key,
        Part::Value => v1::RecordPart::Value,
        Part::Headers => v1::RecordPart::Headers,
    };
    v1::DeadLetter {
        partition,
        offset: record.offset,
        refused_at: record.timestamp_ms.map(timestamp_from_ms),
        source_topic: letter.source.map_or_else(String::new, |source| source.topic.name().to_owned()),
        source_partition: letter.source.map_or(0, |source| source.partition),
        source_offset: letter.source.map_or(0, |source| source.offset),
        key: record.key.as_ref().map(|key| key.to_vec()),
        value_bytes: letter.left_out(Part::Value).unwrap_or(value_bytes),
        left_out: letter.left_out.iter().map(|(left_out, _)| part(left_out).into()).collect(),
        reason: letter.reason,
    }
}

/// The value as an event of its topic, of whatever shape, or why it is none.
fn event(topic: Topic, value: &[u8]) -> Event {
    let decoded = match topic {
        Topic::Reads => v1::ReadEvent::decode(value).map(Event::ReadEvent),
        _ => v1::ConversationEvent::decode(value).map(Event::ConversationEvent),
    };
    decoded.unwrap_or_else(|why| Event::Undecodable(why.to_string()))
}

fn after(topic: Topic, offset: u64) -> Offsets {
    match topic {
        Topic::Reads => Offsets { conversations: 0, reads: offset + 1 },
        _ => Offsets { conversations: offset + 1, reads: 0 },
    }
}

fn place(letter: &v1::DeadLetterRef) -> String {
    format!("{}/{}", letter.partition, letter.offset)
}
