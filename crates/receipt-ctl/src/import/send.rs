//! Sends one call, again where that may help.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use receipt_proto::v1;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use crate::{client::Receipts, progress::Progress, status};

/// How long a call is tried again before it is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Sends events until they are acknowledged.
#[derive(Clone)]
pub(super) struct Sender {
    client: Receipts,
    progress: Progress,
    retries: Arc<AtomicU64>,
}

impl Sender {
    pub(super) fn new(client: Receipts, progress: Progress) -> Self {
        Self { client, progress, retries: Arc::default() }
    }

    /// Tells people something.
    pub(super) fn say(&self, message: &str) {
        self.progress.say(message);
    }

    /// How often a call was sent again.
    pub(super) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Sends conversation events, and again as they are, which their versions make harmless; the token, if any.
    pub(super) async fn conversations(&self, events: Vec<v1::ConversationEvent>) -> anyhow::Result<String> {
        if events.is_empty() {
            return Ok(String::new());
        }
        let request = v1::PublishConversationEventsRequest { events, wait: false };
        let call = |mut client: Receipts| {
            let request = request.clone();
            async move { client.publish_conversation_events(request).await }
        };
        Ok(self.persist(call).await?.consistency_token)
    }

    /// Sends reads, and again as they are, which is harmless as it is; the token, if any.
    pub(super) async fn reads(&self, events: Vec<v1::ReadEvent>) -> anyhow::Result<String> {
        if events.is_empty() {
            return Ok(String::new());
        }
        let request = v1::PublishReadEventsRequest { events };
        let call = |mut client: Receipts| {
            let request = request.clone();
            async move { client.publish_read_events(request).await }
        };
        Ok(self.persist(call).await?.consistency_token)
    }

    /// Whether the server's log is the one that gave `token`, by asking for `message` with it.
    pub(super) async fn knows(&self, token: &str, message: &v1::MessageRef) -> anyhow::Result<bool> {
        let request = v1::GetMessageReadReceiptsRequest {
            user_id: String::new(),
            messages: vec![message.clone()],
            consistency_tokens: vec![token.to_owned()],
        };
        let call = |mut client: Receipts| {
            let request = request.clone();
            async move { client.get_message_read_receipts(request).await }
        };
        match self.persist(call).await {
            Ok(response) => Ok(!response.results.iter().any(|result| {
                // Of the right log the message is known, or has expired.
                matches!(&result.result, Some(v1::receipt_result::Result::Error(e)) if *e == not_found())
            })),
            Err(status) if matches!(status.code(), Code::InvalidArgument | Code::DeadlineExceeded) => Ok(false),
            Err(status) => Err(status.into()),
        }
    }

    /// Tries until it succeeds, fails for good, or has failed for a minute.
    async fn persist<T, F>(&self, call: impl Fn(Receipts) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let result = match tokio::time::timeout(TRY_TIMEOUT, call(self.client.clone())).await {
                Ok(result) => result,
                Err(_) => Err(Status::unavailable(format!("no answer within {} s", TRY_TIMEOUT.as_secs()))),
            };
            let status = match result {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            let hint = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
            let wait = hint.unwrap_or(pause).max(FIRST_PAUSE);
            if !status::may_help(&status) || start.elapsed() + wait > GIVE_UP_AFTER {
                return Err(status);
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            let what = status::line(&anyhow::Error::new(status));
            self.progress.say(&format!("{what}; trying again in {} ms", wait.as_millis()));
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn not_found() -> i32 {
    v1::ReceiptError::NotFound.into()
}
