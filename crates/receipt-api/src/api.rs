//! What all calls share: the log, the partitions, waiting for them, and reading them.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use receipt_domain::working_set::{Needs, satisfied};
use receipt_log::{Appended, Batch, Log};
use receipt_notifier::Inbox;
use receipt_projector::{Offsets, Partition, Unserved};
use receipt_store::{Store, StoreError, View};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tonic::Status;

use crate::{
    as_of::Asking, calls::Kinds, deadline::Deadline, error, panics, read_log, replays::Replays, serve::Context,
    snapshots::Snapshots, streams::Streams, token::Positions,
};

/// How long calls that wait may go on waiting once the server is to stop.
const STOPPING_GRACE: Duration = Duration::from_secs(1);

/// Why a partition was not at some offsets.
pub(crate) enum NotReached {
    /// The deadline came first.
    Behind,
    /// As many calls wait as may.
    TooManyWait {
        /// How many.
        max: usize,
    },
    /// It does not serve.
    Unserved(Unserved),
}

/// What the handlers work on.
pub(crate) struct Api {
    pub(crate) log: Log,
    pub(crate) partitions: Vec<Partition>,
    /// Held while a policy is appended, so that all partitions see the same sequence.
    pub(crate) policy_appends: Arc<Mutex<()>>,
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) streams: Arc<Streams>,
    calls: Kinds,
    pub(crate) replays: Replays,
    pub(crate) snapshots: Option<Arc<Snapshots>>,
    /// A permit for each stream that reads the log.
    pub(crate) log_streams: Arc<Semaphore>,
    pub(crate) asking: Arc<Asking>,
    /// Held by who reads the state of a conversation from a snapshot.
    pub(crate) conversation_states: Arc<Mutex<()>>,
    stopping: watch::Receiver<bool>,
}

impl Api {
    pub(crate) fn new(context: Context, stopping: watch::Receiver<bool>) -> Self {
        let Context { log, partitions, inboxes, stream_limits, call_limits, replay_dir, past, snapshots, .. } = context;
        Self {
            log,
            partitions,
            policy_appends: Arc::default(),
            inboxes,
            streams: Streams::new(stream_limits),
            calls: Kinds::new(call_limits),
            replays: Replays::new(replay_dir),
            snapshots,
            log_streams: Arc::new(Semaphore::new(read_log::STREAMS_MAX)),
            asking: Asking::new(past),
            conversation_states: Arc::default(),
            stopping,
        }
    }

    /// Turns true when the server is to stop.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }

    /// The partition with this number, if this node has it.
    pub(crate) fn partition(&self, number: u32) -> Result<&Partition, Unserved> {
        let at = usize::try_from(number).ok().and_then(|number| self.partitions.get(number));
        at.filter(|partition| partition.number() == number).ok_or(Unserved::CatchingUp)
    }

    /// Refuses what would wait for a partition that does not serve.
    pub(crate) fn check_serving(&self, number: u32) -> Result<(), Status> {
        let serving = self.partition(number).and_then(Partition::serves);
        serving.map_err(|why| error::unserved(number, &why).into())
    }

    /// Waits until a partition serves a state that includes these offsets.
    pub(crate) async fn reached(&self, number: u32, offsets: Offsets, deadline: Deadline) -> Result<(), NotReached> {
        let partition = self.partition(number).map_err(NotReached::Unserved)?;
        let mut reaching = std::pin::pin!(partition.reached(offsets));
        if let Some(reached) = reaching.as_mut().now_or_never() {
            return reached.map_err(NotReached::Unserved);
        }
        let waits = &self.calls.waits;
        let _place = waits.begin().ok_or(NotReached::TooManyWait { max: waits.max() })?;
        tokio::select! {
            biased;
            reached = tokio::time::timeout_at(deadline.instant(), reaching) => match reached {
                Ok(reached) => reached.map_err(NotReached::Unserved),
                Err(_) => Err(NotReached::Behind),
            },
            () = self.stopped() => Err(NotReached::Unserved(Unserved::Stopped)),
        }
    }

    /// Waits until what a write appended is part of the state.
    pub(crate) async fn applied(
        &self,
        number: u32,
        offsets: Offsets,
        deadline: Deadline,
        token: &str,
    ) -> Result<(), Status> {
        let reached = self.reached(number, offsets, deadline).await;
        reached.map_err(|why| error::not_reached(number, &why).durable(token).into())
    }

    /// The partition, once it serves a state that includes what the tokens of a query name (S29).
    pub(crate) async fn caught_up(
        &self,
        number: u32,
        positions: &Positions,
        deadline: Deadline,
    ) -> Result<Partition, NotReached> {
        self.reached(number, positions.of(number), deadline).await?;
        self.partition(number).cloned().map_err(NotReached::Unserved)
    }

    /// Appends, and waits for it no longer than the caller does.
    pub(crate) async fn append(&self, batches: Vec<Batch>, deadline: Deadline) -> Result<Vec<Vec<Appended>>, Status> {
        let appends = &self.calls.appends;
        let _place = appends.begin().ok_or_else(|| error::too_many_calls("append to the log", appends.max()))?;
        match tokio::time::timeout_at(deadline.instant(), self.log.append_many(batches)).await {
            Ok(appended) => appended.map_err(|error| error::log(&error)),
            Err(_) => Err(error::log_slow()),
        }
    }

    /// A place among the calls that read the state.
    pub(crate) fn begin_read(&self) -> Result<OwnedSemaphorePermit, Status> {
        let reads = &self.calls.reads;
        reads.begin().ok_or_else(|| error::too_many_calls("read the state", reads.max()).into())
    }

    /// Runs what reads the state on a thread that may wait for the disk.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let place = self.begin_read()?;
        blocking(move || {
            // Also of a call that its caller has given up.
            let _place = place;
            work()
        })
        .await
    }

    /// Returns when a call that waits must not wait any longer, as the server is to stop.
    pub(crate) async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // Nobody to say so is no reason to stop.
        if stopping.wait_for(|stopping| *stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(STOPPING_GRACE).await;
    }
}

/// Runs what reads the disk on a thread that may wait for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|why| Err(panics::joined(why)))
}

/// Asks one moment of a partition, and tells how far it was folded then.
pub(crate) fn ask<T>(
    partition: &Partition,
    question: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>,
) -> Result<(T, Offsets), Status> {
    let number = partition.number();
    let answer = partition.serve(|store| {
        ask_store(store, question).map_err(|error| {
            let status = error::store(number, &error);
            if error.is_corruption() {
                // While it has the store, so that it is not the one exchanged for it that is sealed.
                partition.seal(error);
            }
            status
        })
    });
    answer.map_err(|why| error::unserved(number, &why))?
}

/// Asks one moment of a store, and tells how far it was folded then.
pub(crate) fn ask_store<T>(
    store: &Store,
    question: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>,
) -> Result<(T, Offsets), StoreError> {
    let mut view = store.view()?;
    let progress = view.progress();
    let offsets = Offsets { conversations: progress.conversations_offset, reads: progress.reads_offset };
    question(&mut view).map(|answer| (answer, offsets))
}

/// One answer for each, or the needs of all.
pub(crate) fn gather<T, A>(items: &[T], answer: impl Fn(&T) -> Result<A, Needs>) -> Result<Vec<A>, Needs> {
    let mut answers = Vec::with_capacity(items.len());
    let mut needs = Needs::new();
    for item in items {
        match answer(item) {
            Ok(answer) => answers.push(answer),
            Err(more) => needs.extend(more),
        }
    }
    satisfied(needs).map(|()| answers)
}
