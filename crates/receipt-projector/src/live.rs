//! What is done with what comes of folding a partition that serves: deltas and dead letters go into the log, and its
//! progress is published.

use metrics::{counter, gauge};
use receipt_domain::{effects::Effects, fold::Outcome, settings::Settings, working_set::WorkingSet};
use receipt_log::{Log, NewRecord, StoredRecord, Topic};
use tokio::sync::watch;

use crate::{
    append::Appending,
    dead_letter, deltas,
    error::ProjectorError,
    folding::Ends,
    partition::{Offsets, Partition, Phase},
};

/// Offsets that no partition reaches.
const NEVER: Offsets = Offsets { conversations: u64::MAX, reads: u64::MAX };

/// The ends of a partition that serves.
pub(crate) struct Live {
    pub(crate) log: Log,
    pub(crate) partition: Partition,
    dead_letters: Vec<NewRecord>,
    settings: Settings,
    /// The log's ends when it started: it serves once it is there (R2).
    serve_from: Offsets,
    /// Log time there, at least; 0 once it serves. What is forgotten by then is notified to nobody (S30).
    log_time_at_end_ms: u64,
    /// How far was last told.
    told: Offsets,
    /// Whether the log was last known to have what was applied before it.
    follows: bool,
}

impl Live {
    /// A partition that begins nowhere yet.
    pub(crate) fn new(log: Log, partition: Partition, settings: Settings) -> Self {
        Self {
            log,
            partition,
            dead_letters: Vec::new(),
            settings,
            serve_from: NEVER,
            log_time_at_end_ms: 0,
            told: Offsets::default(),
            follows: false,
        }
    }

    /// Where its log ends now.
    pub(crate) fn end(&self) -> Offsets {
        let end = |topic| self.log.end_offset(topic, self.partition.number());
        Offsets { conversations: end(Topic::Conversations), reads: end(Topic::Reads) }
    }

    /// It is folded on from another store, which is that far, and serves from `serve_from` on.
    pub(crate) fn restart(&mut self, serve_from: Offsets, position: Offsets, follows: bool) {
        self.serve_from = serve_from;
        self.log_time_at_end_ms = log_time_at_ms(&self.log, self.partition.number(), serve_from.conversations);
        self.dead_letters.clear();
        self.follows = follows;
        self.publish(position);
    }

    /// How far it is, and whether the log is known to have what was applied before; tells it where that is news.
    pub(crate) fn is_at(&mut self, position: Offsets, follows: bool) {
        if position != self.told || follows != self.follows {
            self.follows = follows;
            self.publish(position);
        }
    }

    /// Tells how far the state is, and whether it serves.
    fn publish(&mut self, applied: Offsets) {
        self.told = applied;
        let serves = applied.include(&self.serve_from) && self.follows;
        if serves {
            self.log_time_at_end_ms = 0;
        }
        self.partition.0.state.send_modify(|state| {
            state.applied = applied;
            if serves && state.phase == Phase::CatchingUp {
                state.phase = Phase::Serving;
            }
        });
        let number = self.partition.number();
        for (topic, applied) in [(Topic::Conversations, applied.conversations), (Topic::Reads, applied.reads)] {
            let partition = number.to_string();
            let lag = self.log.end_offset(topic, number).saturating_sub(applied);
            // Exact below 2^53 records, and only for people to look at.
            #[allow(clippy::cast_precision_loss)]
            gauge!("receiptd_lag_records", "topic" => topic.name(), "partition" => partition).set(lag as f64);
        }
    }
}

impl Ends for Live {
    fn folded(&mut self, topic: Topic, record: &StoredRecord, outcome: &Outcome) {
        let number = self.partition.number();
        if topic == Topic::Conversations {
            self.partition.0.verdicts.remember(record.offset, outcome);
        }
        if let Outcome::Rejected(why) = outcome {
            tracing::debug!(topic = topic.name(), partition = number, offset = record.offset, %why, "dead letter");
            self.dead_letters.push(dead_letter::of(topic, number, record, why));
        }
    }

    /// It is in the log before the rows are written.
    fn follows(
        &mut self,
        effects: Effects,
        rows: &WorkingSet,
        holds: Offsets,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), ProjectorError> {
        let (number, deltas) = (self.partition.number(), effects.deltas(rows, &self.settings, self.log_time_at_end_ms));
        let count_of_deltas = deltas.len();
        let mut appending = Appending::new(&self.log, stopped);
        deltas::append(&mut appending, &self.log, number, holds, deltas)?;
        for letter in std::mem::take(&mut self.dead_letters) {
            appending.add(Topic::DeadLetter, number, letter)?;
        }
        appending.append()?;
        count(&effects, count_of_deltas);
        Ok(())
    }

    fn paused(&mut self, applied: Offsets) {
        self.publish(applied);
    }
}

fn count(Effects { counters, .. }: &Effects, deltas: usize) {
    counter!("receiptd_records_applied_total").increment(counters.applied);
    counter!("receiptd_events_repeated_total").increment(counters.repeated);
    counter!("receiptd_dead_letters_total").increment(counters.rejected);
    counter!("receiptd_messages_not_allowed_by_policy_total").increment(counters.not_allowed_by_policy);
    counter!("receiptd_up_to_time_on_group_total").increment(counters.up_to_time_on_group);
    counter!("receiptd_deltas_total").increment(deltas as u64);
}

/// Log time where receipts.conversations ends at this offset, at least: by its last records, as the embedded log's
/// timestamps never fall. 0 where they cannot be read.
fn log_time_at_ms(log: &Log, partition: u32, end: u64) -> u64 {
    const RECORDS: u32 = 8;
    let from = end.saturating_sub(RECORDS.into()).max(log.start_offset(Topic::Conversations, partition));
    let records = log.read(Topic::Conversations, partition, from, RECORDS as usize, usize::MAX).unwrap_or_default();
    records.iter().filter_map(|record| record.timestamp_ms).max().unwrap_or_default()
}
