//! One partition's loop. Never the write first: what follows from a batch is in the log before the state says that the
//! batch is applied, as a crash in between would lose it for good.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use prost::Message;
use receipt_codec::row::identity::Identity;
use receipt_domain::event::Event;
use receipt_log::{Clock, Log, NewRecord, Topic};
use receipt_proto::v1;
use receipt_store::{Resources, Store, StoreError};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    error::ProjectorError,
    folding::{Folding, Swept},
    live::Live,
    partition::{Offsets, Partition, Phase, Request},
    replay::Replay,
    requests::answer,
    swap,
    worker::{self, Idle, Projection},
};

/// How far log time may lag the clock before a tick is appended.
const TICK_LAG_MAX_MS: u64 = 3_600_000;
/// While records come, the time between two slices of messages that are brought up to date with their leaves, at least: where
/// members leave all the time, slices of 10 ms take a sixth of the thread, and records the rest.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);
/// When to look again for records that the log has and has not given yet.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(10);

/// Where a partition's store is, and what it is opened with.
pub(crate) struct Home {
    /// All partitions' stores.
    pub(crate) stores: PathBuf,
    pub(crate) resources: Resources,
    pub(crate) identity: Identity,
}

impl Home {
    /// Opens the live store; an exchange that was interrupted is settled first.
    pub(crate) fn open(&self) -> Result<Store, ProjectorError> {
        let number = self.identity.partition;
        swap::settle(&self.stores, number)?;
        Ok(Store::open(&self.stores.join(number.to_string()), &self.resources, &self.identity)?)
    }
}

/// The machine of one partition.
pub(crate) struct Machine {
    /// `None` while it is sealed.
    folding: Option<Folding>,
    live: Live,
    home: Home,
    clock: Clock,
    /// The offset after the last tick that was appended here.
    ticked: u64,
    /// When messages are next to be brought up to date with their group's leave log.
    sweep_in: Duration,
    /// When the last slice of that was taken.
    swept: Instant,
    runtime: Handle,
}

impl Machine {
    /// Over the store that its partition has, checked against its log (R7). Where that can't be right it is sealed.
    pub(crate) fn new(
        log: Log,
        store: Result<Store, ProjectorError>,
        partition: Partition,
        home: Home,
        clock: Clock,
        runtime: Handle,
    ) -> Self {
        let live = Live::new(log, partition, home.identity.settings);
        let sweep_in = Duration::MAX;
        let swept = Instant::now();
        let mut machine = Self { folding: None, live, home, clock, ticked: 0, sweep_in, swept, runtime };
        if let Err(error) = store.and_then(|store| machine.fold(store)) {
            machine.sealed_by(&error);
        }
        machine
    }

    /// Folds on from where a store is, and serves once it is where the log ends now (R2).
    fn fold(&mut self, store: Store) -> Result<(), ProjectorError> {
        let serve_from = self.live.end();
        let folding = Folding::new(self.live.log.clone(), store, self.live.partition.number(), None)?;
        self.ticked = 0;
        self.live.restart(serve_from, folding.applied(), folding.follows());
        self.folding = Some(folding);
        Ok(())
    }

    /// An hour; less where messages are kept for only a few hours.
    fn tick_lag_max_ms(&self) -> u64 {
        match self.home.identity.settings.retention_ms {
            0 => TICK_LAG_MAX_MS,
            retention_ms => TICK_LAG_MAX_MS.min((retention_ms / 4).max(1000)),
        }
    }

