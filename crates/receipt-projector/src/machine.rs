//! One partition's loop. Never the write first: what follows from a batch is in the log before the state says that the
//! batch is applied, as a crash in between would lose it for good.

use std::{
    thread,
    time::{Duration, Instant},
};

use metrics::{counter, gauge};
use prost::Message;
use receipt_domain::{
    effects::Effects,
    event::Event,
    fold::{Advance, Fold, Outcome},
};
use receipt_log::{Clock, Log, NewRecord, StoredRecord, Topic};
use receipt_proto::v1;
use receipt_store::Store;
use tokio::sync::watch;

use crate::{
    append, dead_letter, decode, deltas,
    error::ProjectorError,
    feed::Feed,
    partition::{Offsets, Partition, Phase},
    worker::{Idle, Projection},
};

/// Records of one batch, at most.
pub const BATCH_RECORDS_MAX: usize = 8192;
/// Messages in memory at which a batch is written, even in the middle of a long mark.
const BATCH_MESSAGES_MAX: usize = 20_000;
/// How long a batch waits for records that are on their way, at most, and how often it looks.
const LINGER_MAX: Duration = Duration::from_millis(20);
const LINGER_STEP: Duration = Duration::from_millis(1);
/// How far log time may lag the clock before a tick is appended.
const TICK_LAG_MAX_MS: u64 = 3_600_000;
/// When to look again for records that the log has and has not given yet.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(10);

/// The machine of one partition.
pub struct Machine {
    log: Log,
    store: Store,
    clock: Clock,
    partition: Partition,
    feed: Feed,
    fold: Fold,
    dead_letters: Vec<NewRecord>,
    /// The log's ends when it started: it serves once it is there (R2).
    serve_from: Offsets,
    /// How far was last told.
    told: Offsets,
    /// The offset after the last tick that was appended here.
    ticked: u64,
}

impl Machine {
    /// Over a store that its partition has, checked against its log (R7).
    ///
    /// # Errors
    /// If the two don't fit.
    pub fn new(log: Log, store: Store, clock: Clock, partition: Partition) -> Result<Self, ProjectorError> {
        let rows = store.working_set()?;
        let number = partition.number();
        let applied = Offsets { conversations: rows.progress.conversations_offset, reads: rows.progress.reads_offset };
        for (topic, applied) in [(Topic::Conversations, applied.conversations), (Topic::Reads, applied.reads)] {
            let (start, end) = (log.start_offset(topic, number), log.end_offset(topic, number));
            if applied > end {
                return Err(ProjectorError::AheadOfLog {
                    topic: topic.name(),
                    applied,
                    end,
                    dir: store.dir().to_owned(),
                });
            }
            if applied < start {
                return Err(ProjectorError::TrimmedPast {
                    topic: topic.name(),
                    applied,
                    start,
                    dir: store.dir().to_owned(),
                });
            }
        }
        let feed = Feed::new(&log, number, applied);
        let serve_from = Offsets {
            conversations: log.end_offset(Topic::Conversations, number),
            reads: log.end_offset(Topic::Reads, number),
        };
        let fold = Fold::new(*store.settings(), rows);
        let mut machine = Self {
            log,
            store,
            clock,
            partition,
            feed,
            fold,
            dead_letters: Vec::new(),
            serve_from,
            told: applied,
            ticked: 0,
        };
        machine.publish(applied);
        Ok(machine)
    }

    fn record(
        &mut self,
        topic: Topic,
        record: &StoredRecord,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), ProjectorError> {
        let number = self.partition.number();
        if topic == Topic::Conversations {
            self.fold.take_conversations(decode::conversations(&self.log, number, record));
        } else {
            self.fold.take_reads(decode::reads(&self.log, number, record));
        }
        let outcome = self.advance(stopped)?;
        if topic == Topic::Conversations {
            self.partition.0.verdicts.remember(record.offset, &outcome);
        }
        if let Outcome::Rejected(why) = &outcome {
            tracing::debug!(topic = topic.name(), partition = number, offset = record.offset, %why, "dead letter");
            self.dead_letters.push(dead_letter::of(topic, number, record, why));
        }
        Ok(())
    }

    fn advance(&mut self, stopped: &watch::Receiver<bool>) -> Result<Outcome, ProjectorError> {
        loop {
            match self.fold.advance() {
                Advance::Done(outcome) => return Ok(outcome),
                Advance::Needs(needs) => self.store.load(&needs, &mut self.fold.rows)?,
                Advance::Stepped => {
                    if self.fold.rows.messages.len() >= BATCH_MESSAGES_MAX && self.fold.may_pause() {
                        let applied = self.applied();
                        self.write(Offsets { reads: applied.reads + 1, ..applied }, stopped)?;
                        self.publish(applied);
                    }
                }
            }
        }
    }

