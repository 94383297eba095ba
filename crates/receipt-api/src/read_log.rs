//! ReadLog: records as they stand in the log, for operators.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use receipt_log::{Log, LogError, Reader, StoredRecord, Topic};
use receipt_projector::Unserved;
use receipt_proto::{InvalidField, v1};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::{Request, Response, Status};

use crate::{
    api::{Api, blocking},
    dead_letters::check_partition,
    error,
};

/// Streams at a time, at most: on Kafka each one has a consumer.
pub(crate) const STREAMS_MAX: usize = 16;
/// Records and bytes of one response, at most.
const RESPONSE_MAX_RECORDS: usize = 4096;
const RESPONSE_MAX_BYTES: usize = 1 << 20;
/// How long nothing may come before the end.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The responses of one stream.
pub(crate) type Responses = Pin<Box<dyn Stream<Item = Result<v1::ReadLogResponse, Status>> + Send>>;

/// Opens a stream.
pub(crate) async fn read(api: &Api, request: Request<v1::ReadLogRequest>) -> Result<Response<Responses>, Status> {
    let v1::ReadLogRequest { topic, partition, from_offset, to_offset, description_only } = request.into_inner();
    let topic = Topic::from_name(&topic).ok_or_else(|| error::invalid(unknown_topic(&topic)))?;
    check_partition(&api.log, "partition", partition)?;
    let looked_at = api.log.clone();
    blocking(move || looked_at.look_at_bounds(topic, partition).map_err(|why| error::unread(&why))).await?;
    let log = description(api, topic, partition);
    let from = from_offset.unwrap_or(log.start_offset);
    let to = to_offset.unwrap_or(log.end_offset);
    check_offsets(topic, &log, (from, to)).map_err(error::invalid)?;
    if description_only {
        let only = v1::ReadLogResponse { log: Some(log), records: Vec::new() };
        return Ok(Response::new(Box::pin(stream::once(async { Ok(only) }))));
    }
    let place = Arc::clone(&api.log_streams).try_acquire_owned();
    let place = place.map_err(|_| error::too_many_streams("of ReadLog", STREAMS_MAX))?;
    let reading = Reading { log: api.log.clone(), at: (topic, partition, from), reader: None, to, _place: place };
    let state = State::Begun(Box::new((log, reading, api.stopping())));
    Ok(Response::new(Box::pin(stream::unfold(state, step))))
}

fn unknown_topic(name: &str) -> InvalidField {
    let names: Vec<_> = Topic::ALL.iter().map(|topic| topic.name()).collect();
    InvalidField::rule("topic", format_args!("is \"{}\": must be one of {}", name.escape_debug(), names.join(", ")))
}

fn check_offsets(topic: Topic, log: &v1::LogDescription, (from, to): (u64, u64)) -> Result<(), InvalidField> {
    let (start, end) = (log.start_offset, log.end_offset);
    if from < start {
        return Err(InvalidField::rule("from_offset", format_args!("is {from}: {topic} begins there at {start}")));
    }
    if from > end {
        return Err(InvalidField::rule("from_offset", format_args!("is {from}: {topic} ends there at {end}")));
    }
    if to > end {
        return Err(InvalidField::rule("to_offset", format_args!("is {to}: {topic} ends there at {end}")));
    }
    if to < from {
        return Err(InvalidField::rule("to_offset", format_args!("is {to}: must not be below from_offset, {from}")));
    }
    Ok(())
}

fn description(api: &Api, topic: Topic, partition: u32) -> v1::LogDescription {
    let log = &api.log;
    let settings = api.partition(partition).ok().map(|partition| partition.identity().settings);
    v1::LogDescription {
        log_id: log.id().to_string(),
        origin: log.origin(),
        partitions: log.partitions(),
        start_offset: log.start_offset(topic, partition),
        end_offset: log.end_offset(topic, partition),
        settings: settings.map(|settings| v1::FoldSettings {
            retention_ms: settings.retention_ms,
            early_window_ms: settings.early_window_ms,
            max_group_members: settings.max_group_members,
        }),
    }
}

/// A partition that is being read.
struct Reading {
    log: Log,
    at: (Topic, u32, u64),
    /// Made by the first step, as on Kafka that starts a consumer.
    reader: Option<Reader>,
    to: u64,
    _place: OwnedSemaphorePermit,
}

enum State {
    /// Nothing is told yet.
    Begun(Box<(v1::LogDescription, Reading, watch::Receiver<bool>)>),
    Reading(Box<(Reading, watch::Receiver<bool>)>),
    Ended,
}

type Step = Option<(Result<v1::ReadLogResponse, Status>, State)>;

/// Asked for only when the client has taken what was told before.
async fn step(state: State) -> Step {
    let (reading, mut stopping) = match state {
        State::Begun(begun) => {
            let (log, reading, stopping) = *begun;
            let first = v1::ReadLogResponse { log: Some(log), records: Vec::new() };
            return Some((Ok(first), State::Reading(Box::new((reading, stopping)))));
        }
        State::Reading(reading) => *reading,
        State::Ended => return None,
    };
    let (_, partition, _) = reading.at;
    let next = tokio::select! {
        next = reading.next() => next,
        _ = stopping.wait_for(|stopping| *stopping) => Err(error::unserved(partition, &Unserved::Stopped).into()),
    };
    match next {
        Ok((records, _)) if records.is_empty() => None,
        Ok((records, reading)) => {
            let records = records.into_iter().map(record).collect();
            let state = State::Reading(Box::new((reading, stopping)));
            Some((Ok(v1::ReadLogResponse { log: None, records }), state))
        }
        Err(status) => Some((Err(status), State::Ended)),
    }
}

impl Reading {
    /// The next records; none at the end.
    async fn next(mut self) -> Result<(Vec<StoredRecord>, Self), Status> {
        loop {
            let records;
            (records, self) = blocking(move || self.poll().map_err(|why| error::unread(&why))).await?;
            let Some(reader) = &mut self.reader else { return Ok((records, self)) };
            if !records.is_empty() || reader.position() >= self.to {
                return Ok((records, self));
            }
            match tokio::time::timeout(SILENCE_MAX, reader.wait()).await {
                Ok(waited) => waited.map_err(|why| error::unread(&why))?,
                Err(_) => return Err(error::log_silent()),
            }
        }
    }

    fn poll(mut self) -> Result<(Vec<StoredRecord>, Self), LogError> {
        let (topic, partition, from) = self.at;
        let reader = self.reader.get_or_insert_with(|| self.log.reader(topic, partition, from));
        let mut records = Vec::new();
        if reader.position() < self.to {
            records = reader.poll(RESPONSE_MAX_RECORDS, RESPONSE_MAX_BYTES)?;
            records.retain(|record| record.offset < self.to);
        }
        Ok((records, self))
    }
}

fn record(record: StoredRecord) -> v1::LogRecord {
    let StoredRecord { offset, timestamp_ms, key, value, headers, .. } = record;
    v1::LogRecord {
        offset,
        timestamp_ms,
        key: key.map(Vec::from),
        value: value.map(Vec::from),
        headers: headers.into_iter().map(|(name, value)| v1::RecordHeader { name, value: value.into() }).collect(),
    }
}
