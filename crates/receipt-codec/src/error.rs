//! What can be wrong with bytes.

/// Stored bytes that are no row: the store is damaged (R7).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("undecodable {what}: {why}")]
pub struct Corrupt {
    /// Which kind of row.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl Corrupt {
    pub(crate) fn new(what: &'static str, why: impl Into<String>) -> Self {
        Self { what, why: why.into() }
    }
}

/// A token from outside that was not made here, or was damaged on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is damaged or was not made by this service")]
pub struct InvalidToken;
