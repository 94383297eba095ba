//! All partitions of the inbox projection, each on a thread of its own.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use receipt_codec::row::identity::Identity;
use receipt_domain::settings::Settings;
use receipt_log::Log;
use receipt_projector::{Phase, ProjectorError, Requests, Threads, settle};
use receipt_store::{InboxStore, Resources};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    inbox::{Inbox, Shared, State},
    machine::Machine,
    wakeups::Wakeups,
};

/// How to fold the deltas.
pub struct Options {
    /// The stores' directory, one below it for each partition.
    pub dir: PathBuf,
    /// How long entries live.
    pub settings: Settings,
    /// Memory that the stores share.
    pub resources: Resources,
}

/// The running inbox projection.
pub struct Notifier {
    inboxes: Vec<Inbox>,
    threads: Threads,
}

impl Notifier {
    /// Opens all stores and starts folding. A partition that can't be right is sealed, and the others go on (R7).
    ///
    /// # Errors
    /// If a thread can't be started.
    pub fn start(log: &Log, options: &Options, runtime: &Handle) -> Result<Self, ProjectorError> {
        let mut notifier = Self { inboxes: Vec::new(), threads: Threads::new() };
        for number in 0..log.partitions() {
            let (inbox, machine) = open(log, options, number);
            if let Some(machine) = machine {
                notifier.threads.spawn(format!("inbox-{number}"), machine, runtime)?;
            }
            notifier.inboxes.push(inbox);
        }
        Ok(notifier)
    }

    /// Its partitions, by number.
    #[must_use]
    pub fn inboxes(&self) -> &[Inbox] {
        &self.inboxes
    }

    /// Stops folding, makes everything durable, and ends the threads.
    pub async fn stop(self) {
        self.threads.stop().await;
    }
}

fn open(log: &Log, options: &Options, number: u32) -> (Inbox, Option<Machine>) {
    let identity = Identity {
        log_id: *log.id().as_bytes(),
        partition: number,
        partitions: log.partitions(),
        settings: options.settings,
        origin: log.origin(),
    };
    // As a restore that was interrupted at its end leaves it.
    let settled = settle(&options.dir, number);
    let dir = options.dir.join(number.to_string());
    let store = settled.and_then(|()| Ok(InboxStore::open(&dir, &options.resources, &identity)?));
    let applied_offset = store.as_ref().map_or(0, InboxStore::durable_offset);
    let (state, _) = watch::channel(State { applied_offset, phase: Phase::CatchingUp });
    let store_of = store.as_ref().ok().cloned();
    let inbox = Inbox(Arc::new(Shared {
        number,
        store: store_of,
        log: log.clone(),
        wakeups: Wakeups::default(),
        requests: Requests::default(),
        state,
        arrivals: Mutex::default(),
        asking: tokio::sync::Mutex::default(),
    }));
    let machine = store.and_then(|store| Machine::new(log, store, inbox.clone()));
    match machine {
        Ok(machine) => (inbox, Some(machine)),
        Err(error) => {
            inbox.ended(Phase::Sealed(error.seals_inboxes(&dir)));
            (inbox, None)
        }
    }
}
