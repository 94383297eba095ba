//! What becomes of a record.

use crate::event::Rejection;

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is part of the state.
    Applied,
    /// It had been applied before: same version, or same message (S12). Changed nothing.
    Repeated,
    /// It goes to the dead letters. Changed nothing.
    Rejected(Rejection),
    /// Its offset is below the applied one: the state holds it already (R1, R2).
    Skipped,
}
