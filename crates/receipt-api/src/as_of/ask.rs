//! One question about the past: its shape, the states it needs, and its answer.

use receipt_log::Log;
use receipt_projector::{Moment, Offsets, Past, PastOptions, PastStep, ProjectorError, Reached};
use receipt_proto::{
    InvalidField, ms_from_timestamp,
    v1::{
        self,
        ask_as_of_request::{Moment as RequestMoment, Question},
        ask_as_of_response::Response,
    },
};
use receipt_store::StoreError;
use tokio::{runtime::Handle, sync::watch};
use tonic::Status;

use crate::{api, counts, error, members, states};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AsOfError {
    /// What the query call would have answered, too.
    #[error(transparent)]
    Refused(#[from] Status),
    /// The state could not be folded, or it was stopped.
    #[error(transparent)]
    Unfolded(#[from] ProjectorError),
    /// The state could not be read.
    #[error(transparent)]
    Unread(#[from] StoreError),
}

/// A question about the past, whose shape is checked.
pub struct AsOf {
    moment: Moment,
    asked: Asked,
    all_pages: bool,
}

enum Asked {
    Receipts(counts::Asked),
    /// With the request, of which the next page is asked for.
    Members(members::Asked, Box<v1::GetGroupMessageReadMemberListRequest>),
    States(states::Asked),
}

/// Is told each response, and says whether to go on.
type Told<'a> = &'a mut dyn FnMut(Response) -> bool;

impl AsOf {
    /// Of a request.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, as the query calls have it.
    pub fn new(log: &Log, request: v1::AskAsOfRequest) -> Result<Self, Status> {
        let v1::AskAsOfRequest { moment, question, all_pages } = request;
        let moment = moment_of(moment).map_err(error::invalid)?;
        let asked = Asked::new(log, question)?;
        if !matches!(moment, Moment::TimeMs(_)) && asked.partitions().len() > 1 {
            let problem =
                "are of one partition, and the messages are of several: give a time, or ask for each by itself";
            return Err(error::invalid(InvalidField::rule("offsets", problem)));
        }
        Ok(Self { moment, asked, all_pages })
    }

    /// The partitions that are to be folded.
    #[must_use]
    pub fn partitions(&self) -> Vec<u32> {
        self.asked.partitions()
    }

    /// Folds what it needs, one partition after the other, and answers. `told` is told how far it is, where the moment is,
    /// and the answer, and says whether to go on. Must not be called from async code.
    ///
    /// # Errors
    /// [`ProjectorError::Stopped`] when it was, or was told not to go on.
    pub fn answer(
        self,
        log: &Log,
        options: &PastOptions,
        runtime: &Handle,
        stopped: &watch::Receiver<bool>,
        told: Told<'_>,
    ) -> Result<(), AsOfError> {
        let Self { moment, asked, all_pages } = self;
        let fold = |partition, told: Told<'_>| {
            let mut looked_at = 0;
            let past = Past::fold(log, partition, moment, options, runtime, stopped, |step| {
                let (folded, total) = match step {
                    PastStep::Looking(read) => {
                        looked_at = read;
                        (0, 0)
                    }
                    PastStep::Folding(folded, all) => (folded, all),
                };
                told(Response::Progress(v1::AsOfProgress { partition, looked_at, folded, total }));
            })?;
            told(Response::Moment(moment_response(partition, &past)));
            Ok(past)
        };
        match asked {
            Asked::Receipts(asked) => receipts(log, asked, fold, told),
            Asked::Members(asked, request) => members(log, asked, *request, all_pages, fold, told),
            Asked::States(asked) => {
                let past: Past = fold(asked.question.partition, told)?;
                let (answer, offsets) =
                    asked_of(past, |past| Ok(api::ask_store(past.store(), |view| asked.ask(view))?))?;
                told(Response::States(asked.response(log, answer, offsets)?));
                Ok(())
            }
        }
    }
}

fn receipts(
    log: &Log,
    mut asked: counts::Asked,
    fold: impl Fn(u32, Told<'_>) -> Result<Past, AsOfError>,
    told: Told<'_>,
) -> Result<(), AsOfError> {
    let mut answered = Vec::new();
    for partition in asked.partitions() {
        let past = fold(partition, told)?;
        answered.extend(asked_of(past, |past| Ok(asked.ask(partition, past.store())?))?);
    }
    told(Response::Receipts(asked.response(log, answered)));
    Ok(())
}

fn members(
    log: &Log,
    mut asked: members::Asked,
    mut request: v1::GetGroupMessageReadMemberListRequest,
    all_pages: bool,
    fold: impl Fn(u32, Told<'_>) -> Result<Past, AsOfError>,
    told: Told<'_>,
) -> Result<(), AsOfError> {
    let past = fold(asked.question.partition, told)?;
    asked_of(past, |past| {
        loop {
            let (answer, offsets) = api::ask_store(past.store(), |view| asked.ask(view))?;
            let page = asked.response(log, answer, offsets)?;
            let next = (all_pages && !page.is_finished).then(|| page.next_page_token.clone());
            if !told(Response::Members(page)) {
                return Err(ProjectorError::Stopped.into());
            }
            let Some(next) = next else { return Ok(()) };
            request.page_token = next;
            asked = members::Asked::new(log, &request)?;
        }
    })
}

/// Asks a state of the past, and takes it away, whatever it answers.
fn asked_of<T>(past: Past, ask: impl FnOnce(&Past) -> Result<T, AsOfError>) -> Result<T, AsOfError> {
    let answer = ask(&past);
    past.delete()?;
    answer
}

impl Asked {
    fn new(log: &Log, question: Option<Question>) -> Result<Self, Status> {
        let asked = match question {
            None => Err(error::invalid(InvalidField::rule("question", "must be given: receipts, members or states")))?,
            Some(Question::Receipts(request)) => {
                without_tokens("receipts", &request.consistency_tokens)?;
                Self::Receipts(counts::Asked::new(log, request)?)
            }
            Some(Question::Members(request)) => {
                without_tokens("members", &request.consistency_tokens)?;
                Self::Members(members::Asked::new(log, &request)?, Box::new(request))
            }
            Some(Question::States(request)) => {
                without_tokens("states", &request.consistency_tokens)?;
                Self::States(states::Asked::new(log, request)?)
            }
        };
        Ok(asked)
    }

    fn partitions(&self) -> Vec<u32> {
        match self {
            Self::Receipts(asked) => asked.partitions(),
            Self::Members(asked, _) => vec![asked.question.partition],
            Self::States(asked) => vec![asked.question.partition],
        }
    }
}

/// The state is that of the moment, whatever a token says.
fn without_tokens(question: &str, tokens: &[String]) -> Result<(), Status> {
    if tokens.is_empty() {
        return Ok(());
    }
    let field = format!("{question}.consistency_tokens");
    Err(error::invalid(InvalidField::rule(field, "must be empty: the moment says which state answers")))
}

fn moment_of(moment: Option<RequestMoment>) -> Result<Moment, InvalidField> {
    match moment {
        None => Err(InvalidField::rule("moment", "must be given: time or offsets")),
        Some(RequestMoment::Time(time)) => ms_from_timestamp("time", &time).map(Moment::TimeMs),
        Some(RequestMoment::Offsets(v1::AsOfOffsets { conversations, reads: Some(reads) })) => {
            Ok(Moment::Offsets(Offsets { conversations, reads }))
        }
        Some(RequestMoment::Offsets(v1::AsOfOffsets { conversations, reads: None })) => {
            Ok(Moment::Conversations(conversations))
        }
    }
}

fn moment_response(partition: u32, past: &Past) -> v1::AsOfMoment {
    let Reached { to: Offsets { conversations, reads }, past_end } = past.reached();
    let snapshot = past.snapshot().unwrap_or_default().to_owned();
    v1::AsOfMoment { partition, conversations_offset: conversations, reads_offset: reads, past_end, snapshot }
}
