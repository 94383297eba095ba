//! Follows one sender's stream, and goes on from the last token when it is lost.

use std::time::Duration;

use receipt_proto::v1::{
    SubscribeMessageReadReceiptsRequest, SubscribeMessageReadReceiptsResponse,
    subscribe_message_read_receipts_request::Start,
};
use tonic::{Status, Streaming};
use tonic_types::StatusExt as _;

use crate::{client::Receipts, status};

/// The server says something at least every 15 s; after twice that the stream counts as lost.
const SILENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What happened on a stream.
#[derive(Debug)]
pub(crate) enum News {
    /// A response; `first` of its stream.
    Told { response: SubscribeMessageReadReceiptsResponse, first: bool },
    /// The stream is lost; the next call tries again after this pause.
    Lost { why: Status, pause: Duration },
}

/// One sender's stream, however often its connection is lost.
pub(crate) struct Follower {
    client: Receipts,
    user: String,
    start: Option<Start>,
    stream: Option<Streaming<SubscribeMessageReadReceiptsResponse>>,
    /// Of the stream that is open.
    responses: u64,
    /// How long to wait after the next loss.
    pause: Duration,
    /// How long to wait before the next try.
    wait: Duration,
}

impl Follower {
    /// Follows `user` from `start`; nothing is sent before the first [`Self::next`].
    pub(crate) fn new(client: Receipts, user: String, start: Option<Start>) -> Self {
        Self { client, user, start, stream: None, responses: 0, pause: FIRST_PAUSE, wait: Duration::ZERO }
    }

    /// Where it would go on, if it has been told.
    pub(crate) fn resume_token(&self) -> Option<&str> {
        match &self.start {
            Some(Start::ResumeToken(token)) => Some(token),
            _ => None,
        }
    }

    /// The next response, or that the stream is lost and will be tried again. After an error it is over.
    pub(crate) async fn next(&mut self) -> Result<News, Status> {
        tokio::time::sleep(std::mem::take(&mut self.wait)).await;
        let read = tokio::time::timeout(SILENCE, self.read()).await;
        let read = read.unwrap_or_else(|_| Err(Status::unavailable(format!("silent for {} s", SILENCE.as_secs()))));
        match read {
            Ok(response) => {
                self.start = Some(Start::ResumeToken(response.resume_token.clone()));
                self.responses += 1;
                let first = self.responses == 1;
                if !first {
                    // It works; a server that ends each stream after its first response is not rushed.
                    self.pause = FIRST_PAUSE;
                }
                Ok(News::Told { response, first })
            }
            Err(why) if status::may_help(&why) => {
                self.stream = None;
                let hint = why.get_details_retry_info().and_then(|retry| retry.retry_delay);
                let pause = hint.unwrap_or(self.pause).max(FIRST_PAUSE);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                self.wait = pause;
                Ok(News::Lost { why, pause })
            }
            Err(why) => Err(why),
        }
    }

    async fn read(&mut self) -> Result<SubscribeMessageReadReceiptsResponse, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            closed => {
                let request =
                    SubscribeMessageReadReceiptsRequest { user_id: self.user.clone(), start: self.start.clone() };
                let opened = self.client.subscribe_message_read_receipts(request).await?.into_inner();
                self.responses = 0;
                closed.insert(opened)
            }
        };
        stream.message().await?.ok_or_else(|| Status::unavailable("the stream ended"))
    }
}
