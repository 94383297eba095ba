//! Whether the senders' last word is what is true.

use std::time::{Duration, Instant};

use receipt_proto::v1::{self, receipt_result};
use serde::Serialize;

use super::Shared;
use crate::client::Receipts;

/// Messages of a query, at most.
const MESSAGES_MAX: usize = 100;
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A message of which stream and state do not say the same.
#[derive(Debug, Serialize)]
pub(crate) struct Difference {
    pub(crate) conversation_id: String,
    pub(crate) message_id: String,
    /// Reads whose call succeeded.
    pub(crate) acknowledged: u32,
    /// Read and unread count of the last delta.
    pub(crate) told: Option<(u32, u32)>,
    /// Read and unread count of the state; none: it has no receipt.
    pub(crate) state: Option<(u32, u32)>,
}

/// Asks for every message's receipt until all are as their senders were last told, for at most `patience`.
pub(crate) async fn differences(
    shared: &Shared,
    client: &Receipts,
    patience: Duration,
) -> anyhow::Result<Vec<Difference>> {
    let start = Instant::now();
    let mut open: Vec<usize> = (0..shared.plan.messages()).collect();
    loop {
        let mut found = Vec::new();
        let mut still_open = Vec::new();
        for chunk in open.chunks(MESSAGES_MAX) {
            let states = receipts(shared, client, chunk).await?;
            let tally = shared.tally();
            for (message, state) in chunk.iter().zip(states) {
                let known = &tally.messages[*message];
                if !agree(known.acknowledged, known.last, state) {
                    still_open.push(*message);
                    found.push(Difference {
                        conversation_id: shared.plan.conversation(*message),
                        message_id: shared.plan.message(*message),
                        acknowledged: known.acknowledged,
                        told: known.last,
                        state,
                    });
                }
            }
        }
        if found.is_empty() || start.elapsed() > patience {
            return Ok(found);
        }
        open = still_open;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// A message that nobody has read need not have been told of.
fn agree(acknowledged: u32, told: Option<(u32, u32)>, state: Option<(u32, u32)>) -> bool {
    let Some(state) = state else { return false };
    state.0 >= acknowledged && told.map_or(state.0 == 0, |told| told == state)
}

async fn receipts(shared: &Shared, client: &Receipts, messages: &[usize]) -> anyhow::Result<Vec<Option<(u32, u32)>>> {
    let refs = messages.iter().map(|message| v1::MessageRef {
        conversation_id: shared.plan.conversation(*message),
        message_id: shared.plan.message(*message),
    });
    let request = v1::GetMessageReadReceiptsRequest { messages: refs.collect(), ..Default::default() };
    let response = client.clone().get_message_read_receipts(request).await?.into_inner();
    anyhow::ensure!(response.results.len() == messages.len(), "the answer is not one result for each message");
    let counts = response.results.into_iter().map(|result| match result.result {
        Some(receipt_result::Result::Receipt(receipt)) => Some((receipt.read_count, receipt.unread_count)),
        _ => None,
    });
    Ok(counts.collect())
}

#[cfg(test)]
mod tests {
    use super::agree;

    #[test]
    fn what_was_told_has_to_be_the_state() {
        assert!(agree(2, Some((2, 1)), Some((2, 1))));
        assert!(agree(0, None, Some((0, 3))));
        // A call that failed may have been counted.
        assert!(agree(1, Some((2, 1)), Some((2, 1))));
        assert!(!agree(2, Some((2, 1)), Some((2, 2))));
        assert!(!agree(2, Some((1, 2)), Some((1, 2))));
        assert!(!agree(1, None, Some((1, 2))));
        assert!(!agree(0, None, None));
    }
}
