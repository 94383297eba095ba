//! A question about one message, with its shape checked.

use receipt_domain::id::{ConversationId, MessageId, UserId};
use receipt_log::Log;
use receipt_projector::{Offsets, Partition};
use receipt_proto::{InvalidField, conversation_id, message_id, user_id, v1};
use tonic::Status;

use crate::{api::Api, deadline::Deadline, error, token::Positions};

/// Who asks about which message, and from which state on.
pub(crate) struct Question {
    pub(crate) conversation: ConversationId,
    pub(crate) message: MessageId,
    /// `None`: a service.
    pub(crate) asker: Option<UserId>,
    pub(crate) partition: u32,
    pub(crate) positions: Positions,
}

impl Question {
    /// Checks the fields that these requests have in common.
    pub(crate) fn new(
        log: &Log,
        user_id: &str,
        message: Option<&v1::MessageRef>,
        tokens: &[String],
    ) -> Result<Self, Status> {
        let asker = asker(user_id)?;
        let message = message.ok_or_else(|| error::invalid(InvalidField::rule("message", "must be given")))?;
        let (conversation, message) = message_ref("message", message)?;
        let positions = Positions::of_tokens(log, tokens)?;
        let partition = log.partition_for(conversation.as_str().as_bytes());
        Ok(Self { conversation, message, asker, partition, positions })
    }

    /// Its partition, once that serves the state asked for.
    pub(crate) async fn caught_up(&self, api: &Api, deadline: Deadline) -> Result<Partition, Status> {
        let caught_up = api.caught_up(self.partition, &self.positions, deadline).await;
        caught_up.map_err(|why| error::not_reached(self.partition, &why).into())
    }
}

/// The token of an answer that came from one partition.
pub(crate) fn answer_token(log: &Log, mut positions: Positions, partition: u32, offsets: Offsets) -> String {
    positions.include(partition, offsets);
    positions.encode(log)
}

/// Who asks; empty: a service (S40).
pub(crate) fn asker(text: &str) -> Result<Option<UserId>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    user_id("user_id", text).map(Some).map_err(error::invalid)
}

/// The ids of a message.
pub(crate) fn message_ref(field: &str, message: &v1::MessageRef) -> Result<(ConversationId, MessageId), Status> {
    let conversation = conversation_id("conversation_id", &message.conversation_id);
    let ids = conversation.and_then(|conversation| Ok((conversation, message_id("message_id", &message.message_id)?)));
    ids.map_err(|why| error::invalid(why.within(field)))
}
