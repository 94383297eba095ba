//! Folding a log into a store of its own, aside of the one that serves: the live loop with other ends. Nothing is
//! appended, no delta, dead letter or tick.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use receipt_codec::row::identity::Identity;
use receipt_domain::{effects::Effects, fold::Outcome, working_set::WorkingSet};
use receipt_log::{Log, LogError, StoredRecord, Topic};
use receipt_store::{Resources, Store, StoreError};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    error::ProjectorError,
    folding::{Ends, Folding},
    partition::Offsets,
    worker,
};

/// How often what is folded is made durable, for whoever goes on after a crash.
const FLUSH_INTERVAL: Duration = Duration::from_secs(10);
/// How long to wait for a log elsewhere before it is looked at again.
const NEWS_MAX: Duration = Duration::from_secs(1);

/// Opens the store in a directory, to fold up to `to`: the one that an interrupted replay has left there, if it goes on
/// from it, else an empty one. What is there is deleted where it is of another log, of other settings, damaged, half
/// deleted, further already, or of records that the log has lost since. Must not be called from async code.
///
/// # Errors
/// If the directory can't be written, or another process has it; if the log does not answer.
pub fn aside(
    log: &Log,
    dir: &Path,
    resources: &Resources,
    identity: &Identity,
    to: Offsets,
) -> Result<Store, ProjectorError> {
    match Store::open(dir, resources, identity) {
        Ok(store) if to.include(&durable(&store)) => match check_follows(log, identity.partition, &store) {
            Ok(()) => return Ok(store),
            Err(ProjectorError::Log(LogError::Truncated { .. }) | ProjectorError::Store(_)) => drop(store),
            Err(error) => return Err(error),
        },
        Ok(store) => drop(store),
        Err(error @ StoreError::Locked { .. }) => return Err(error.into()),
        Err(_) => {}
    }
    let failed = |source| ProjectorError::Directory { dir: dir.to_owned(), source };
    fs::remove_dir_all(dir).map_err(failed)?;
    Ok(Store::open(dir, resources, identity)?)
}

/// Whether the log still has the last records that a store has applied (R7). Must not be called from async code.
///
/// # Errors
/// [`LogError::Truncated`] where it has not; else if log or store can't be read.
pub fn check_follows(log: &Log, partition: u32, store: &Store) -> Result<(), ProjectorError> {
    let view = store.view()?;
    let at = view.progress();
    log.check_follows(Topic::Conversations, partition, at.conversations_offset, at.conversations_epoch)?;
    log.check_follows(Topic::Reads, partition, at.reads_offset, at.reads_epoch)?;
    Ok(())
}

fn durable(store: &Store) -> Offsets {
    Offsets::of(store.durable())
}

/// A partition that is to be folded aside.
pub struct Replay<'a> {
    /// From which log.
    pub log: &'a Log,
    /// Which partition.
    pub partition: u32,
    /// Into which store, which may have a beginning of it.
    pub store: &'a Store,
    /// Up to these offsets: where they stand, nothing is folded any more.
    pub to: Offsets,
}

impl Replay<'_> {
    /// Folds all of it, and tells after each batch how many records (on Kafka: offsets) up to there, of how many, are
    /// folded. What it has folded is durable when the store is flushed; it flushes it now and then, and when it is
    /// stopped, so that another replay goes on from there. Must not be called from async code.
    ///
    /// # Errors
    /// [`ProjectorError::Stopped`] when it was; else if log or store fail, or the log does not have all of it.
    pub fn run(
        &self,
        runtime: &Handle,
        stopped: &watch::Receiver<bool>,
        mut told: impl FnMut(u64, u64),
    ) -> Result<(), ProjectorError> {
        self.check()?;
        let mut folding = Folding::new(self.log.clone(), self.store.clone(), self.partition, Some(self.to))?.quiet();
        let mut news = folding.news();
        let mut stopped = stopped.clone();
        let mut flushed = Instant::now();
        let all = self.to.records();
        told(folding.position().records(), all);
        while !folding.position().include(&self.to) {
            if *stopped.borrow() {
                self.store.flush()?;
                return Err(ProjectorError::Stopped);
            }
            if flushed.elapsed() >= FLUSH_INTERVAL {
                self.store.flush()?;
                flushed = Instant::now();
            }
            // Seen before the batch is read: what comes after it wakes the wait below.
            for news in &mut news {
                news.borrow_and_update();
            }
            if !folding.batch(&mut Nothing, &stopped)? && !folding.position().include(&self.to) {
                runtime.block_on(worker::changed(&mut news, &mut stopped, NEWS_MAX));
            }
            told(folding.position().records(), all);
        }
        Ok(())
    }

    /// Whether the log has all that is to be folded.
    fn check(&self) -> Result<(), ProjectorError> {
        let (from, to) = (durable(self.store), self.to);
        let topics =
            [(Topic::Conversations, from.conversations, to.conversations), (Topic::Reads, from.reads, to.reads)];
        for (topic, from, to) in topics {
            let (start, end) =
                (self.log.start_offset(topic, self.partition), self.log.end_offset(topic, self.partition));
            if from < start {
                let (topic, partition) = (topic.name(), self.partition);
                return Err(ProjectorError::NoBeginning { topic, partition, start, from });
            }
            if to > end {
                return Err(LogError::PastEnd { topic, partition: self.partition, from: to, end }.into());
            }
        }
        Ok(())
    }
}

/// The ends of a replay.
struct Nothing;

impl Ends for Nothing {
    fn folded(&mut self, _: Topic, _: &StoredRecord, _: &Outcome) {}

    fn follows(
        &mut self,
        _: Effects,
        _: &WorkingSet,
        _: Offsets,
        _: &watch::Receiver<bool>,
    ) -> Result<(), ProjectorError> {
        Ok(())
    }

    fn paused(&mut self, _: Offsets) {}
}
