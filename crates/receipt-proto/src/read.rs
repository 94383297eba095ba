//! Read events: the contract's to the domain's, and back.

use receipt_domain::{
    event::{ReadEvent, ReadTarget},
    id::MessageId,
    limits::RECEIPT_MESSAGES_MAX,
};

use crate::{
    InvalidField,
    field::{id, ids, optional_ms},
    read_view::{ReadView, TargetView},
    time::{ms_from_timestamp, timestamp_from_ms},
    v1::{self, read_event::Target},
};

/// Checks an event's shape (S13, S20, S39) and takes it into the domain.
pub fn read_event(event: v1::ReadEvent) -> Result<ReadEvent, InvalidField> {
    checked(&ReadView::from(&event))
}

/// The event, if its shape is right.
pub(crate) fn checked(event: &ReadView<'_>) -> Result<ReadEvent, InvalidField> {
    Ok(ReadEvent {
        conversation: id("conversation_id", event.conversation_id)?,
        reader: id("reader_id", event.reader_id)?,
        read_at_ms: optional_ms("read_at", event.read_at.as_ref())?,
        target: match &event.target {
            Some(TargetView::Messages(messages)) => {
                ReadTarget::Messages(receipt_messages("messages.message_ids", messages)?)
            }
            Some(TargetView::UpToMessageId(message)) => ReadTarget::UpToMessage(id("up_to_message_id", message)?),
            Some(TargetView::UpToTime(time)) => ReadTarget::UpToTime(ms_from_timestamp("up_to_time", time)?),
            None => {
                return Err(InvalidField::rule("target", "must be given: messages, up_to_message_id or up_to_time"));
            }
        },
    })
}

/// Checks the messages of one receipt, which are 1 to 100 (S13).
pub fn receipt_messages(field: &str, messages: &[impl AsRef<str>]) -> Result<Vec<MessageId>, InvalidField> {
    if messages.is_empty() {
        return Err(InvalidField::rule(
            field,
            format_args!("must not be empty: 1 to {RECEIPT_MESSAGES_MAX} messages are allowed"),
        ));
    }
    ids(field, messages, RECEIPT_MESSAGES_MAX)
}

impl From<&ReadEvent> for v1::ReadEvent {
    fn from(event: &ReadEvent) -> Self {
        Self {
            conversation_id: event.conversation.to_string(),
            reader_id: event.reader.to_string(),
            read_at: event.read_at_ms.map(timestamp_from_ms),
            target: Some(match &event.target {
                ReadTarget::Messages(messages) => {
                    Target::Messages(v1::MessageIds { message_ids: messages.iter().map(ToString::to_string).collect() })
                }
                ReadTarget::UpToMessage(message) => Target::UpToMessageId(message.to_string()),
                ReadTarget::UpToTime(ms) => Target::UpToTime(timestamp_from_ms(*ms)),
            }),
        }
    }
}
