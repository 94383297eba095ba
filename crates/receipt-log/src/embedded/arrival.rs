//! When records arrive: a time that never goes back, and that neither a clock nor a copy takes far ahead by mistake.

use crate::clock::is_far_ahead;
use crate::{Clock, LogError};

/// How far the clock may always be past the last arrival, in milliseconds: a quiet day is no mistake of the clock.
const JUMP_MIN_MS: u64 = 24 * 3_600_000;

/// Gives out arrivals.
#[derive(Debug)]
pub(super) struct Arrivals {
    clock: Clock,
    /// `None`: no check.
    jump_max_ms: Option<u64>,
    /// The operator accepts arrivals that are far ahead of the clock.
    accept_ahead: bool,
    /// `None`: the log has never had a record with an arrival.
    last_ms: Option<u64>,
}

impl Arrivals {
    /// Goes on from a log's last arrival. With a retention of 0 nothing expires, so no jump does harm.
    pub(super) fn new(clock: Clock, retention_ms: u64, accept_jump: bool, last_ms: Option<u64>) -> Arrivals {
        let jump_max_ms = (retention_ms > 0 && !accept_jump).then_some(retention_ms.max(JUMP_MIN_MS));
        let jumped = last_ms.map_or(0, |last| clock.now_ms().saturating_sub(last));
        if accept_jump && jumped > retention_ms.max(JUMP_MIN_MS) {
            tracing::warn!(
                jumped = crate::human::span(jumped),
                "the clock is far past the log's last record: accepted"
            );
        }
        Arrivals { clock, jump_max_ms, accept_ahead: accept_jump, last_ms }
    }

    /// The arrival of a record that comes now.
    pub(super) fn next(&mut self) -> Result<u64, LogError> {
        let now_ms = self.clock.now_ms();
        if let (Some(last_ms), Some(max_ms)) = (self.last_ms, self.jump_max_ms)
            && now_ms.saturating_sub(last_ms) > max_ms
        {
            return Err(LogError::ClockJump { last_ms, now_ms, max_ms });
        }
        if let Some(last_ms) = self.last_ms
            && !self.accept_ahead
            && is_far_ahead(last_ms, now_ms)
        {
            return Err(LogError::LastArrivalAhead { last_ms, now_ms });
        }
        let arrival_ms = self.last_ms.map_or(now_ms, |last_ms| last_ms.max(now_ms));
        self.last_ms = Some(arrival_ms);
        Ok(arrival_ms)
    }

    /// Refuses the timestamps of a copy where one of them is far ahead of the clock.
    pub(super) fn check_copied(&self, timestamps_ms: &[Option<u64>]) -> Result<(), LogError> {
        let now_ms = self.clock.now_ms();
        let far = |timestamp_ms: &Option<u64>| timestamp_ms.is_some_and(|ms| is_far_ahead(ms, now_ms));
        match timestamps_ms.iter().position(far) {
            Some(index) if !self.accept_ahead => {
                let timestamp_ms = timestamps_ms[index].unwrap_or_default();
                Err(LogError::ArrivalAhead { index, timestamp_ms, now_ms })
            }
            _ => Ok(()),
        }
    }

    /// A record keeps the arrival it had elsewhere: those that come after it here are no earlier.
    pub(super) fn copied(&mut self, arrival_ms: u64) {
        self.last_ms = self.last_ms.max(Some(arrival_ms));
    }

