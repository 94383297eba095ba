//! GetMessageReadStates: what given users did with one message (S28).

use receipt_domain::{id::UserId, limits::QUERY_READERS_MAX};
use receipt_proto::{user_id, v1};
use receipt_store::States;
use tonic::{Request, Response, Status};

use crate::{
    api::{self, Api, blocking},
    convert,
    deadline::Deadline,
    error,
    message::{Question, answer_token},
};

/// GetMessageReadStates.
pub(crate) async fn get(
    api: &Api,
    request: Request<v1::GetMessageReadStatesRequest>,
) -> Result<Response<v1::GetMessageReadStatesResponse>, Status> {
    let deadline = Deadline::of(&request);
    let v1::GetMessageReadStatesRequest { user_id, message, reader_ids, consistency_tokens } = request.into_inner();
    let question = Question::new(api, &user_id, message.as_ref(), &consistency_tokens)?;
    let readers = readers(&reader_ids)?;
    let partition = question.caught_up(api, deadline).await?;
    let (answer, offsets, question, readers) = blocking(move || {
        let Question { conversation, message, asker, .. } = &question;
        let states = |view: &mut receipt_store::View<'_>| view.states(conversation, message, asker.as_ref(), &readers);
        let (answer, offsets) = api::ask(&partition, states)?;
        Ok((answer.map_err(error::unanswerable)?, offsets, question, readers))
    })
    .await?;

    let States { states, receipt } = answer;
    Ok(Response::new(v1::GetMessageReadStatesResponse {
        states: readers.iter().zip(states).map(|(user, state)| convert::state(user, state)).collect(),
        receipt: Some((&receipt).into()),
        consistency_token: answer_token(api, question.positions, question.partition, offsets),
    }))
}

fn readers(ids: &[String]) -> Result<Vec<UserId>, Status> {
    error::check_len("reader_ids", ids.len(), QUERY_READERS_MAX)?;
    let readers = ids.iter().enumerate().map(|(i, id)| user_id(&format!("reader_ids[{i}]"), id));
    readers.collect::<Result<_, _>>().map_err(error::invalid)
}
