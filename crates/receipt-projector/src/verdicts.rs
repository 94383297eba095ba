//! What became of the latest events, for callers that wait: a bounded memory by offset.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use receipt_domain::fold::Outcome;

/// Events other than applied ones that are remembered, at most.
const REMEMBERED_MAX: usize = 65_536;
/// Bytes of their reasons, at most (R8).
const REASONS_MAX_BYTES: usize = 8 << 20;

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is part of the state.
    Applied,
    /// It had been applied before.
    Repeated,
    /// It is a dead letter, for this reason.
    Rejected(String),
    /// It was folded too long ago, or before this process started.
    Forgotten,
}

#[derive(Debug)]
struct Inner {
    /// From this offset on, every event that was not applied is remembered.
    from_offset: u64,
    others: VecDeque<(u64, Verdict)>,
    reasons_bytes: usize,
}

impl Inner {
    fn new(from_offset: u64) -> Self {
        Self { from_offset, others: VecDeque::new(), reasons_bytes: 0 }
    }
}

fn reason_bytes(verdict: &Verdict) -> usize {
    if let Verdict::Rejected(why) = verdict { why.len() } else { 0 }
}

/// The latest verdicts of one partition of receipts.conversations.
#[derive(Debug)]
pub(crate) struct Verdicts(Mutex<Inner>);

impl Verdicts {
    /// Of events from this offset on.
    pub(crate) fn from(offset: u64) -> Self {
        Self(Mutex::new(Inner::new(offset)))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change below is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all, as events are folded again from this offset on.
    pub(crate) fn restart(&self, offset: u64) {
        *self.inner() = Inner::new(offset);
    }

    /// Offsets come rising.
    pub(crate) fn remember(&self, offset: u64, outcome: &Outcome) {
        let verdict = match outcome {
            Outcome::Repeated => Verdict::Repeated,
            Outcome::Rejected(why) => Verdict::Rejected(why.to_string()),
            Outcome::Applied | Outcome::Skipped => return,
        };
        let mut inner = self.inner();
        inner.reasons_bytes += reason_bytes(&verdict);
        inner.others.push_back((offset, verdict));
        while inner.others.len() > REMEMBERED_MAX || inner.reasons_bytes > REASONS_MAX_BYTES {
            let Some((oldest, verdict)) = inner.others.pop_front() else { return };
            inner.reasons_bytes -= reason_bytes(&verdict);
            inner.from_offset = oldest + 1;
        }
    }

    /// What became of an event that is folded.
    pub(crate) fn of(&self, offset: u64) -> Verdict {
        let inner = self.inner();
        if offset < inner.from_offset {
            return Verdict::Forgotten;
        }
        match inner.others.binary_search_by_key(&offset, |(offset, _)| *offset) {
            Ok(at) => inner.others.get(at).map_or(Verdict::Applied, |(_, verdict)| verdict.clone()),
            Err(_) => Verdict::Applied,
        }
    }
}

#[cfg(test)]
mod tests {
    use receipt_domain::event::Rejection;

    use super::*;

    #[test]
    fn verdicts_are_remembered_up_to_a_bound_and_never_made_up() {
        let verdicts = Verdicts::from(5);
        assert_eq!(verdicts.of(4), Verdict::Forgotten);
        verdicts.remember(5, &Outcome::Applied);
        verdicts.remember(6, &Outcome::Repeated);
        verdicts.remember(7, &Outcome::Rejected(Rejection("S8: no".to_owned())));
        assert_eq!(verdicts.of(5), Verdict::Applied);
        assert_eq!(verdicts.of(6), Verdict::Repeated);
        assert_eq!(verdicts.of(7), Verdict::Rejected("S8: no".to_owned()));
        for offset in 8..8 + REMEMBERED_MAX as u64 {
            verdicts.remember(offset, &Outcome::Repeated);
        }
        assert_eq!(verdicts.of(6), Verdict::Forgotten);
        assert_eq!(verdicts.of(7), Verdict::Forgotten);
        assert_eq!(verdicts.of(8), Verdict::Repeated);
    }

    #[test]
    fn r8_long_reasons_are_remembered_up_to_a_bound_in_bytes() {
        let verdicts = Verdicts::from(0);
        let long = "x".repeat(1 << 20);
        for offset in 0..20 {
            verdicts.remember(offset, &Outcome::Rejected(Rejection(long.clone())));
        }
        assert_eq!(verdicts.of(11), Verdict::Forgotten);
        for offset in 12..20 {
            assert_eq!(verdicts.of(offset), Verdict::Rejected(long.clone()));
        }
    }
}
