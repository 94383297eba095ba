//! The loop that folds a partition's records into its store, with whatever ends: a live partition appends what follows
//! from them, a replay appends nothing.

use std::{
    thread,
    time::{Duration, Instant},
};

use receipt_domain::{
    effects::Effects,
    fold::{Advance, Fold, Outcome},
    working_set::{Needs, WorkingSet},
};
use receipt_log::{Log, StoredRecord, Topic};
use receipt_store::Store;
use tokio::sync::watch;

use crate::{
    decode,
    error::ProjectorError,
    feed::Feed,
    partition::Offsets,
    sweeper::{SLICE_MAX, SLICE_MESSAGES_MAX, Sweeper, Turn},
};

/// Records of one batch, at most.
const BATCH_RECORDS_MAX: usize = 8192;
/// What a record comes to beside its bytes, about, where it is a dead letter: four more headers, and the reason twice.
const RECORD_BYTES: usize = 1024;
/// How long a batch waits for records that are on their way, at most, and how often it looks.
const LINGER_MAX: Duration = Duration::from_millis(20);
const LINGER_STEP: Duration = Duration::from_millis(1);

/// What is done with what comes of folding.
pub(crate) trait Ends {
    /// What became of a record.
    fn folded(&mut self, topic: Topic, record: &StoredRecord, outcome: &Outcome);

    /// What follows from the rows that are written next, which hold all up to `holds`. An error keeps them from being
    /// written.
    fn follows(
        &mut self,
        effects: Effects,
        rows: &WorkingSet,
        holds: Offsets,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), ProjectorError>;

    /// Written in the middle of a record; all up to `applied` is.
    fn paused(&mut self, applied: Offsets);
}

/// A partition that is being folded.
pub(crate) struct Folding {
    log: Log,
    number: u32,
    store: Store,
    feed: Feed,
    fold: Fold,
    sweeper: Sweeper,
    /// Bytes of the records that this batch has so far. Where they are dead letters, they are still in memory.
    records_bytes: usize,
    /// The record that is being folded.
    in_hand: Option<(Topic, u64)>,
    /// Where it ends, if not at the log's end.
    to: Option<Offsets>,
}

/// What was done of the work that leaves have left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swept {
    /// A slice.
    Slice,
    /// Nothing, as its turn comes after so long.
    Later(Duration),
    /// Nothing, as there is none.
    Nothing,
}

impl Folding {
    /// From where the store is, checked against its log (R7).
    ///
    /// # Errors
    /// If the two don't fit.
    pub(crate) fn new(log: Log, store: Store, number: u32, to: Option<Offsets>) -> Result<Self, ProjectorError> {
        let rows = store.working_set()?;
        let applied = Offsets { conversations: rows.progress.conversations_offset, reads: rows.progress.reads_offset };
        let dir = || store.dir().to_owned();
        for (topic, applied) in [(Topic::Conversations, applied.conversations), (Topic::Reads, applied.reads)] {
            let (start, end) = (log.start_offset(topic, number), log.end_offset(topic, number));
            if applied > end {
                return Err(ProjectorError::AheadOfLog { topic: topic.name(), applied, end, dir: dir() });
            }
            if applied < start {
                return Err(ProjectorError::TrimmedPast { topic: topic.name(), applied, start, dir: dir() });
            }
        }
        let feed = Feed::new(&log, number, &rows.progress, to, store.batch_bytes());
        let fold = Fold::new(*store.settings(), rows);
        let sweeper = Sweeper::new();
        Ok(Self { log, number, store, feed, fold, sweeper, records_bytes: 0, in_hand: None, to })
    }

    /// Nobody is notified of what is folded, as an offline fold of what has been folded before.
    pub(crate) fn quiet(mut self) -> Self {
        self.fold = self.fold.quiet();
        self
    }

    /// Folds the next batch and writes it; `false`: there was nothing to fold.
    ///
    /// # Errors
    /// If log or store fail, or the ends do.
    pub(crate) fn batch(
        &mut self,
        ends: &mut impl Ends,
        stopped: &watch::Receiver<bool>,
    ) -> Result<bool, ProjectorError> {
        let mut records = 0;
        let mut linger_until = None;
        while records < BATCH_RECORDS_MAX && !self.is_full() {
            let Some((topic, record)) = self.feed.next()? else {
                let until = *linger_until.get_or_insert_with(|| Instant::now() + LINGER_MAX);
                if records == 0 || !self.more_is_on_its_way() || Instant::now() >= until {
                    break;
                }
                thread::sleep(LINGER_STEP);
                continue;
            };
            self.record(topic, &record, ends, stopped)?;
            records += 1;
        }
        if records > 0 {
            self.write(self.applied(), ends, stopped)?;
        }
        Ok(records > 0)
    }

    /// Whether what the batch has in memory has reached its bound (R8): its records, the rows that are loaded or changed,
    /// and what follows from them. One record may exceed the bound by itself, and no other comes after it.
    fn is_full(&self) -> bool {
        let bytes = self.records_bytes + self.fold.rows.bytes() + self.fold.effects.bytes();
        bytes >= self.store.batch_bytes()
    }

