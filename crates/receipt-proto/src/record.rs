//! Records of the input topics: what they hold, or why they are dead letters (S13, S20, S39).

use prost::Message;
use receipt_domain::{
    event::{Event, ReadEvent, Rejection},
    limits::RECORD_VALUE_MAX_BYTES,
};

use crate::{InvalidField, conversation_event, read::checked, read_view::ReadView, v1};

/// What a record of receipts.conversations holds. Never panics, whatever the bytes.
pub fn decode_conversation_record(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Event, Rejection> {
    let event = v1::ConversationEvent::decode(checked_value(value)?)
        .map_err(|why| Rejection(format!("the value is no ConversationEvent: {why}")))?;
    let event = conversation_event(event).map_err(invalid)?;
    match &event {
        Event::Conversation(event) => check_key(key, event.conversation.as_str())?,
        Event::PolicyChanged(_) | Event::Tick => check_key(key, "")?,
    }
    Ok(event)
}

/// What a record of receipts.reads holds. Never panics, whatever the bytes.
pub fn decode_read_record(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<ReadEvent, Rejection> {
    let event = ReadView::decode(checked_value(value)?)
        .map_err(|why| Rejection(format!("the value is no ReadEvent: {why}")))?;
    let event = checked(&event).map_err(invalid)?;
    check_key(key, event.conversation.as_str())?;
    Ok(event)
}

fn checked_value(value: Option<&[u8]>) -> Result<&[u8], Rejection> {
    let value = value.ok_or_else(|| Rejection("the record has no value".to_owned()))?;
    if value.len() > RECORD_VALUE_MAX_BYTES {
        return Err(Rejection(format!(
            "the value has {} bytes, at most {RECORD_VALUE_MAX_BYTES} are allowed",
            value.len()
        )));
    }
    Ok(value)
}

fn invalid(why: InvalidField) -> Rejection {
    Rejection(why.to_string())
}

/// A record's key is its conversation's id; none, or an empty one, where the event is of no conversation.
fn check_key(key: Option<&[u8]>, conversation: &str) -> Result<(), Rejection> {
    let key = key.unwrap_or_default();
    if key == conversation.as_bytes() {
        return Ok(());
    }
    let shown: String = String::from_utf8_lossy(key).chars().take(64).flat_map(char::escape_default).collect();
    Err(Rejection(format!("the key \"{shown}\" is not the event's conversation_id \"{conversation}\"")))
}
