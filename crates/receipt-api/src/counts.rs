//! GetMessageReadReceipts: counts of messages of any conversations, each with its own answer (S24).

use std::collections::BTreeMap;

use receipt_domain::{
    answer::Unanswerable,
    id::{ConversationId, MessageId, UserId},
    limits::QUERY_MESSAGES_MAX,
    receipt::Receipt,
};
use receipt_log::Log;
use receipt_projector::{Offsets, Partition};
use receipt_proto::v1::{self, receipt_result};
use receipt_store::{Store, StoreError, View};
use tonic::{Request, Response, Status};

use crate::{
    api::{self, Api, NotReached, gather},
    deadline::Deadline,
    error,
    message::{asker, message_ref},
    token::Positions,
};

type Ids = (ConversationId, MessageId);
type Answer = Result<Receipt, Unanswerable>;

/// A request whose shape is checked.
pub(crate) struct Asked {
    asker: Option<UserId>,
    messages: Vec<v1::MessageRef>,
    positions: Positions,
    /// What is asked of each partition.
    parts: BTreeMap<u32, Part>,
}

/// The messages of one partition, and where each was asked for.
#[derive(Default)]
struct Part {
    messages: Vec<Ids>,
    places: Vec<usize>,
}

/// What one partition said.
pub(crate) struct Answered {
    partition: u32,
    part: Part,
    answers: Vec<Answer>,
    offsets: Offsets,
}

/// GetMessageReadReceipts.
pub(crate) async fn get(
    api: &Api,
    request: Request<v1::GetMessageReadReceiptsRequest>,
) -> Result<Response<v1::GetMessageReadReceiptsResponse>, Status> {
    let deadline = Deadline::of(&request);
    let mut asked = Asked::new(&api.log, request.into_inner())?;
    let parts = serving(api, std::mem::take(&mut asked.parts), &asked.positions, deadline).await?;
    let (asked, answered) = api
        .read(move || {
            let answered = parts.into_iter().filter_map(|(partition, part)| {
                // Why it failed has been logged; the other partitions' messages are answered all the same.
                let (answers, offsets) = api::ask(&partition, |view| part.ask(view, asked.asker.as_ref())).ok()?;
                Some(Answered { partition: partition.number(), part, answers, offsets })
            });
            let answered: Vec<_> = answered.collect();
            Ok((asked, answered))
        })
        .await?;
    Ok(Response::new(asked.response(&api.log, answered)))
}

impl Asked {
    pub(crate) fn new(log: &Log, request: v1::GetMessageReadReceiptsRequest) -> Result<Self, Status> {
        let v1::GetMessageReadReceiptsRequest { user_id, messages, consistency_tokens } = request;
        let asker = asker(&user_id)?;
        error::check_len("messages", messages.len(), QUERY_MESSAGES_MAX)?;
        let mut parts: BTreeMap<u32, Part> = BTreeMap::new();
        for (place, message) in messages.iter().enumerate() {
            let (conversation, message) = message_ref(&format!("messages[{place}]"), message)?;
            let part = parts.entry(log.partition_for(conversation.as_str().as_bytes())).or_default();
            part.messages.push((conversation, message));
            part.places.push(place);
        }
        let positions = Positions::of_tokens(log, &consistency_tokens)?;
        Ok(Self { asker, messages, positions, parts })
    }

    /// The partitions of its messages.
    pub(crate) fn partitions(&self) -> Vec<u32> {
        self.parts.keys().copied().collect()
    }

    /// Asks one of its partitions at one moment.
    pub(crate) fn ask(&mut self, partition: u32, store: &Store) -> Result<Option<Answered>, StoreError> {
        let Some(part) = self.parts.remove(&partition) else { return Ok(None) };
        let (answers, offsets) = api::ask_store(store, |view| part.ask(view, self.asker.as_ref()))?;
        Ok(Some(Answered { partition, part, answers, offsets }))
    }

    /// The answer; messages of partitions that did not answer are unavailable.
    pub(crate) fn response(mut self, log: &Log, answered: Vec<Answered>) -> v1::GetMessageReadReceiptsResponse {
        let unavailable = receipt_result::Result::Error(v1::ReceiptError::Unavailable.into());
        let mut results = vec![unavailable; self.messages.len()];
        for Answered { partition, part, answers, offsets } in answered {
            self.positions.include(partition, offsets);
            for (place, answer) in part.places.into_iter().zip(answers) {
                if let Some(result) = results.get_mut(place) {
                    *result = receipt_or_error(answer);
                }
            }
        }
        let results = self.messages.into_iter().zip(results);
        let results =
            results.map(|(message, result)| v1::ReceiptResult { message: Some(message), result: Some(result) });
        let consistency_token = self.positions.encode(log);
        v1::GetMessageReadReceiptsResponse { results: results.collect(), consistency_token }
    }
}

/// Each part's partition, once it serves the state asked for; parts of partitions that do not serve are left out.
async fn serving(
    api: &Api,
    parts: BTreeMap<u32, Part>,
    positions: &Positions,
    deadline: Deadline,
) -> Result<Vec<(Partition, Part)>, Status> {
    let mut serving = Vec::with_capacity(parts.len());
    for (number, part) in parts {
        match api.caught_up(number, positions, deadline).await {
            Ok(partition) => serving.push((partition, part)),
            Err(NotReached::Unserved(_)) => {}
            Err(why) => return Err(error::not_reached(number, &why).into()),
        }
    }
    Ok(serving)
}

impl Part {
    /// Asks one moment for all of its messages.
    fn ask(&self, view: &mut View<'_>, asker: Option<&UserId>) -> Result<Vec<Answer>, StoreError> {
        view.ask(|queries| {
            gather(&self.messages, |(conversation, message)| match queries.find(conversation, message, asker)? {
                Ok(found) => queries.receipt(&found).map(Ok),
                Err(why) => Ok(Err(why)),
            })
        })
    }
}

fn receipt_or_error(answer: Answer) -> receipt_result::Result {
    let error = match answer {
        Ok(receipt) => return receipt_result::Result::Receipt((&receipt).into()),
        Err(Unanswerable::NotFound) => v1::ReceiptError::NotFound,
        Err(Unanswerable::PermissionDenied) => v1::ReceiptError::PermissionDenied,
        Err(Unanswerable::NotRequested) => v1::ReceiptError::NotRequested,
        Err(Unanswerable::Expired) => v1::ReceiptError::Expired,
    };
    receipt_result::Result::Error(error.into())
}
