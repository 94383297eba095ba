//! A load: senders who are subscribed, and reads of their messages at a steady rate.

mod check;
mod drive;
mod plan;
mod process;
mod publish;
mod report;
mod streams;
mod tally;
mod view;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

pub(crate) use self::{plan::Plan, report::Report};
use self::{report::Usages, tally::Tally, view::View};
use crate::client;

/// How long memory is left to settle before it is read.
const SETTLE: Duration = Duration::from_secs(2);

/// What is measured besides the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// Connections for the streams (more where they do not suffice), and as many for the reads.
    pub(crate) connections: usize,
    pub(crate) server_pid: Option<u32>,
    /// How long the streams may take to tell the last change.
    pub(crate) patience: Duration,
    /// Without a view.
    pub(crate) quiet: bool,
}

/// What the tasks of a load share.
pub(crate) struct Shared {
    plan: Plan,
    start: OnceLock<Instant>,
    tally: Mutex<Tally>,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_at(&self, start: Instant) -> Instant {
        *self.start.get_or_init(|| start)
    }

    /// Zero before the start.
    fn since_start(&self) -> Duration {
        self.start.get().map_or(Duration::ZERO, |start| Instant::now().saturating_duration_since(*start))
    }
}

/// Runs it all: publish, subscribe, read, check.
pub(crate) async fn run(addr: &str, plan: Plan, setup: Setup) -> anyhow::Result<Report> {
    let tally = Mutex::new(Tally::new(&plan)?);
    let shared = Arc::new(Shared { plan, start: OnceLock::new(), tally });
    let plan = &shared.plan;
    let view = View::start(&shared, setup.quiet);
    view.say(&format!("publishing {} groups of {} and {} messages", plan.groups, plan.members, plan.messages()));
    let client = client::receipts(addr)?;
    publish::publish(&client, plan).await?;

    let usage = async || match setup.server_pid {
        Some(pid) => {
            tokio::time::sleep(SETTLE).await;
            process::usage(pid).map(Some)
        }
        None => Ok(None),
    };
    let before = usage().await?;
    view.say(&format!("opening {} streams", plan.senders));
    let streams = streams::open(&shared, addr, setup.connections).await?;
    let open = usage().await?;

    view.say(&format!("{} reads, {} a second", plan.reads, plan.rate));
    let clients = (0..setup.connections).map(|_| client::receipts(addr)).collect::<anyhow::Result<Vec<_>>>()?;
    let took = drive::drive(&shared, clients).await?;
    let end = setup.server_pid.map(process::usage).transpose()?;
    let usages = before.zip(open).zip(end).map(|((before, open), end)| Usages { before, open, end });

    view.say("comparing what the senders were told last with the state");
    let differences = check::differences(&shared, &client, setup.patience).await?;
    Ok(Report::new(&shared, streams.connections, took, usages, differences))
}
