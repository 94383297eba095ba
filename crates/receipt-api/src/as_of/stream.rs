//! AskAsOf: a question about the past, answered beside what serves.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use receipt_projector::{PastOptions, ProjectorError};
use receipt_proto::v1::{self, ask_as_of_response::Response as Answer};
use tokio::runtime::Handle;
use tonic::{Request, Response, Status};

use super::ask::{AsOf, AsOfError};
use crate::{
    api::Api,
    error,
    told::{self, Responses, Teller},
};

/// Questions that are answered at a time, at most: each folds on a core of its own.
const QUESTIONS_MAX: usize = 2;

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
pub(crate) fn ask(
    api: &Api,
    request: Request<v1::AskAsOfRequest>,
) -> Result<Response<Responses<v1::AskAsOfResponse>>, Status> {
    let question = AsOf::new(&api.log, request.into_inner())?;
    let place = api.asking.take(question.partitions())?;
    let (log, runtime) = (api.log.clone(), Handle::current());
    Ok(told::stream(api, move |teller: &Teller<_>| {
        let mut progress = teller.now_and_then();
        let options = &place.asking.options;
        let answered = question.answer(&log, options, &runtime, &teller.stopped, &mut |answer| match answer {
            Answer::Progress(_) => progress(&|| v1::AskAsOfResponse { response: Some(answer.clone()) }),
            answer => teller.tell(v1::AskAsOfResponse { response: Some(answer) }),
        });
        answered.map_err(|why| status(&why))
    }))
}

fn status(why: &AsOfError) -> Status {
    match why {
        AsOfError::Refused(status) => status.clone(),
        AsOfError::Unfolded(ProjectorError::Stopped) => error::stopped().into(),
        AsOfError::Unfolded(why) => error::unfolded(why),
        AsOfError::Unread(why) => error::past_unread(why),
    }
}

#[cfg(test)]
mod tests {
    use receipt_domain::settings::Settings;
    use receipt_store::Resources;

    use super::*;

    #[test]
    fn two_are_answered_at_a_time_and_of_a_partition_one() {
        let (dir, settings, resources) = ("/data/replay/as-of".into(), Settings::default(), Resources::default());
        let asking = Asking::new(PastOptions { dir, settings, resources, snapshots: None });
        let first = asking.take(vec![0, 2]).unwrap();
        let refused = |partitions| asking.take(partitions).err().map(|status| status.code());
        assert_eq!(refused(vec![2]), Some(tonic::Code::ResourceExhausted), "of the same partition");
        let second = asking.take(vec![1]).unwrap();
        assert_eq!(refused(vec![3]), Some(tonic::Code::ResourceExhausted), "a third one");
        drop(first);
        assert_eq!(refused(vec![1, 3]), Some(tonic::Code::ResourceExhausted));
        assert_eq!(refused(vec![2, 3]), None);
        drop(second);
    }
}
