//! What is known of when deltas arrived: enough that the streams of a partition that was quiet for long need not ask the log
//! for it, each for itself.

/// Two deltas of a partition. Those after a delta arrived no earlier, and those before it no later.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// Of those that have expired, one.
    expired: Option<Delta>,
    /// Of those that were kept when it was learned, one.
    kept: Option<Delta>,
}

#[derive(Debug, Clone, Copy)]
struct Delta {
    offset: u64,
    arrival_ms: u64,
}

impl Arrivals {
    /// Whether the first delta from an offset on has expired, if that follows from what is known; `keeps` says of an
    /// arrival whether it has not.
    pub(crate) fn has_expired(&self, offset: u64, keeps: impl Fn(u64) -> bool) -> Option<bool> {
        [self.expired, self.kept].into_iter().flatten().find_map(|known| match keeps(known.arrival_ms) {
            true if known.offset <= offset => Some(false),
            false if known.offset >= offset => Some(true),
            _ => None,
        })
    }

    /// A delta is folded that arrived then: the first one that is kept, or one after it.
    pub(crate) fn folds(&mut self, offset: u64, arrival_ms: u64, keeps: impl Fn(u64) -> bool) {
        if self.kept.is_none_or(|kept| !keeps(kept.arrival_ms)) {
            self.expired = self.kept.or(self.expired);
            self.kept = Some(Delta { offset, arrival_ms });
        }
    }

    /// The first delta from an offset on arrived then. Known only of an offset of which [`Arrivals::has_expired`] does not
    /// tell.
    pub(crate) fn learn(&mut self, offset: u64, arrival_ms: u64, keeps: impl Fn(u64) -> bool) {
        let known = Some(Delta { offset, arrival_ms });
        if keeps(arrival_ms) {
            self.kept = known;
        } else {
            self.expired = known;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s34_what_arrived_later_is_kept_and_what_arrived_earlier_has_expired() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.has_expired(7, |_| true), None, "nothing is known");
        arrivals.learn(7, 700, |arrival_ms| arrival_ms >= 700);
        arrivals.learn(4, 400, |arrival_ms| arrival_ms >= 700);
        // (kept from, offset, whether the first delta from there on has expired)
        let table = [
            (700, 8, Some(false)),
            (700, 7, Some(false)),
            (700, 6, None),
            (700, 5, None),
            (700, 4, Some(true)),
            (700, 0, Some(true)),
            // Time goes on.
            (701, 7, Some(true)),
            (701, 8, None),
        ];
        for (kept_from_ms, offset, expired) in table {
            assert_eq!(arrivals.has_expired(offset, |ms| ms >= kept_from_ms), expired, "{offset} at {kept_from_ms}");
        }
    }

    #[test]
    fn s34_who_was_told_all_that_was_folded_before_knows_by_what_is_folded_next() {
        let mut arrivals = Arrivals::default();
        for (offset, arrival_ms) in [(0, 100), (5, 150), (9, 900), (12, 950)] {
            // What is older than 300 ms has expired.
            let keeps = |ms| ms + 300 >= arrival_ms;
            arrivals.folds(offset, arrival_ms, keeps);
            assert_eq!(arrivals.has_expired(offset, keeps), Some(false), "{offset}");
        }
        let keeps = |ms| ms + 300 >= 950;
        let expired = [(0, Some(true)), (1, None), (8, None), (9, Some(false)), (12, Some(false))];
        for (offset, expired) in expired {
            assert_eq!(arrivals.has_expired(offset, keeps), expired, "{offset}");
        }
    }
}
