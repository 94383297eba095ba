//! GetMessageReadStates: what given users did with one message (S28).

use receipt_domain::{id::UserId, limits::QUERY_READERS_MAX};
use receipt_log::Log;
use receipt_projector::Offsets;
use receipt_proto::{user_id, v1};
use receipt_store::{States, StoreError, View};
use tonic::{Request, Response, Status};

use crate::{
    api::{self, Api},
    convert,
    deadline::Deadline,
    error,
    message::{Question, answer_token},
};

/// A request whose shape is checked.
pub(crate) struct Asked {
    pub(crate) question: Question,
    readers: Vec<UserId>,
}

type Answer = Result<States, receipt_domain::answer::Unanswerable>;

/// GetMessageReadStates.
pub(crate) async fn get(
    api: &Api,
    request: Request<v1::GetMessageReadStatesRequest>,
) -> Result<Response<v1::GetMessageReadStatesResponse>, Status> {
    let deadline = Deadline::of(&request);
    let asked = Asked::new(&api.log, request.into_inner())?;
    let partition = asked.question.caught_up(api, deadline).await?;
    let (asked, answer, offsets) = api
        .read(move || {
            let (answer, offsets) = api::ask(&partition, |view| asked.ask(view))?;
            Ok((asked, answer, offsets))
        })
        .await?;
    Ok(Response::new(asked.response(&api.log, answer, offsets)?))
}

impl Asked {
    pub(crate) fn new(log: &Log, request: v1::GetMessageReadStatesRequest) -> Result<Self, Status> {
        let v1::GetMessageReadStatesRequest { user_id, message, reader_ids, consistency_tokens } = request;
        let question = Question::new(log, &user_id, message.as_ref(), &consistency_tokens)?;
        Ok(Self { question, readers: readers(&reader_ids)? })
    }

    /// The answer of one moment.
    pub(crate) fn ask(&self, view: &mut View<'_>) -> Result<Answer, StoreError> {
        let Question { conversation, message, asker, .. } = &self.question;
        view.states(conversation, message, asker.as_ref(), &self.readers)
    }

    /// The answer, as it was at these offsets.
    pub(crate) fn response(
        self,
        log: &Log,
        answer: Answer,
        offsets: Offsets,
    ) -> Result<v1::GetMessageReadStatesResponse, Status> {
        let States { states, receipt } = answer.map_err(error::unanswerable)?;
        Ok(v1::GetMessageReadStatesResponse {
            states: self.readers.iter().zip(states).map(|(user, state)| convert::state(user, state)).collect(),
            receipt: Some((&receipt).into()),
            consistency_token: answer_token(log, self.question.positions, self.question.partition, offsets),
        })
    }
}

fn readers(ids: &[String]) -> Result<Vec<UserId>, Status> {
    error::check_len("reader_ids", ids.len(), QUERY_READERS_MAX)?;
    let readers = ids.iter().enumerate().map(|(i, id)| user_id(&format!("reader_ids[{i}]"), id));
    readers.collect::<Result<_, _>>().map_err(error::invalid)
}
