//! What follows from a batch must be in the log before the batch is written: so it is tried until the log takes it.

use std::{collections::BTreeMap, thread, time::Duration};

use receipt_log::{Batch, ErrorKind, Log, NewRecord, Topic};
use tokio::sync::watch;

use crate::error::ProjectorError;

/// Bytes that are appended at a time, about. The log takes them in one write, so that nobody waits long behind them.
const SLICE_BYTES: usize = 4 << 20;
/// Between two tries. An append to a log that does not answer takes seconds to fail anyway.
const PAUSE: Duration = Duration::from_millis(200);

/// Appends records a slice at a time, so that their bytes need not be in memory all at once (R8). What a failed try has
/// appended stands twice then, and so does what was appended before a crash: joins make that harmless (R6).
pub(crate) struct Appending<'a> {
    log: &'a Log,
    stopped: &'a watch::Receiver<bool>,
    waiting: BTreeMap<(Topic, u32), Vec<NewRecord>>,
    waiting_bytes: usize,
}

impl<'a> Appending<'a> {
    /// To this log, until it is to stop.
    pub(crate) fn new(log: &'a Log, stopped: &'a watch::Receiver<bool>) -> Self {
        Self { log, stopped, waiting: BTreeMap::new(), waiting_bytes: 0 }
    }

    /// Takes a record, and appends those taken where they are a slice.
    pub(crate) fn add(&mut self, topic: Topic, partition: u32, record: NewRecord) -> Result<(), ProjectorError> {
        self.waiting_bytes += record.bytes();
        self.waiting.entry((topic, partition)).or_default().push(record);
        if self.waiting_bytes >= SLICE_BYTES { self.append() } else { Ok(()) }
    }

    /// Appends what was taken; returns when the log has all of it.
    pub(crate) fn append(&mut self) -> Result<(), ProjectorError> {
        self.waiting_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let batches: Vec<_> = waiting.map(|((topic, partition), records)| (topic, partition, records)).collect();
        if batches.is_empty() { Ok(()) } else { until_taken(self.log, &batches, self.stopped) }
    }
}

fn until_taken(log: &Log, batches: &[Batch], stopped: &watch::Receiver<bool>) -> Result<(), ProjectorError> {
    let mut refused = false;
    loop {
        match log.append_many_blocking(batches.to_vec()) {
            Ok(_) => {
                if refused {
                    tracing::info!("deltas and dead letters are taken again");
                }
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Retry => {
                // A log that is closed takes nothing any more.
                if *stopped.borrow() || log.is_closed() {
                    return Err(ProjectorError::Stopped);
                }
                // Once, and not at each try.
                if !std::mem::replace(&mut refused, true) {
                    tracing::warn!(%error, "deltas or dead letters are not taken; trying again until they are");
                }
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
