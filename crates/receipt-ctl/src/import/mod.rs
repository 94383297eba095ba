//! Plays a data set into a server, and goes on where it stopped.
//!
//! Events are taken in the file's order, in chunks of what one call may hold. Of conversation events one call is in
//! flight at a time, so each conversation keeps its order, also when a call is sent again. A chunk's reads need no order
//! and go beside them, a few chunks at a time. A chunk counts as done when both are acknowledged, and all before it.

mod chunk;
mod send;
mod state;

use std::{
    collections::VecDeque,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use flate2::Crc;
use receipt_ctl::dataset::{self, Kind};
use tokio::task::JoinHandle;

use self::{chunk::Chunk, send::Sender, state::State};
use crate::{client::Receipts, progress::Progress};

/// How many chunks' reads may be in flight.
const CHUNKS_IN_FLIGHT: usize = 4;
/// How often the state file is written.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// What is to be imported.
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) file: PathBuf,
    pub(crate) file_len: u64,
    pub(crate) file_crc32: u32,
    /// Events in all.
    pub(crate) events: u64,
}

impl Plan {
    /// Reads the whole file once: it has to be right before anything is sent.
    pub(crate) fn of(kind: Kind, file: PathBuf) -> anyhow::Result<Self> {
        let what = || format!("{}", file.display());
        let mut bytes = Vec::new();
        File::open(&file).and_then(|mut file| file.read_to_end(&mut bytes)).with_context(what)?;
        let mut crc = Crc::new();
        crc.update(&bytes);
        let mut events = 0;
        for event in dataset::open(kind, &file).with_context(what)? {
            event.with_context(what)?;
            events += 1;
        }
        Ok(Self { kind, file_len: bytes.len().try_into()?, file_crc32: crc.sum(), events, file })
    }
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Events that had been acknowledged before.
    pub(crate) resumed_at: u64,
    pub(crate) conversation_events: u64,
    pub(crate) read_events: u64,
    pub(crate) retries: u64,
    pub(crate) elapsed: Duration,
    /// The last of either topic: a query with both is answered from a state that has everything.
    pub(crate) tokens: Vec<String>,
}

/// A chunk's reads on their way, and where the chunk ends.
struct InFlight {
    end: u64,
    reads: JoinHandle<anyhow::Result<String>>,
}

/// An import that is under way.
struct Run<'a> {
    state_file: &'a Path,
    state: State,
    saved: Instant,
    in_flight: VecDeque<InFlight>,
    progress: Progress,
    done: Done,
}

/// Imports what `plan` says, from where the state file says; `quiet`: without a progress bar.
pub(crate) async fn run(client: &Receipts, plan: &Plan, state_file: &Path, quiet: bool) -> anyhow::Result<Done> {
    let start = Instant::now();
    let progress = Progress::new("events", plan.events, quiet);
    let sender = Sender::new(client.clone(), progress.clone());
    let state = state::resume(state_file, plan, &sender).await?;
    let mut run = Run {
        state_file,
        saved: start,
        in_flight: VecDeque::new(),
        done: Done { resumed_at: state.position, ..Done::default() },
        progress: progress.clone(),
        state,
    };
    progress.start_at(run.state.position);
    let sent = run.send_all(&sender, plan).await;
    run.state.save(state_file)?;
    sent.with_context(|| {
        let position = run.state.position;
        format!("stopped at event {position} of {}; run it again to go on from there", plan.events)
    })?;
    progress.finish();
    let mut done = run.done;
    done.tokens =
        [run.state.conversations_token, run.state.reads_token].into_iter().filter(|t| !t.is_empty()).collect();
    done.retries = sender.retries();
    done.elapsed = start.elapsed();
    Ok(done)
}

impl Run<'_> {
    async fn send_all(&mut self, sender: &Sender, plan: &Plan) -> anyhow::Result<()> {
        let mut chunks = chunk::read(plan.kind, plan.file.clone(), self.state.position);
        while let Some(chunk) = chunks.recv().await {
            let Chunk { end, conversations, reads, last_message } = chunk?;
            self.done.conversation_events += u64::try_from(conversations.len())?;
            self.done.read_events += u64::try_from(reads.len())?;
            let reader = sender.clone();
            let reads = tokio::spawn(async move { reader.reads(reads).await });
            self.in_flight.push_back(InFlight { end, reads });
            let token = sender.conversations(conversations).await?;
            self.state.acknowledged(token, last_message);
            while self.in_flight.len() > CHUNKS_IN_FLIGHT {
                self.wait_for_first().await?;
            }
        }
        while !self.in_flight.is_empty() {
            self.wait_for_first().await?;
        }
        Ok(())
    }

    /// Waits for the reads of the oldest chunk in flight; its conversation events are acknowledged.
    async fn wait_for_first(&mut self) -> anyhow::Result<()> {
        let Some(InFlight { end, reads }) = self.in_flight.pop_front() else { return Ok(()) };
        let token = reads.await??;
        if !token.is_empty() {
            self.state.reads_token = token;
        }
        self.state.position = end;
        self.progress.at(end);
        if self.saved.elapsed() >= SAVE_EVERY {
            self.state.save(self.state_file)?;
            self.saved = Instant::now();
        }
        Ok(())
    }
}
