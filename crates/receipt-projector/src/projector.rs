//! All partitions of a node, each on a thread of its own.

use std::{
    path::PathBuf,
    sync::{Arc, RwLock},
};

use receipt_codec::row::identity::Identity;
use receipt_domain::settings::Settings;
use receipt_log::{Clock, Log};
use receipt_store::Resources;
use tokio::{runtime::Handle, sync::watch};

use crate::{
    error::ProjectorError,
    machine::{Home, Machine},
    partition::{Offsets, Partition, Phase, Shared, State},
    requests::Requests,
    threads::Threads,
    verdicts::Verdicts,
};

/// How to fold a log.
pub struct Options {
    /// The stores' directory, one below it for each partition.
    pub dir: PathBuf,
    /// What changes the state.
    pub settings: Settings,
    /// Memory that the stores share.
    pub resources: Resources,
    /// For ticks.
    pub clock: Clock,
}

/// The running receipt projection.
pub struct Projector {
    partitions: Vec<Partition>,
    threads: Threads,
}

impl Projector {
    /// Opens all stores and starts folding. A partition that can't be right is sealed, and the others go on (R7).
    ///
    /// # Errors
    /// If a thread can't be started.
    pub fn start(log: &Log, options: &Options, runtime: &Handle) -> Result<Self, ProjectorError> {
        let mut projector = Self { partitions: Vec::new(), threads: Threads::new() };
        for number in 0..log.partitions() {
            let (partition, machine) = open(log, options, number, runtime);
            projector.threads.spawn(format!("fold-{number}"), machine, runtime)?;
            projector.partitions.push(partition);
        }
        Ok(projector)
    }

    /// Its partitions, by number.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// Stops folding, makes everything durable, and ends the threads.
    pub async fn stop(self) {
        self.threads.stop().await;
    }
}

/// Of the store of a log's partition.
#[must_use]
pub fn identity(log: &Log, partition: u32, settings: Settings) -> Identity {
    Identity { log_id: *log.id().as_bytes(), partition, partitions: log.partitions(), settings, origin: log.origin() }
}

fn open(log: &Log, options: &Options, number: u32, runtime: &Handle) -> (Partition, Machine) {
    let identity = identity(log, number, options.settings);
    let home = Home { stores: options.dir.clone(), resources: options.resources.clone(), identity };
    let store = home.open();
    let applied = store.as_ref().map_or_else(|_| Offsets::default(), |store| Offsets::of(store.durable()));
    let (state, _) = watch::channel(State { applied, phase: Phase::CatchingUp });
    let partition = Partition(Arc::new(Shared {
        identity: home.identity.clone(),
        store: RwLock::new(store.as_ref().ok().cloned()),
        requests: Requests::default(),
        verdicts: Verdicts::from(applied.conversations),
        state,
    }));
    let machine = Machine::new(log.clone(), store, partition.clone(), home, options.clock.clone(), runtime.clone());
    (partition, machine)
}
