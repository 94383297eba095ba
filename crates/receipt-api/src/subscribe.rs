//! SubscribeMessageReadReceipts: what changes for a sender, live and resumed (S31 to S37).

use std::pin::Pin;

use futures_util::{Stream, stream};
use receipt_codec::token::ResumeToken;
use receipt_notifier::{Start, SubscribeError, Subscription, Told};
use receipt_proto::v1::{self, subscribe_message_read_receipts_request::Start as RequestStart};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::{
    api::{Api, NotReached},
    deadline::Deadline,
    error, panics,
    streams::Place,
};

/// The responses of one stream.
pub(crate) type Responses =
    Pin<Box<dyn Stream<Item = Result<v1::SubscribeMessageReadReceiptsResponse, Status>> + Send>>;

/// Opens a stream.
pub(crate) async fn subscribe(
    api: &Api,
    request: Request<v1::SubscribeMessageReadReceiptsRequest>,
) -> Result<Response<Responses>, Status> {
    let deadline = Deadline::of(&request);
    let v1::SubscribeMessageReadReceiptsRequest { user_id, start } = request.into_inner();
    let user = receipt_proto::user_id("user_id", &user_id).map_err(error::invalid)?;
    let start = match start {
        None => Start::Now,
        Some(RequestStart::Oldest(_)) => Start::Oldest,
        Some(RequestStart::ResumeToken(token)) => {
            Start::After(ResumeToken::decode(&token).map_err(|why| error::resume_token(&why.to_string()))?)
        }
    };
    let number = api.log.partition_for(user.as_str().as_bytes());
    let inbox = usize::try_from(number).ok().and_then(|number| api.inboxes.get(number)).cloned();
    let inbox = inbox.ok_or_else(|| error::unserved(number, &receipt_projector::Unserved::CatchingUp))?;
    let place = api.streams.take(&user)?;
    let log_id = *api.log.id().as_bytes();
    let subscription = tokio::select! {
        subscription = Subscription::start(inbox, log_id, user, start, deadline.instant()) => subscription,
        () = api.stopped() => Err(SubscribeError::Unserved(receipt_projector::Unserved::Stopped)),
    };
    let subscription = subscription.map_err(|why| failed(number, &why))?;
    let live = Live { subscription, number, stopping: api.stopping(), _place: place };
    Ok(Response::new(Box::pin(stream::unfold(State::Live(Box::new(live)), step))))
}

struct Live {
    subscription: Subscription,
    number: u32,
    stopping: watch::Receiver<bool>,
    _place: Place,
}

enum State {
    Live(Box<Live>),
    /// The last word is said; why the stream ends is not.
    Ending(Status),
    Ended,
}

type Step = Option<(Result<v1::SubscribeMessageReadReceiptsResponse, Status>, State)>;

/// Asked for only when the client has taken what was told before: one that does not read costs nothing more (S35).
async fn step(state: State) -> Step {
    let mut live = match state {
        State::Live(live) => live,
        State::Ending(status) => return Some((Err(status), State::Ended)),
        State::Ended => return None,
    };
    let Live { subscription, number, stopping, .. } = &mut *live;
    let told = tokio::select! {
        told = panics::caught(subscription.next()) => match told {
            Ok(told) => told,
            Err(panicked) => return Some((Err(panicked), State::Ended)),
        },
        _ = stopping.wait_for(|stopping| *stopping) => {
            Err(SubscribeError::Unserved(receipt_projector::Unserved::Stopped))
        }
    };
    match told {
        Ok(told) => Some((Ok(response(told)), State::Live(live))),
        Err(why) => {
            let status = failed(*number, &why);
            let resume_token = subscription.resume_token().encode();
            let last_word = v1::SubscribeMessageReadReceiptsResponse { resume_token, ..Default::default() };
            Some((Ok(last_word), State::Ending(status)))
        }
    }
}

fn response(told: Told) -> v1::SubscribeMessageReadReceiptsResponse {
    let deltas = told
        .deltas
        .into_iter()
        .map(|(delta, consistency_token)| v1::ReceiptDelta { consistency_token, ..v1::ReceiptDelta::from(&delta) });
    v1::SubscribeMessageReadReceiptsResponse {
        deltas: deltas.collect(),
        resume_token: told.token.encode(),
        reset: told.reset,
    }
}

fn failed(number: u32, why: &SubscribeError) -> Status {
    match why {
        SubscribeError::ForeignToken => error::resume_token("is another user's"),
        SubscribeError::Unserved(why) => error::unserved(number, why).into(),
        SubscribeError::Behind => error::not_reached(number, &NotReached::Behind).into(),
        SubscribeError::Log(why) => error::unread(why),
        SubscribeError::Store(why) => error::store(number, why),
    }
}
