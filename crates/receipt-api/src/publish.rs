//! Events of producers that do not speak Kafka.

use std::collections::BTreeMap;

use prost::Message;
use receipt_domain::limits::{PUBLISH_EVENTS_MAX, RECORD_VALUE_MAX_BYTES};
use receipt_log::{Appended, NewRecord, Topic};
use receipt_projector::Offsets;
use receipt_proto::{
    InvalidField, conversation_event, read_event,
    v1::{self, conversation_event::Event as Kind},
};
use tonic::{Request, Response, Status};

use crate::{api::Api, convert, deadline::Deadline, error, token::Positions};

/// PublishConversationEvents.
pub(crate) async fn conversation_events(
    api: &Api,
    request: Request<v1::PublishConversationEventsRequest>,
) -> Result<Response<v1::PublishConversationEventsResponse>, Status> {
    let deadline = Deadline::of(&request);
    let v1::PublishConversationEventsRequest { events, wait } = request.into_inner();
    let grouped = Grouped::new(api, checked(events, conversation_record)?);
    if wait {
        grouped.numbers.iter().try_for_each(|partition| api.check_serving(*partition))?;
    }
    let published = grouped.append(api, Topic::Conversations, deadline).await?;
    let consistency_token = published.positions.encode(&api.log);
    let outcomes = if wait { outcomes(api, &published, deadline, &consistency_token).await? } else { Vec::new() };
    Ok(Response::new(v1::PublishConversationEventsResponse { consistency_token, outcomes }))
}

/// PublishReadEvents.
pub(crate) async fn read_events(
    api: &Api,
    request: Request<v1::PublishReadEventsRequest>,
) -> Result<Response<v1::PublishReadEventsResponse>, Status> {
    let deadline = Deadline::of(&request);
    let records = checked(request.into_inner().events, read_record)?;
    let published = Grouped::new(api, records).append(api, Topic::Reads, deadline).await?;
    let consistency_token = published.positions.encode(&api.log);
    Ok(Response::new(v1::PublishReadEventsResponse { consistency_token }))
}

async fn outcomes(
    api: &Api,
    published: &Published,
    deadline: Deadline,
    token: &str,
) -> Result<Vec<v1::EventOutcome>, Status> {
    for (partition, offsets) in published.positions.iter() {
        api.applied(partition, offsets, deadline, token).await?;
    }
    let outcome = |(number, offset): &(u32, u64)| {
        let partition = api.partition(*number).map_err(|why| error::unserved(*number, &why).durable(token))?;
        let outcome = convert::event_outcome(partition.verdict(*offset));
        outcome.ok_or_else(|| Status::from(error::forgotten(*number).durable(token)))
    };
    published.places.iter().map(outcome).collect()
}

/// All events as records, or what is wrong with the first that is wrong: then nothing is appended.
fn checked<E>(events: Vec<E>, record: impl Fn(E) -> Result<NewRecord, InvalidField>) -> Result<Vec<NewRecord>, Status> {
    error::check_len("events", events.len(), PUBLISH_EVENTS_MAX)?;
    let records = events.into_iter().enumerate().map(|(i, event)| record(event).map_err(|why| of_event(i, why)));
    records.collect()
}

fn of_event(index: usize, why: InvalidField) -> Status {
    let event = format!("events[{index}]");
    // No field: the event as a whole.
    error::invalid(if why.field.is_empty() { InvalidField { field: event, ..why } } else { why.within(event) })
}

fn conversation_record(event: v1::ConversationEvent) -> Result<NewRecord, InvalidField> {
    const SERVICE_ONLY: &str = "is written by the service alone; use SetReceiptPolicy";
    match event.event {
        Some(Kind::PolicyChanged(_)) => return Err(InvalidField::rule("policy_changed", SERVICE_ONLY)),
        Some(Kind::Tick(_)) => return Err(InvalidField::rule("tick", "is written by the service alone")),
        _ => {}
    }
    let record = NewRecord::new(event.conversation_id.clone(), value(&event)?);
    conversation_event(event).map(|_| record)
}

fn read_record(event: v1::ReadEvent) -> Result<NewRecord, InvalidField> {
    let record = NewRecord::new(event.conversation_id.clone(), value(&event)?);
    read_event(event).map(|_| record)
}

/// An event as a record's value, as it was given.
fn value(event: &impl Message) -> Result<Vec<u8>, InvalidField> {
    let len = event.encoded_len();
    if len > RECORD_VALUE_MAX_BYTES {
        let problem = format_args!("has {len} bytes, at most {RECORD_VALUE_MAX_BYTES} are allowed");
        return Err(InvalidField::limit("", problem));
    }
    Ok(event.encode_to_vec())
}

/// Records by partition, each conversation's in the order given.
struct Grouped {
    numbers: Vec<u32>,
    batches: Vec<Vec<NewRecord>>,
    /// For each record, its batch and where in it.
    places: Vec<(usize, usize)>,
}

/// Where records stand in the log.
struct Published {
    /// What a state must include to hold them.
    positions: Positions,
    /// For each record, in the order given, its partition and offset.
    places: Vec<(u32, u64)>,
}

impl Grouped {
    fn new(api: &Api, records: Vec<NewRecord>) -> Self {
        let mut grouped = Self { numbers: Vec::new(), batches: Vec::new(), places: Vec::with_capacity(records.len()) };
        let mut batch_of = BTreeMap::new();
        for record in records {
            let number = api.log.partition_for(record.key.as_deref().unwrap_or_default());
            let batch = *batch_of.entry(number).or_insert_with(|| {
                grouped.numbers.push(number);
                grouped.batches.push(Vec::new());
                grouped.batches.len() - 1
            });
            grouped.places.push((batch, grouped.batches[batch].len()));
            grouped.batches[batch].push(record);
        }
        grouped
    }

    async fn append(self, api: &Api, topic: Topic, deadline: Deadline) -> Result<Published, Status> {
        let Self { numbers, batches, places } = self;
        let batches = numbers.iter().zip(batches).map(|(number, records)| (topic, *number, records)).collect();
        let appended = api.append(batches, deadline).await?;
        let mut positions = Positions::default();
        for (number, batch) in numbers.iter().zip(&appended) {
            let end = batch.last().map_or(0, |last: &Appended| last.offset + 1);
            positions.include(
                *number,
                match topic {
                    Topic::Reads => Offsets { conversations: 0, reads: end },
                    _ => Offsets { conversations: end, reads: 0 },
                },
            );
        }
        let place = |(batch, at): &(usize, usize)| {
            let appended = appended.get(*batch).and_then(|batch| batch.get(*at));
            numbers.get(*batch).zip(appended).map(|(number, appended)| (*number, appended.offset))
        };
        let places = places.iter().map(place).collect::<Option<_>>();
        let places = places.ok_or_else(|| error::internal("the log did not say where it put the events"))?;
        Ok(Published { positions, places })
    }
}
