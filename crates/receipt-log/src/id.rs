//! A log's identity.

use std::fmt;

use uuid::Uuid;

/// Made when a log is created and never changed. Stores and tokens carry it, so that another log under the same name is
/// noticed (R7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId([u8; 16]);

impl LogId {
    /// A new one, at random.
    pub(crate) fn random() -> LogId {
        LogId(Uuid::new_v4().into_bytes())
    }

    /// The identity of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> LogId {
        LogId(bytes)
    }

    /// Its bytes, as they are stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).fmt(f)
    }
}