    fn record(
        &mut self,
        topic: Topic,
        record: &StoredRecord,
        ends: &mut impl Ends,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), ProjectorError> {
        self.in_hand = Some((topic, record.offset));
        self.records_bytes += record.memory_bytes() + RECORD_BYTES;
        if topic == Topic::Conversations {
            self.fold.take_conversations(decode::conversations(self.log.partitions(), self.number, record));
        } else {
            self.fold.take_reads(decode::reads(self.log.partitions(), self.number, record));
        }
        let outcome = self.advance(ends, stopped)?;
        let progress = &mut self.fold.rows.progress;
        if topic == Topic::Conversations {
            progress.conversations_epoch = record.leader_epoch;
        } else {
            progress.reads_epoch = record.leader_epoch;
        }
        ends.folded(topic, record, &outcome);
        self.in_hand = None;
        Ok(())
    }

    fn advance(&mut self, ends: &mut impl Ends, stopped: &watch::Receiver<bool>) -> Result<Outcome, ProjectorError> {
        loop {
            match self.fold.advance() {
                Advance::Done(outcome) => return Ok(outcome),
                Advance::Needs(needs) => self.store.load(&needs, &mut self.fold.rows)?,
                Advance::Stepped => {
                    if self.is_full() && self.fold.may_pause() {
                        let (conversations, reads) = self.fold.taken();
                        self.write(Offsets { conversations, reads }, ends, stopped)?;
                        ends.paused(self.applied());
                    }
                }
            }
        }
    }

    /// What follows from the batch comes first, and then it is written. A record whose steps are not all taken yet
    /// counts as told with the others: `holds` is what a state must have applied to hold all that the deltas say (S38).
    fn write(
        &mut self,
        holds: Offsets,
        ends: &mut impl Ends,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), ProjectorError> {
        ends.follows(std::mem::take(&mut self.fold.effects), &self.fold.rows, holds, stopped)?;
        if self.fold.rows.sweeps.dirty().next().is_some() {
            self.sweeper.wake();
        }
        self.store.commit(&mut self.fold.rows)?;
        self.records_bytes = 0;
        Ok(())
    }

    /// Brings some messages up to date with the leave log of their group, and notifies their senders, if it is time (S3).
    /// Only between two batches.
    ///
    /// # Errors
    /// If log or store fail, or the ends do.
    pub(crate) fn sweep(
        &mut self,
        ends: &mut impl Ends,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Swept, ProjectorError> {
        let (number, sweep) = match self.sweeper.turn(&self.store)? {
            Turn::Slice(number, sweep) => (number, sweep),
            Turn::Pause(wait) => return Ok(Swept::Later(wait)),
            Turn::Nothing => return Ok(Swept::Nothing),
        };
        let began = Instant::now();
        let positions = self.store.load_messages_before(number, sweep.next, SLICE_MESSAGES_MAX, &mut self.fold.rows)?;
        let mut ended = positions.len() < SLICE_MESSAGES_MAX;
        let (mut next, mut looked_at) = (sweep.next, 0);
        for (index, position) in positions.iter().enumerate() {
            let is_kept = self.loading(|fold| fold.sweep(number, *position))?;
            (next, looked_at) = (position.saturating_sub(1), looked_at + 1);
            let enough = began.elapsed() >= SLICE_MAX || self.is_full();
            if !is_kept || (enough && index + 1 < positions.len()) {
                ended = !is_kept;
                break;
            }
        }
        self.loading(|fold| fold.swept(number, next, looked_at, ended))?;
        self.write(self.applied(), ends, stopped)?;
        self.sweeper.took(&sweep, began.elapsed());
        Ok(Swept::Slice)
    }

    /// Takes a step of the fold, with all rows it needs.
    fn loading<T>(&mut self, step: impl Fn(&mut Fold) -> Result<T, Needs>) -> Result<T, ProjectorError> {
        loop {
            match step(&mut self.fold) {
                Ok(taken) => return Ok(taken),
                Err(needs) => self.store.load(&needs, &mut self.fold.rows)?,
            }
        }
    }

    /// All up to here is folded.
    pub(crate) fn applied(&self) -> Offsets {
        let progress = &self.fold.rows.progress;
        Offsets { conversations: progress.conversations_offset, reads: progress.reads_offset }
    }

    /// Topic and offset of the record that was being folded when it failed; `None` between two records.
    pub(crate) fn in_hand(&self) -> Option<(Topic, u64)> {
        self.in_hand
    }

    /// As [`Folding::applied`], and past what is no record.
    pub(crate) fn position(&self) -> Offsets {
        self.feed.position()
    }

    /// Whether the log is known to have what was applied before (R7): until then nobody is to be answered.
    pub(crate) fn follows(&self) -> bool {
        self.feed.follows()
    }

    /// The highest arrival so far.
    pub(crate) fn log_time_ms(&self) -> u64 {
        self.fold.rows.progress.log_time_ms
    }

    /// Change when there may be more to fold.
    pub(crate) fn news(&self) -> Vec<watch::Receiver<u64>> {
        self.feed.news()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The log has more than it has given: larger batches make fewer deltas and writes.
    fn more_is_on_its_way(&self) -> bool {
        let end = Offsets {
            conversations: self.log.end_offset(Topic::Conversations, self.number),
            reads: self.log.end_offset(Topic::Reads, self.number),
        };
        let to = self.to.unwrap_or(end);
        let at = self.feed.position();
        at.reads < end.reads.min(to.reads) || at.conversations < end.conversations.min(to.conversations)
    }
}

#[cfg(test)]
mod tests;
