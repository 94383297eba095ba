//! Identifiers as the chat backend chooses them: opaque text within limits (S39).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::limits::{CONVERSATION_ID_MAX_BYTES, ID_MAX_BYTES};

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Identifiers have at least one byte.
    #[error("must not be empty")]
    Empty,
    /// Longer than its kind allows.
    #[error("has {len} bytes, at most {max} are allowed")]
    TooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A control character, in the sense of Unicode's category Cc.
    #[error("contains the control character U+{0:04X}")]
    ControlCharacter(u32),
}

fn check(text: &str, max: usize) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > max {
        return Err(InvalidId::TooLong { len: text.len(), max });
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(InvalidId::ControlCharacter(u32::from(c))),
        None => Ok(()),
    }
}

/// One kind of identifier; `K` only tells kinds apart.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id<const MAX: usize, const KIND: char>(Arc<str>);

/// A conversation; 1 to 256 bytes.
pub type ConversationId = Id<CONVERSATION_ID_MAX_BYTES, 'c'>;
/// A message, unique within its conversation; 1 to 128 bytes.
pub type MessageId = Id<ID_MAX_BYTES, 'm'>;
/// A user; 1 to 128 bytes.
pub type UserId = Id<ID_MAX_BYTES, 'u'>;
/// A type of group, matched exactly against the receipt policy (S11); 1 to 128 bytes.
pub type GroupType = Id<ID_MAX_BYTES, 'g'>;

impl<const MAX: usize, const KIND: char> Id<MAX, KIND> {
    /// Takes `text` if it keeps the limits of S39.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        check(text, MAX)?;
        Ok(Self(Arc::from(text)))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize, const KIND: char> fmt::Debug for Id<MAX, KIND> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}:{}", &self.0)
    }
}

impl<const MAX: usize, const KIND: char> fmt::Display for Id<MAX, KIND> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize, const KIND: char> std::borrow::Borrow<str> for Id<MAX, KIND> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s39_ids_keep_their_limits() {
        assert_eq!(UserId::new(""), Err(InvalidId::Empty));
        assert!(UserId::new(&"a".repeat(128)).is_ok());
        assert_eq!(UserId::new(&"a".repeat(129)), Err(InvalidId::TooLong { len: 129, max: 128 }));
        assert!(ConversationId::new(&"é".repeat(128)).is_ok(), "256 bytes");
        assert_eq!(ConversationId::new(&"é".repeat(129)), Err(InvalidId::TooLong { len: 258, max: 256 }));
        for c in ['\0', '\n', '\u{7f}', '\u{85}'] {
            assert_eq!(MessageId::new(&format!("a{c}")), Err(InvalidId::ControlCharacter(u32::from(c))));
        }
    }
}
