//! The invariants that make every count right, by name. `ARCHITECTURE.md` says where each is enforced.

/// One invariant; tests and comments refer to it by this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Convergence: the state is a function of the two prefixes, never of their interleaving, batches or repeats.
    R1,
    /// Exactly once: applied offsets are in the same write as what they caused.
    R2,
    /// Counters are the sets: counts and lists of one moment agree.
    R3,
    /// Audience: the members at the message's position, less the sender, fixed for good.
    R4,
    /// Idempotence: reading twice changes nothing and tells nobody.
    R5,
    /// Deltas lose nothing: a delta is a join.
    R6,
    /// A store that cannot be right stops, with an error that names the mend.
    R7,
    /// Poison does not stop the line: it goes to the dead letters.
    R8,
}
