//! AskAsOf: a question about the past, answered beside what serves.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{Stream, stream};
use receipt_projector::{PastOptions, ProjectorError};
use receipt_proto::v1::{self, ask_as_of_response::Response as Told};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};
use tonic::{Request, Response, Status};

use super::ask::{AsOf, AsOfError};
use crate::{api::Api, error};

/// Questions that are answered at a time, at most: each folds on a core of its own.
const QUESTIONS_MAX: usize = 2;
/// How often is told how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// Responses that a client has not taken yet, at most.
const RESPONSES_MAX: usize = 8;

/// The responses of one question.
pub(crate) type Responses = Pin<Box<dyn Stream<Item = Result<v1::AskAsOfResponse, Status>> + Send>>;

/// The questions that are being answered.
pub(crate) struct Asking {
    options: PastOptions,
    /// The partitions of each.
    questions: Mutex<Vec<BTreeSet<u32>>>,
}

/// One question's place among them; given up when this goes.
struct Place {
    asking: Arc<Asking>,
    partitions: BTreeSet<u32>,
}

impl Asking {
    pub(crate) fn new(options: PastOptions) -> Arc<Self> {
        Arc::new(Self { options, questions: Mutex::default() })
    }

    /// A place for a question about these partitions: each is folded for one question at a time.
    fn take(self: &Arc<Self>, partitions: Vec<u32>) -> Result<Place, Status> {
        let partitions: BTreeSet<u32> = partitions.into_iter().collect();
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if questions.len() >= QUESTIONS_MAX || questions.iter().any(|others| !others.is_disjoint(&partitions)) {
            return Err(error::too_many_as_of(QUESTIONS_MAX));
        }
        questions.push(partitions.clone());
        Ok(Place { asking: Arc::clone(self), partitions })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut questions = self.asking.questions.lock().unwrap_or_else(PoisonError::into_inner);
        // No two have a partition in common.
        questions.retain(|others| *others != self.partitions);
    }
}

/// AskAsOf.
pub(crate) fn ask(api: &Api, request: Request<v1::AskAsOfRequest>) -> Result<Response<Responses>, Status> {
    let question = AsOf::new(&api.log, request.into_inner())?;
    let place = api.asking.take(question.partitions())?;
    let (stop, stopped) = watch::channel(false);
    let (responses, taken) = mpsc::channel(RESPONSES_MAX);
    let (log, runtime) = (api.log.clone(), Handle::current());
    tokio::task::spawn_blocking(move || {
        let mut telling = Telling { responses, told_at: None };
        let answered = question.answer(&log, &place.asking.options, &runtime, &stopped, &mut |told| telling.tell(told));
        drop(place);
        if let Err(why) = answered {
            // Nobody to be told: the client is gone.
            let _ = telling.responses.blocking_send(Err(status(&why)));
        }
    });
    let asked = Answering { taken, stopping: api.stopping(), stop };
    Ok(Response::new(Box::pin(stream::unfold(asked, step))))
}

/// What the client's side of a stream holds. When it goes, as when the client does, the folding stops.
struct Answering {
    taken: mpsc::Receiver<Result<v1::AskAsOfResponse, Status>>,
    stopping: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

async fn step(mut answering: Answering) -> Option<(Result<v1::AskAsOfResponse, Status>, Answering)> {
    let stopped = *answering.stop.borrow();
    let response = tokio::select! {
        biased;
        response = answering.taken.recv() => Some(response),
        () = until(&mut answering.stopping), if !stopped => None,
    };
    let response = match response {
        Some(response) => response,
        None => {
            // The last word is that of the folding, which makes durable what it has.
            answering.stop.send_replace(true);
            answering.taken.recv().await
        }
    };
    Some((response?, answering))
}

async fn until(stopping: &mut watch::Receiver<bool>) {
    // Nobody to say so is as good a reason.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Tells the client.
struct Telling {
    responses: mpsc::Sender<Result<v1::AskAsOfResponse, Status>>,
    told_at: Option<Instant>,
}

impl Telling {
    /// Whether there is still somebody who listens. How far it is is told now and then, and to who has taken the rest.
    fn tell(&mut self, told: Told) -> bool {
        if matches!(told, Told::Progress(_)) {
            if self.told_at.is_some_and(|at| at.elapsed() < PROGRESS_EVERY) {
                return !self.responses.is_closed();
            }
            self.told_at = Some(Instant::now());
            let _ = self.responses.try_send(Ok(v1::AskAsOfResponse { response: Some(told) }));
            return !self.responses.is_closed();
        }
        self.responses.blocking_send(Ok(v1::AskAsOfResponse { response: Some(told) })).is_ok()
    }
}

fn status(why: &AsOfError) -> Status {
    match why {
        AsOfError::Refused(status) => status.clone(),
        AsOfError::Unfolded(ProjectorError::Stopped) => error::stopped().into(),
        AsOfError::Unfolded(why) => error::unfolded(why),
        AsOfError::Unread(why) => error::past_unread(why),
    }
}