    /// The last one, to be stored.
    pub(super) fn last_ms(&self) -> Option<u64> {
        self.last_ms
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    const DAY: u64 = 24 * 3_600_000;

    #[test]
    fn a_clock_that_runs_backwards_takes_no_arrival_back() {
        let (clock, hand) = Clock::manual(1_000);
        let mut arrivals = Arrivals::new(clock, DAY, false, None);
        assert_eq!(arrivals.next(), Ok(1_000));
        hand.store(10, Ordering::SeqCst);
        assert_eq!(arrivals.next(), Ok(1_000));
        hand.store(1_001, Ordering::SeqCst);
        assert_eq!(arrivals.next(), Ok(1_001));
    }

    #[test]
    fn a_jump_past_retention_is_refused_until_the_clock_is_right() {
        let (clock, hand) = Clock::manual(5 + 30 * DAY);
        let mut arrivals = Arrivals::new(clock, 30 * DAY, false, Some(5));
        assert_eq!(arrivals.next(), Ok(5 + 30 * DAY));
        hand.store(6 + 60 * DAY, Ordering::SeqCst);
        let refused = LogError::ClockJump { last_ms: 5 + 30 * DAY, now_ms: 6 + 60 * DAY, max_ms: 30 * DAY };
        assert_eq!(arrivals.next(), Err(refused));
        assert_eq!(arrivals.last_ms(), Some(5 + 30 * DAY));
        hand.store(6 + 30 * DAY, Ordering::SeqCst);
        assert_eq!(arrivals.next(), Ok(6 + 30 * DAY));
    }

    #[test]
    fn a_short_retention_allows_a_quiet_day() {
        let (clock, hand) = Clock::manual(DAY);
        let mut arrivals = Arrivals::new(clock, 1, false, Some(0));
        assert_eq!(arrivals.next(), Ok(DAY));
        hand.store(2 * DAY + 1, Ordering::SeqCst);
        assert!(arrivals.next().is_err());
    }

    #[test]
    fn no_jump_is_refused_where_nothing_expires_or_it_is_accepted_or_the_log_is_empty() {
        for (retention, accept, last) in [(0, false, Some(0)), (1, true, Some(0)), (1, false, None)] {
            let (clock, _) = Clock::manual(1_000 * DAY);
            assert_eq!(Arrivals::new(clock, retention, accept, last).next(), Ok(1_000 * DAY));
        }
    }

    #[test]
    fn no_record_arrives_more_than_a_day_ahead_of_the_clock_unless_the_operator_accepts_it() {
        for retention_ms in [0, 30 * DAY] {
            let (clock, hand) = Clock::manual(5 * DAY);
            let mut arrivals = Arrivals::new(clock.clone(), retention_ms, false, Some(6 * DAY + 1));
            let (last_ms, now_ms) = (6 * DAY + 1, 5 * DAY);
            assert_eq!(arrivals.next(), Err(LogError::LastArrivalAhead { last_ms, now_ms }));
            assert_eq!(arrivals.last_ms(), Some(last_ms));
            let accepted = Arrivals::new(clock, retention_ms, true, Some(last_ms)).next();
            assert_eq!(accepted, Ok(last_ms), "--accept-clock-jump");
            hand.store(now_ms + 1, Ordering::SeqCst);
            assert_eq!(arrivals.next(), Ok(last_ms), "a day ahead is let pass, and goes away by itself");
        }
    }

    #[test]
    fn a_copied_record_may_be_a_day_ahead_of_the_clock() {
        let (clock, _) = Clock::manual(DAY);
        let arrivals = Arrivals::new(clock.clone(), 0, false, None);
        assert_eq!(arrivals.check_copied(&[Some(2 * DAY), None, Some(0)]), Ok(()));
        let refused = LogError::ArrivalAhead { index: 1, timestamp_ms: u64::MAX, now_ms: DAY };
        assert_eq!(arrivals.check_copied(&[Some(7), Some(u64::MAX)]), Err(refused));
        assert_eq!(Arrivals::new(clock, 0, true, None).check_copied(&[Some(u64::MAX)]), Ok(()));
    }

    #[test]
    fn what_comes_after_a_copied_record_is_no_earlier() {
        let (clock, _) = Clock::manual(10);
        let mut arrivals = Arrivals::new(clock, 0, false, Some(7));
        arrivals.copied(3);
        assert_eq!(arrivals.last_ms(), Some(7));
        arrivals.copied(20);
        assert_eq!(arrivals.next(), Ok(20));
    }
}
