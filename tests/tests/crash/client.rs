//! Calls that are made again until they are acknowledged: events carry versions, and reads are joins.

use std::time::{Duration, Instant};

use receipt_proto::v1;
use receipt_tests::server::Receipts;
use tonic::{Code, Status, transport::Channel};

/// How long a call may go on being refused.
const ACKNOWLEDGED_MAX: Duration = Duration::from_secs(120);
/// How soon it is made again.
const AGAIN: Duration = Duration::from_millis(20);
/// How long one try may take.
const TRY_MAX: Duration = Duration::from_secs(30);

/// A write.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Events(Vec<v1::ConversationEvent>),
    Reads(Vec<v1::ReadEvent>),
    Receipts(v1::SendMessageReadReceiptsRequest),
    Mark(v1::MarkConversationReadRequest),
}

/// Somebody who writes.
#[derive(Clone)]
pub(crate) struct Client(Receipts);

impl Client {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(Receipts::new(channel))
    }

    /// Makes a call until it is acknowledged; how often it had to be made again.
    pub(crate) async fn acknowledged(&mut self, call: &Call) -> u64 {
        let start = Instant::now();
        let mut again = 0;
        loop {
            match tokio::time::timeout(TRY_MAX, self.once(call)).await {
                Ok(Ok(())) => return again,
                Ok(Err(status)) => assert!(passes(&status), "{status:?} for {call:?}"),
                Err(_) => println!("no answer within {} s to {call:?}", TRY_MAX.as_secs()),
            }
            assert!(start.elapsed() < ACKNOWLEDGED_MAX, "never acknowledged: {call:?}");
            again += 1;
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn once(&mut self, call: &Call) -> Result<(), Status> {
        match call.clone() {
            Call::Events(events) => {
                let request = v1::PublishConversationEventsRequest { events, wait: false };
                self.0.publish_conversation_events(request).await.map(drop)
            }
            Call::Reads(events) => self.0.publish_read_events(v1::PublishReadEventsRequest { events }).await.map(drop),
            Call::Receipts(request) => self.0.send_message_read_receipts(request).await.map(drop),
            Call::Mark(request) => self.0.mark_conversation_read(request).await.map(drop),
        }
    }
}

/// Whether an error passes by itself: the server was killed, or is not back yet.
pub(crate) fn passes(status: &Status) -> bool {
    use Code::{Aborted, Cancelled, DeadlineExceeded, Internal, ResourceExhausted, Unavailable, Unknown};
    matches!(
        status.code(),
        Unavailable | Unknown | Cancelled | Internal | DeadlineExceeded | Aborted | ResourceExhausted
    )
}
