//! A receiver has read something.

use prost::Message as _;
use receipt_domain::{
    event::{ReadEvent, ReadTarget},
    id::{ConversationId, UserId},
};
use receipt_log::{NewRecord, Topic};
use receipt_projector::{Offsets, Partition};
use receipt_proto::{
    InvalidField, conversation_id, message_id, ms_from_timestamp, receipt_messages, user_id,
    v1::{self, mark_conversation_read_request::UpTo},
};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Response, Status};

use crate::{
    api::{self, Api, blocking, gather},
    convert,
    deadline::Deadline,
    error,
    token::Positions,
};

/// SendMessageReadReceipts.
pub(crate) async fn send(
    api: &Api,
    request: Request<v1::SendMessageReadReceiptsRequest>,
) -> Result<Response<v1::SendMessageReadReceiptsResponse>, Status> {
    let deadline = Deadline::of(&request);
    let v1::SendMessageReadReceiptsRequest { user_id, conversation_id, message_ids, wait } = request.into_inner();
    let (reader, conversation) = ids(&user_id, &conversation_id)?;
    let messages = receipt_messages("message_ids", &message_ids).map_err(error::invalid)?;
    let target = ReadTarget::Messages(messages.clone());
    let read = Read { conversation, reader, target };
    let written = read.append(api, wait, deadline).await?;
    let mut outcomes = Vec::new();
    if wait {
        let partition = written.applied(api, deadline).await?;
        let (Read { conversation, reader, .. }, arrival_ms) = (read, written.arrival_ms);
        // Written already, so not refused.
        outcomes = blocking(move || {
            let (outcomes, _) = api::ask(&partition, |view| {
                view.ask(|queries| {
                    gather(&messages, |message| queries.outcome(&conversation, message, &reader, arrival_ms))
                })
            })?;
            Ok(outcomes)
        })
        .await?;
    }
    let outcomes = outcomes.into_iter().map(|outcome| convert::receipt_outcome(outcome).into()).collect();
    Ok(Response::new(v1::SendMessageReadReceiptsResponse { consistency_token: written.token, outcomes }))
}

/// MarkConversationRead.
pub(crate) async fn mark(
    api: &Api,
    request: Request<v1::MarkConversationReadRequest>,
) -> Result<Response<v1::MarkConversationReadResponse>, Status> {
    let deadline = Deadline::of(&request);
    let v1::MarkConversationReadRequest { user_id, conversation_id, up_to, wait } = request.into_inner();
    let (reader, conversation) = ids(&user_id, &conversation_id)?;
    let target = mark_target(up_to.as_ref()).map_err(error::invalid)?;
    let read = Read { conversation, reader, target };
    if let ReadTarget::UpToTime(_) = read.target {
        let number = read.number(api);
        // A partition that does not serve takes the mark all the same; from a group the fold ignores it.
        if let Ok(partition) = api.partition(number)
            && partition.serves().is_ok()
        {
            let place = api.begin_read()?;
            check_no_group(partition.clone(), read.conversation.clone(), Some(place)).await?;
        }
    }
    let written = read.append(api, wait, deadline).await?;
    let mut outcome = v1::ReceiptOutcome::Unspecified;
    if wait {
        let partition = written.applied(api, deadline).await?;
        outcome = mark_outcome(partition, read, written.arrival_ms).await?;
    }
    Ok(Response::new(v1::MarkConversationReadResponse { consistency_token: written.token, outcome: outcome.into() }))
}

fn mark_target(up_to: Option<&UpTo>) -> Result<ReadTarget, InvalidField> {
    match up_to {
        Some(UpTo::MessageId(message)) => message_id("message_id", message).map(ReadTarget::UpToMessage),
        Some(UpTo::Time(time)) => ms_from_timestamp("time", time).map(ReadTarget::UpToTime),
        None => Err(InvalidField::rule("up_to", "must be given: message_id or time")),
    }
}

async fn mark_outcome(partition: Partition, read: Read, arrival_ms: u64) -> Result<v1::ReceiptOutcome, Status> {
    let Read { conversation, target, .. } = read;
    let ReadTarget::UpToMessage(message) = target else {
        return check_no_group(partition, conversation, None).await.map(|()| v1::ReceiptOutcome::Read);
    };
    blocking(move || {
        let (outcome, _) =
            api::ask(&partition, |view| view.ask(|queries| queries.mark_outcome(&conversation, &message, arrival_ms)))?;
        Ok(convert::receipt_outcome(outcome))
    })
    .await
}

/// A mark up to a time is for one-to-one conversations (S19). `place`: among the calls that read, before it is written.
async fn check_no_group(
    partition: Partition,
    conversation: ConversationId,
    place: Option<OwnedSemaphorePermit>,
) -> Result<(), Status> {
    let (is_group, _) = blocking(move || {
        let _place = place;
        api::ask(&partition, |view| view.ask(|queries| queries.is_group(&conversation)))
    })
    .await?;
    if is_group {
        let problem = "is for one-to-one conversations, and this one is a group: name a message";
        return Err(error::invalid(InvalidField::rule("time", problem)));
    }
    Ok(())
}

/// Who has read, and where.
fn ids(user: &str, conversation: &str) -> Result<(UserId, ConversationId), Status> {
    let user = user_id("user_id", user).map_err(error::invalid)?;
    let conversation = conversation_id("conversation_id", conversation).map_err(error::invalid)?;
    Ok((user, conversation))
}

/// A read to be appended; its time is its arrival (S20).
struct Read {
    conversation: ConversationId,
    reader: UserId,
    target: ReadTarget,
}

impl Read {
    fn number(&self, api: &Api) -> u32 {
        api.log.partition_for(self.conversation.as_str().as_bytes())
    }

    async fn append(&self, api: &Api, wait: bool, deadline: Deadline) -> Result<Written, Status> {
        let number = self.number(api);
        if wait {
            api.check_serving(number)?;
        }
        let event = v1::ReadEvent::from(&ReadEvent {
            conversation: self.conversation.clone(),
            reader: self.reader.clone(),
            read_at_ms: None,
            target: self.target.clone(),
        });
        let record = NewRecord::new(event.conversation_id.clone(), event.encode_to_vec());
        let appended = api.append(vec![(Topic::Reads, number, vec![record])], deadline).await?;
        let appended = appended
            .first()
            .and_then(|records| records.first())
            .ok_or_else(|| error::internal("the log did not say where it put the read"))?;
        // What is in receipts.conversations by now may be what was read.
        let conversations = api.log.end_offset(Topic::Conversations, number);
        let offsets = Offsets { conversations, reads: appended.offset + 1 };
        let token = Positions::of_one(number, offsets).encode(&api.log);
        Ok(Written { number, offsets, arrival_ms: appended.timestamp_ms, token })
    }
}

/// A read that is in the log.
struct Written {
    number: u32,
    /// What a state must include to tell what became of it.
    offsets: Offsets,
    arrival_ms: u64,
    token: String,
}

impl Written {
    async fn applied(&self, api: &Api, deadline: Deadline) -> Result<Partition, Status> {
        api.applied(self.number, self.offsets, deadline, &self.token).await?;
        let partition = api.partition(self.number).cloned();
        partition.map_err(|why| error::unserved(self.number, &why).durable(&self.token).into())
    }
}
