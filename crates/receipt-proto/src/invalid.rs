//! What is wrong with a field.

use std::fmt;

/// A field of a request or record that breaks the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct InvalidField {
    /// Where it stands, such as `events[3].message_sent.message_id`.
    pub field: String,
    /// What is wrong, naming the limit where there is one; reads on after the field's name.
    pub problem: String,
    /// Whether a limit was exceeded.
    pub limit: bool,
}

impl InvalidField {
    /// A field that breaks a rule.
    pub fn rule(field: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { field: field.into(), problem: problem.to_string(), limit: false }
    }

    /// A field that exceeds a limit.
    pub fn limit(field: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { field: field.into(), problem: problem.to_string(), limit: true }
    }

    /// A list that is longer than allowed.
    pub fn too_many(field: impl Into<String>, len: usize, max: usize) -> Self {
        Self::limit(field, format_args!("has {len} entries, at most {max} are allowed"))
    }

    /// The same problem, of a field inside `parent`: `.within("events[3]")`.
    #[must_use]
    pub fn within(mut self, parent: impl fmt::Display) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}