    /// Appends what follows from the batch, and then writes it. A record whose steps are not all taken yet counts as
    /// told with the others: `holds` is what a state must have applied to hold all that the deltas say (S38).
    fn write(&mut self, holds: Offsets, stopped: &watch::Receiver<bool>) -> Result<(), ProjectorError> {
        let deltas = self.fold.effects.deltas(&self.fold.rows);
        let mut batches = deltas::batches(&self.log, self.partition.number(), holds, &deltas);
        if !self.dead_letters.is_empty() {
            batches.push((Topic::DeadLetter, self.partition.number(), std::mem::take(&mut self.dead_letters)));
        }
        if !batches.is_empty() {
            append::until_taken(&self.log, batches, stopped)?;
        }
        self.store.commit(&mut self.fold.rows)?;
        self.count(deltas.len());
        Ok(())
    }

    fn applied(&self) -> Offsets {
        let progress = &self.fold.rows.progress;
        Offsets { conversations: progress.conversations_offset, reads: progress.reads_offset }
    }

    fn count(&mut self, deltas: usize) {
        let Effects { counters, .. } = std::mem::take(&mut self.fold.effects);
        counter!("receiptd_records_applied_total").increment(counters.applied);
        counter!("receiptd_events_repeated_total").increment(counters.repeated);
        counter!("receiptd_dead_letters_total").increment(counters.rejected);
        counter!("receiptd_messages_not_allowed_by_policy_total").increment(counters.not_allowed_by_policy);
        counter!("receiptd_up_to_time_on_group_total").increment(counters.up_to_time_on_group);
        counter!("receiptd_deltas_total").increment(deltas as u64);
    }

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

    /// The log has more than it has given: larger batches make fewer deltas and writes.
    fn more_is_on_its_way(&self) -> bool {
        let (number, at) = (self.partition.number(), self.feed.position());
        let behind = |topic, position| position < self.log.end_offset(topic, number);
        behind(Topic::Reads, at.reads) || behind(Topic::Conversations, at.conversations)
    }

    /// An hour; less where messages are kept for only a few hours.
    fn tick_lag_max_ms(&self) -> u64 {
        match self.store.settings().retention_ms {
            0 => TICK_LAG_MAX_MS,
            retention_ms => TICK_LAG_MAX_MS.min((retention_ms / 4).max(1000)),
        }
    }
}

impl Projection for Machine {
    fn batch(&mut self, stopped: &watch::Receiver<bool>) -> Result<bool, ProjectorError> {
        let mut records = 0;
        let mut linger_until = None;
        while records < BATCH_RECORDS_MAX && self.fold.rows.messages.len() < BATCH_MESSAGES_MAX {
            let Some((topic, record)) = self.feed.next()? else {
                let until = *linger_until.get_or_insert_with(|| Instant::now() + LINGER_MAX);
                if records == 0 || !self.more_is_on_its_way() || Instant::now() >= until {
                    break;
                }
                thread::sleep(LINGER_STEP);
                continue;
            };
            self.record(topic, &record, stopped)?;
            records += 1;
        }
        if records > 0 {
            self.write(self.applied(), stopped)?;
        }
        // Past the last record there may be what is none: it is that far then, too, or who waits for it waits for ever.
        let position = self.feed.position();
        if position != self.told {
            self.publish(position);
        }
        Ok(records > 0)
    }

    fn idle(&mut self) -> Result<Idle, ProjectorError> {
        let number = self.partition.number();
        let end = self.log.end_offset(Topic::Conversations, number).max(self.ticked);
        if self.feed.position().conversations < end {
            // There is more, which is on its way: perhaps the last tick.
            return Ok(Idle::Wait(ON_ITS_WAY_MAX));
        }
        let lag_max_ms = self.tick_lag_max_ms();
        let lag_ms = self.clock.now_ms().saturating_sub(self.fold.rows.progress.log_time_ms);
        if lag_ms <= lag_max_ms {
            return Ok(Idle::Wait(Duration::from_millis(lag_max_ms - lag_ms + 1)));
        }
        match self.log.append_blocking(Topic::Conversations, number, vec![tick()]) {
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
        self.store.flush()?;
        Ok(())
    }

    fn news(&self) -> Vec<watch::Receiver<u64>> {
        self.feed.news()
    }

    fn ended(&self, phase: Phase) {
        self.partition.ended(phase);
    }
}

fn tick() -> NewRecord {
    let value = v1::ConversationEvent::from(&Event::Tick).encode_to_vec();
    NewRecord { key: None, value: Some(value.into()), headers: Vec::new() }
}
