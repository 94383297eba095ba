//! GetMessageReadReceipts: counts of messages of any conversations, each with its own answer (S24).

use std::collections::BTreeMap;

use receipt_domain::{
    answer::Unanswerable,
    id::{ConversationId, MessageId, UserId},
    limits::QUERY_MESSAGES_MAX,
    receipt::Receipt,
};
use receipt_projector::{Offsets, Partition};
use receipt_proto::v1::{self, receipt_result};
use tonic::{Request, Response, Status};

use crate::{
    api::{self, Api, NotReached, blocking, gather},
    deadline::Deadline,
    error,
    message::{asker, message_ref},
    token::Positions,
};

type Ids = (ConversationId, MessageId);
type Answer = Result<Receipt, Unanswerable>;

/// The messages of one partition, and where each was asked for.
struct Group {
    partition: Partition,
    messages: Vec<Ids>,
    places: Vec<usize>,
}

/// What one partition said, or nothing where it does not serve.
struct Answered {
    partition: u32,
    places: Vec<usize>,
    answers: Option<(Vec<Answer>, Offsets)>,
}

/// GetMessageReadReceipts.
pub(crate) async fn get(
    api: &Api,
    request: Request<v1::GetMessageReadReceiptsRequest>,
) -> Result<Response<v1::GetMessageReadReceiptsResponse>, Status> {
    let deadline = Deadline::of(&request);
    let v1::GetMessageReadReceiptsRequest { user_id, messages, consistency_tokens } = request.into_inner();
    let asker = asker(&user_id)?;
    error::check_len("messages", messages.len(), QUERY_MESSAGES_MAX)?;
    let ids = messages.iter().enumerate().map(|(i, message)| message_ref(&format!("messages[{i}]"), message));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let mut positions = Positions::of_tokens(&api.log, &consistency_tokens)?;
    let groups = groups(api, ids, &positions, deadline).await?;
    let answered = blocking(move || Ok(groups.into_iter().map(|group| group.ask(asker.as_ref())).collect())).await?;
    let answered: Vec<Answered> = answered;

    let unavailable = receipt_result::Result::Error(v1::ReceiptError::Unavailable.into());
    let mut results = vec![unavailable; messages.len()];
    for Answered { partition, places, answers } in answered {
        let Some((answers, offsets)) = answers else { continue };
        positions.include(partition, offsets);
        for (place, answer) in places.into_iter().zip(answers) {
            if let Some(result) = results.get_mut(place) {
                *result = receipt_or_error(answer);
            }
        }
    }
    let results = messages.into_iter().zip(results);
    let results = results.map(|(message, result)| v1::ReceiptResult { message: Some(message), result: Some(result) });
    let consistency_token = positions.encode(&api.log);
    Ok(Response::new(v1::GetMessageReadReceiptsResponse { results: results.collect(), consistency_token }))
}

/// The messages by partition, once each serves the state asked for; those of partitions that do not serve are left out.
async fn groups(api: &Api, ids: Vec<Ids>, positions: &Positions, deadline: Deadline) -> Result<Vec<Group>, Status> {
    let mut by_partition: BTreeMap<u32, (Vec<Ids>, Vec<usize>)> = BTreeMap::new();
    for (place, (conversation, message)) in ids.into_iter().enumerate() {
        let number = api.log.partition_for(conversation.as_str().as_bytes());
        let (messages, places) = by_partition.entry(number).or_default();
        messages.push((conversation, message));
        places.push(place);
    }
    let mut groups = Vec::with_capacity(by_partition.len());
    for (number, (messages, places)) in by_partition {
        match api.caught_up(number, positions, deadline).await {
            Ok(partition) => groups.push(Group { partition, messages, places }),
            Err(NotReached::Unserved(_)) => {}
            Err(behind @ NotReached::Behind) => return Err(error::not_reached(number, &behind).into()),
        }
    }
    Ok(groups)
}

impl Group {
    /// Asks one moment for all of its messages.
    fn ask(self, asker: Option<&UserId>) -> Answered {
        let Self { partition, messages, places } = self;
        let answers = api::ask(&partition, |view| {
            view.ask(|queries| {
                gather(&messages, |(conversation, message)| match queries.find(conversation, message, asker)? {
                    Ok(found) => queries.receipt(&found).map(Ok),
                    Err(why) => Ok(Err(why)),
                })
            })
        });
        // Why it failed has been logged; the other partitions' messages are answered all the same.
        Answered { partition: partition.number(), places, answers: answers.ok() }
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
