//! How far one subscriber has been told.

/// A place in an inbox. Where more has changed than one response holds, `next` goes ahead of `since`: an entry further on
/// may have readers that older deltas brought, which are still to be named (S32).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// All that deltas before this offset brought has been told.
    pub since: u64,
    /// Entries from this offset on are still to be told.
    pub next: u64,
}

impl Cursor {
    /// A place at which everything before has been told.
    #[must_use]
    pub fn at(offset: u64) -> Self {
        Self { since: offset, next: offset }
    }

    /// The place after a response: it ended at an entry because it was full, or has reached the inbox's end.
    #[must_use]
    pub fn after(self, last_of_full: Option<u64>, end: u64) -> Self {
        match last_of_full {
            Some(last) => Self { since: self.since, next: last + 1 },
            None => Self::at(end.max(self.next)),
        }
    }
}
