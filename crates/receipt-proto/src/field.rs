//! Checks of single fields (S39).

use prost_types::Timestamp;
use receipt_domain::{
    id::{ConversationId, Id, InvalidId, MessageId, UserId},
    limits::EVENT_LIST_MAX,
};

use crate::{InvalidField, time::ms_from_timestamp};

fn invalid_id(field: String, why: &InvalidId) -> InvalidField {
    match why {
        InvalidId::TooLong { .. } => InvalidField::limit(field, why),
        InvalidId::Empty | InvalidId::ControlCharacter(_) => InvalidField::rule(field, why),
    }
}

/// An identifier of any kind.
pub(crate) fn id<const MAX: usize, const KIND: char>(field: &str, text: &str) -> Result<Id<MAX, KIND>, InvalidField> {
    Id::new(text).map_err(|why| invalid_id(field.to_owned(), &why))
}

/// A list of at most `max` identifiers.
pub(crate) fn ids<const MAX: usize, const KIND: char>(
    field: &str,
    texts: &[impl AsRef<str>],
    max: usize,
) -> Result<Vec<Id<MAX, KIND>>, InvalidField> {
    if texts.len() > max {
        return Err(InvalidField::too_many(field, texts.len(), max));
    }
    let ids = texts.iter().enumerate();
    ids.map(|(i, text)| Id::new(text.as_ref()).map_err(|why| invalid_id(format!("{field}[{i}]"), &why))).collect()
}

/// A member list of an event.
pub(crate) fn members(field: &str, users: &[String]) -> Result<Vec<UserId>, InvalidField> {
    ids(field, users, EVENT_LIST_MAX)
}

/// A time that may be left out (S20).
pub(crate) fn optional_ms(field: &str, time: Option<&Timestamp>) -> Result<Option<u64>, InvalidField> {
    time.map(|time| ms_from_timestamp(field, time)).transpose()
}

/// A conversation's id, named `field` in the error.
pub fn conversation_id(field: &str, text: &str) -> Result<ConversationId, InvalidField> {
    id(field, text)
}

/// A message's id, named `field` in the error.
pub fn message_id(field: &str, text: &str) -> Result<MessageId, InvalidField> {
    id(field, text)
}

/// A user's id, named `field` in the error.
pub fn user_id(field: &str, text: &str) -> Result<UserId, InvalidField> {
    id(field, text)
}