    /// Appends a tick, where log time lags the clock by so much; else, how long until it does.
    fn until_tick(&mut self) -> Result<Idle, ProjectorError> {
        let Some(folding) = &self.folding else { return Err(self.sealed()) };
        let (number, log) = (self.live.partition.number(), &self.live.log);
        let end = log.end_offset(Topic::Conversations, number).max(self.ticked);
        if folding.position().conversations < end {
            // There is more, which is on its way: perhaps the last tick.
            return Ok(Idle::Wait(ON_ITS_WAY_MAX));
        }
        let lag_max_ms = self.tick_lag_max_ms();
        let lag_ms = self.clock.now_ms().saturating_sub(folding.log_time_ms());
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

    /// Does what it was asked for meanwhile.
    fn answer_requests(&mut self, stopped: &watch::Receiver<bool>) -> Result<(), ProjectorError> {
        let partition = self.live.partition.clone();
        while let Some(request) = partition.0.requests.take() {
            match request {
                Request::Checkpoint { dir, done } => answer(done, || self.checkpoint(&dir))?,
                Request::Exchange { aside, done } => {
                    let mut failed = None;
                    answer(done, || {
                        let exchanged = self.exchange(&aside, stopped);
                        failed = exchanged.as_ref().err().map(ToString::to_string);
                        exchanged
                    })?;
                    if let (None, Some(why)) = (&self.folding, failed) {
                        return Err(ProjectorError::Unexchanged(why));
                    }
                }
            }
        }
        Ok(())
    }

    fn checkpoint(&self, dir: &Path) -> Result<Offsets, ProjectorError> {
        let folding = self.folding.as_ref().ok_or_else(|| self.sealed())?;
        Ok(Offsets::of(folding.store().checkpoint(dir)?))
    }

    /// Why it does not fold.
    fn sealed(&self) -> ProjectorError {
        match self.live.partition.phase() {
            Phase::Sealed(why) => ProjectorError::Sealed(why),
            _ => ProjectorError::Stopped,
        }
    }

    /// Folds a store on to where the live one is, and puts it in its place. Where that fails before anything is moved, the
    /// live one stays.
    fn exchange(&mut self, aside: &Path, stopped: &watch::Receiver<bool>) -> Result<Offsets, ProjectorError> {
        let number = self.live.partition.number();
        let store = Store::open(aside, &self.home.resources, &self.home.identity)?;
        if let Some(folding) = &self.folding {
            let replay = Replay { log: &self.live.log, partition: number, store: &store, to: folding.applied() };
            replay.run(&self.runtime, stopped, |_, _| {})?;
            store.notify_as(Some(folding.store()))?;
            // So that little is left to be flushed while queries wait for it to be closed.
            folding.store().flush()?;
        } else {
            store.notify_as(None)?;
        }
        let applied = Offsets::of(store.flush()?);
        close(store)?;
        self.folding = None;
        let (home, closed) = (&self.home, Instant::now());
        let mut was_serving = false;
        let store = self.live.partition.reopen(|old| {
            // A query that found the old one damaged has said so while it had it.
            was_serving = self.live.partition.serves().is_ok();
            old.map_or(Ok(()), close)?;
            swap::exchange(&home.stores, number, aside)?;
            home.open()
        })?;
        let waited_ms = closed.elapsed().as_secs_f64() * 1000.0;
        if !was_serving {
            self.live.partition.mended(applied);
            // It may have been sealed as the log has lost its end.
            for topic in [Topic::Conversations, Topic::Reads] {
                self.live.log.find_end(topic, number);
            }
        }
        self.fold(store)?;
        tracing::info!(partition = number, ?applied, waited_ms, "folds on from the state that was folded aside");
        Ok(applied)
    }
}

/// A store is to be moved, so nobody else may have it.
fn close(store: Store) -> Result<(), ProjectorError> {
    store.close().map_err(|store| {
        let dir = store.dir().display().to_string();
        StoreError::Locked { dir }.into()
    })
}

impl Projection for Machine {
    fn batch(&mut self, stopped: &watch::Receiver<bool>) -> Result<bool, ProjectorError> {
        if let Phase::Sealed(_) = self.live.partition.phase() {
            // A query found the store damaged.
            return Err(self.sealed());
        }
        self.answer_requests(stopped)?;
        let Some(folding) = &mut self.folding else { return Err(self.sealed()) };
        let folded = folding.batch(&mut self.live, stopped)?;
        // Past the last record there may be what is none: it is that far then, too, or who waits for it waits for ever.
        self.live.is_at(folding.position(), folding.follows());
        self.sweep_in = Duration::MAX;
        let is_too_soon = folded && self.swept.elapsed() < SWEEP_PAUSE;
        if self.live.partition.serves().is_err() || is_too_soon {
            return Ok(folded);
        }
        Ok(match folding.sweep(&mut self.live, stopped)? {
            Swept::Slice => {
                self.swept = Instant::now();
                true
            }
            Swept::Later(wait) => {
                self.sweep_in = wait;
                folded
            }
            Swept::Nothing => folded,
        })
    }

    fn idle(&mut self) -> Result<Idle, ProjectorError> {
        Ok(match self.until_tick()? {
            Idle::Wait(wait) => Idle::Wait(wait.min(self.sweep_in)),
            Idle::GoOn => Idle::GoOn,
        })
    }

    fn flush(&mut self) -> Result<(), ProjectorError> {
        if let Some(folding) = &self.folding {
            folding.store().flush()?;
        }
        Ok(())
    }

    fn news(&self) -> Vec<watch::Receiver<u64>> {
        let mut news = self.folding.as_ref().map_or_else(Vec::new, Folding::news);
        news.push(self.live.partition.0.requests.news());
        news
    }

    fn ready(&mut self, runtime: &Handle, stopped: &watch::Receiver<bool>) -> bool {
        let mut stopped = stopped.clone();
        while self.folding.is_none() && !*stopped.borrow() {
            let mut news = self.news();
            for news in &mut news {
                news.borrow_and_update();
            }
            match self.answer_requests(&stopped) {
                Ok(()) if self.folding.is_some() => {}
                Ok(()) => runtime.block_on(worker::changed(&mut news, &mut stopped, Duration::MAX)),
                Err(error) => self.sealed_by(&error),
            }
        }
        if self.folding.is_none() {
            self.live.partition.0.requests.close(&self.live.partition.phase());
        }
        self.folding.is_some()
    }

    fn sealed_by(&mut self, error: &ProjectorError) {
        let mut why = error.seals_receipts(self.live.partition.number());
        if error.is_lost() {
            self.live.partition.forget();
        }
        let in_hand = self.folding.as_ref().and_then(Folding::in_hand);
        if let (ProjectorError::Panicked(_), Some((topic, offset))) = (error, in_hand) {
            why.push_str(&format!(" (it was at offset {offset} of {topic})"));
        }
        self.ended(Phase::Sealed(why));
    }

    fn ended(&mut self, phase: Phase) {
        self.folding = None;
        if phase == Phase::Stopped {
            self.live.partition.0.requests.close(&phase);
        }
        self.live.partition.ended(phase);
    }
}

fn tick() -> NewRecord {
    let value = v1::ConversationEvent::from(&Event::Tick).encode_to_vec();
    NewRecord { key: None, value: Some(value.into()), headers: Vec::new() }
}
