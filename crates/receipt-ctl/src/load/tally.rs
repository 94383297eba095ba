//! What was counted while a load ran.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

use super::plan::{Plan, Read};

/// Longer latencies count as this one. The bound is fixed: a histogram that grows saturates where it happens to be.
const LATENCY_MAX: Duration = Duration::from_secs(3600);

/// What the streams have told of one message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// Reads of it whose call succeeded.
    pub(crate) acknowledged: u32,
    /// The last delta's counts: read and unread.
    pub(crate) last: Option<(u32, u32)>,
    /// Which readers a delta has counted; empty before the first.
    counted: Vec<bool>,
    counted_len: usize,
}

impl Message {
    /// Takes a delta, and returns the readers it is the first to count: those it names; where it leaves some out,
    /// those who were to read next, up to its count.
    fn told(&mut self, members: usize, counts: (u32, u32), named: &[usize], more: bool) -> Vec<usize> {
        self.last = Some(counts);
        self.counted.resize(members, false);
        let mut new: Vec<_> =
            named.iter().copied().filter(|r| !std::mem::replace(&mut self.counted[*r], true)).collect();
        self.counted_len += new.len();
        let missing = usize::try_from(counts.0).unwrap_or(usize::MAX).saturating_sub(self.counted_len);
        if more {
            let next: Vec<_> = (0..members).filter(|r| !self.counted[*r]).take(missing).collect();
            next.iter().for_each(|r| self.counted[*r] = true);
            self.counted_len += next.len();
            new.extend(next);
        }
        new
    }
}

/// One delta, with the load's own numbers.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) message: usize,
    pub(crate) counts: (u32, u32),
    pub(crate) readers: Vec<usize>,
    pub(crate) more_readers: bool,
}

/// What has been counted so far. Latencies are in microseconds, from the time a read was to start.
pub(crate) struct Tally {
    pub(crate) messages: Vec<Message>,
    pub(crate) streams_open: usize,
    pub(crate) streams_lost: u64,
    pub(crate) responses: u64,
    pub(crate) heartbeats: u64,
    pub(crate) deltas: u64,
    pub(crate) delta_bytes: u64,
    pub(crate) calls: u64,
    /// Reads that a delta has counted.
    pub(crate) receipts: u64,
    /// Deltas whose count was below the one before.
    pub(crate) gone_back: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    /// How late calls were started: the load's own fault.
    pub(crate) start_late: Histogram<u64>,
    pub(crate) call_latency: Histogram<u64>,
    pub(crate) delta_latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new(plan: &Plan) -> anyhow::Result<Self> {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MAX.as_micros().try_into().unwrap_or(u64::MAX), 3);
        Ok(Self {
            messages: vec![Message::default(); plan.messages()],
            streams_open: 0,
            streams_lost: 0,
            responses: 0,
            heartbeats: 0,
            deltas: 0,
            delta_bytes: 0,
            calls: 0,
            receipts: 0,
            gone_back: 0,
            errors: BTreeMap::new(),
            start_late: histogram()?,
            call_latency: histogram()?,
            delta_latency: histogram()?,
        })
    }

    /// A call succeeded, so long after its time.
    pub(crate) fn called(&mut self, read: Read, started_late: Duration, latency: Duration) {
        self.calls += 1;
        self.messages[read.message].acknowledged += 1;
        record(&mut self.start_late, started_late);
        record(&mut self.call_latency, latency);
    }

    /// Something failed.
    pub(crate) fn failed(&mut self, what: String) {
        *self.errors.entry(what).or_default() += 1;
    }

    /// A delta arrived, so long after the load's start.
    pub(crate) fn told(&mut self, plan: &Plan, told: &Told, now: Duration) {
        let message = &mut self.messages[told.message];
        if message.last.is_some_and(|(read, _)| told.counts.0 < read) {
            self.gone_back += 1;
        }
        let new = message.told(plan.members, told.counts, &told.readers, told.more_readers);
        for reader in new {
            self.receipts += 1;
            if let Some(k) = plan.number(Read { message: told.message, reader }) {
                record(&mut self.delta_latency, now.saturating_sub(plan.at(k)));
            }
        }
    }

    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}

fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::{super::plan::plan, *};

    fn told(read_count: u32, readers: &[usize], more_readers: bool) -> Told {
        Told { message: 0, counts: (read_count, 9), readers: readers.to_vec(), more_readers }
    }

    #[test]
    fn each_read_is_counted_once_from_its_own_time() {
        // One sender, ten a second: reader r's time is r * 100 ms.
        let plan = plan(1, 20, 10, 20);
        let mut tally = Tally::new(&plan).unwrap();
        let at = Duration::from_millis(250);
        tally.told(&plan, &told(2, &[0, 2], false), at);
        tally.told(&plan, &told(2, &[0, 2], false), at);
        assert_eq!((tally.receipts, tally.delta_latency.len()), (2, 2));
        let ms = |quantile| (tally.delta_latency.value_at_quantile(quantile) + 500) / 1000;
        assert_eq!((ms(0.5), ms(1.0)), (50, 250));
        assert_eq!(tally.messages[0].last, Some((2, 9)));
        assert_eq!(tally.gone_back, 0);
        tally.told(&plan, &told(1, &[], false), at);
        assert_eq!(tally.gone_back, 1);
    }

    #[test]
    fn who_is_left_out_is_taken_in_turn_up_to_the_count() {
        let mut message = Message::default();
        assert_eq!(message.told(9, (2, 7), &[1, 4], false), [1, 4]);
        assert_eq!(message.told(9, (6, 3), &[8], true), [8, 0, 2, 3]);
        assert_eq!(message.told(9, (6, 3), &[8], true), Vec::<usize>::new());
    }

    #[test]
    fn latencies_keep_their_size_from_microseconds_to_minutes() {
        let mut histogram = Tally::new(&plan(1, 1, 1, 1)).unwrap().call_latency;
        let latencies = [Duration::from_micros(400), Duration::from_millis(40), Duration::from_secs(90)];
        latencies.iter().for_each(|latency| record(&mut histogram, *latency));
        for (quantile, latency) in [0.3, 0.6, 1.0].into_iter().zip(latencies) {
            let got = Duration::from_micros(histogram.value_at_quantile(quantile));
            assert!(got >= latency && got <= latency.mul_f64(1.002), "{got:?} is not {latency:?}");
        }
    }

    #[test]
    fn calls_count_for_their_message() {
        let plan = plan(2, 3, 10, 6);
        let mut tally = Tally::new(&plan).unwrap();
        tally.called(plan.read(1), Duration::ZERO, Duration::from_millis(3));
        tally.failed("UNAVAILABLE".to_owned());
        assert_eq!((tally.calls, tally.messages[1].acknowledged, tally.error_count()), (1, 1, 1));
        assert_eq!(tally.call_latency.max() / 100, 30);
    }
}
