//! One partition's loop. Never the write first: what follows from a batch is in the log before the state says that the
//! batch is applied, as a crash in between would lose it for good.

use std::time::Duration;

use metrics::{counter, gauge};
use prost::Message;
use receipt_domain::{effects::Effects, event::Event, fold::Outcome, working_set::WorkingSet};
use receipt_log::{Clock, Log, NewRecord, StoredRecord, Topic};
use receipt_proto::v1;
use receipt_store::Store;
use tokio::sync::watch;

use crate::{
    append, dead_letter, deltas,
    error::ProjectorError,
    folding::{Ends, Folding},
    partition::{Offsets, Partition, Phase},
    worker::{Idle, Projection},
};

/// How far log time may lag the clock before a tick is appended.
const TICK_LAG_MAX_MS: u64 = 3_600_000;
/// When to look again for records that the log has and has not given yet.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(10);

/// The machine of one partition.
pub struct Machine {
    folding: Folding,
    live: Live,
    clock: Clock,
    /// The offset after the last tick that was appended here.
    ticked: u64,
}

impl Machine {
    /// Over a store that its partition has, checked against its log (R7).
    ///
    /// # Errors
    /// If the two don't fit.
    pub fn new(log: Log, store: Store, clock: Clock, partition: Partition) -> Result<Self, ProjectorError> {
        let number = partition.number();
        let folding = Folding::new(log.clone(), store, number, None)?;
        let serve_from = Offsets {
            conversations: log.end_offset(Topic::Conversations, number),
            reads: log.end_offset(Topic::Reads, number),
        };
        let applied = folding.applied();
        let mut live = Live { log, partition, dead_letters: Vec::new(), serve_from, told: applied };
        live.publish(applied);
        Ok(Self { folding, live, clock, ticked: 0 })
    }

    /// An hour; less where messages are kept for only a few hours.
    fn tick_lag_max_ms(&self) -> u64 {
        match self.folding.store().settings().retention_ms {
            0 => TICK_LAG_MAX_MS,
            retention_ms => TICK_LAG_MAX_MS.min((retention_ms / 4).max(1000)),
        }
    }
}

impl Projection for Machine {
    fn batch(&mut self, stopped: &watch::Receiver<bool>) -> Result<bool, ProjectorError> {
        let folded = self.folding.batch(&mut self.live, stopped)?;
        // Past the last record there may be what is none: it is that far then, too, or who waits for it waits for ever.
        let position = self.folding.position();
        if position != self.live.told {
            self.live.publish(position);
        }
        Ok(folded)
    }

    fn idle(&mut self) -> Result<Idle, ProjectorError> {
        let (number, log) = (self.live.partition.number(), &self.live.log);
        let end = log.end_offset(Topic::Conversations, number).max(self.ticked);
        if self.folding.position().conversations < end {
            // There is more, which is on its way: perhaps the last tick.
            return Ok(Idle::Wait(ON_ITS_WAY_MAX));
        }
        let lag_max_ms = self.tick_lag_max_ms();
        let lag_ms = self.clock.now_ms().saturating_sub(self.folding.log_time_ms());
        if lag_ms <= lag_max_ms {
            return Ok(Idle::Wait(Duration::from_millis(lag_max_ms - lag_ms + 1)));
        }
        match log.append_blocking(Topic::Conversations, number, vec![tick()]) {
            Ok(appended) => {
                self.ticked = appended.last().map_or(0, |tick| tick.offset + 1);
                Ok(Idle::GoOn)
            }
            // A clock that jumped, or a log that does not answer: nothing is lost by waiting for it to be mended.
            Err(error) if error.kind() == receipt_log::ErrorKind::Retry => {
                tracing::warn!(partition = number, %error, "no tick appended");
                Ok(Idle::Wait(Duration::from_secs(10)))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&mut self) -> Result<(), ProjectorError> {
        self.folding.store().flush()?;
        Ok(())
    }

    fn news(&self) -> Vec<watch::Receiver<u64>> {
        self.folding.news()
    }

    fn ended(&self, phase: Phase) {
        self.live.partition.ended(phase);
    }
}

/// The ends of a partition that serves.
struct Live {
    log: Log,
    partition: Partition,
    dead_letters: Vec<NewRecord>,
    /// The log's ends when it started: it serves once it is there (R2).
    serve_from: Offsets,
    /// How far was last told.
    told: Offsets,
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
        let deltas = effects.deltas(rows);
        let mut batches = deltas::batches(&self.log, self.partition.number(), holds, &deltas);
        if !self.dead_letters.is_empty() {
            batches.push((Topic::DeadLetter, self.partition.number(), std::mem::take(&mut self.dead_letters)));
        }
        if !batches.is_empty() {
            append::until_taken(&self.log, batches, stopped)?;
        }
        count(&effects, deltas.len());
        Ok(())
    }

    fn paused(&mut self, applied: Offsets) {
        self.publish(applied);
    }
}

impl Live {
    /// Tells how far the state is, and whether it serves.
    fn publish(&mut self, applied: Offsets) {
        self.told = applied;
        let serves = applied.include(&self.serve_from);
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

fn count(Effects { counters, .. }: &Effects, deltas: usize) {
    counter!("receiptd_records_applied_total").increment(counters.applied);
    counter!("receiptd_events_repeated_total").increment(counters.repeated);
    counter!("receiptd_dead_letters_total").increment(counters.rejected);
    counter!("receiptd_messages_not_allowed_by_policy_total").increment(counters.not_allowed_by_policy);
    counter!("receiptd_up_to_time_on_group_total").increment(counters.up_to_time_on_group);
    counter!("receiptd_deltas_total").increment(deltas as u64);
}

fn tick() -> NewRecord {
    let value = v1::ConversationEvent::from(&Event::Tick).encode_to_vec();
    NewRecord { key: None, value: Some(value.into()), headers: Vec::new() }
}
