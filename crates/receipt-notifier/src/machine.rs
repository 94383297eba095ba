//! The fold of one partition of receipts.deltas: decode, join, write, wake.

use std::time::Duration;

use metrics::counter;
use prost::Message;
use receipt_domain::{
    effects::Delta,
    id::UserId,
    inbox::{InboxDelta, InboxProgress},
};
use receipt_log::{Log, Reader, StoredRecord, Topic};
use receipt_projector::{Idle, Phase, Projection, ProjectorError, answer};
use receipt_proto::{delta, v1};
use receipt_store::InboxStore;
use tokio::{runtime::Handle, sync::watch};

use crate::inbox::{Checkpoint, Inbox};

/// Records of one batch, at most.
const BATCH_RECORDS_MAX: usize = 4096;
/// Records of one batch, at least: so few are one however little memory they may take.
const BATCH_RECORDS_MIN: usize = 64;
/// Bytes of one batch as it stands in the log, at most.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// What a delta may come to in memory, about: an entry with 100 readers whose ids are as long as may be, and its write.
const ENTRY_BYTES_MAX: usize = 32 << 10;

pub(crate) struct Machine {
    store: InboxStore,
    inbox: Inbox,
    reader: Reader,
    progress: InboxProgress,
    /// The log's end when it started: it serves once it is there (R2).
    serve_from: u64,
}

impl Machine {
    /// Over a store, checked against its log (R7).
    pub(crate) fn new(log: &Log, store: InboxStore, inbox: Inbox) -> Result<Self, ProjectorError> {
        let (number, topic) = (inbox.number(), Topic::Deltas);
        let progress = store.progress()?;
        let (start, end) = (log.start_offset(topic, number), log.end_offset(topic, number));
        let applied = progress.offset;
        if applied > end {
            return Err(ProjectorError::AheadOfLog { topic: topic.name(), applied, end, dir: store.dir().to_owned() });
        }
        if applied < start {
            return Err(ProjectorError::TrimmedPast {
                topic: topic.name(),
                applied,
                start,
                dir: store.dir().to_owned(),
            });
        }
        let reader = log.reader_after(topic, number, applied, progress.epoch);
        let machine = Self { store, inbox, reader, progress, serve_from: end };
        machine.publish();
        Ok(machine)
    }

    fn publish(&self) {
        // Past its last record there may be what is none, as a marker of a transaction.
        let applied_offset = self.reader.position();
        // Not only once the last record is read back: what is told in that moment is what was told before.
        let serves = applied_offset >= self.serve_from;
        self.inbox.0.state.send_modify(|state| {
            state.applied_offset = applied_offset;
            if serves && state.phase == Phase::CatchingUp {
                state.phase = Phase::Serving;
            }
        });
    }

    fn take(&mut self, record: &StoredRecord) -> Option<(UserId, InboxDelta)> {
        self.progress.offset = record.offset + 1;
        self.progress.epoch = record.leader_epoch;
        self.progress.log_time_ms = self.progress.log_time_ms.max(record.timestamp_ms.unwrap_or_default());
        match decode(record) {
            Ok((Delta { sender, change }, token)) => {
                let log_time_ms = self.progress.log_time_ms;
                Some((sender, InboxDelta { offset: record.offset, log_time_ms, change, token }))
            }
            Err(why) => {
                // Only the service writes here, so nobody waits to have it mended: it is counted, and passed over (R8).
                tracing::warn!(partition = self.inbox.number(), offset = record.offset, why, "no delta");
                counter!("receiptd_deltas_undecodable_total").increment(1);
                None
            }
        }
    }
}

fn decode(record: &StoredRecord) -> Result<(Delta, String), String> {
    let value = record.value.as_deref().ok_or("no value")?;
    let mut message = v1::ReceiptDelta::decode(value).map_err(|why| why.to_string())?;
    let token = std::mem::take(&mut message.consistency_token);
    let delta = delta(message).map_err(|why| why.to_string())?;
    Ok((delta, token))
}

impl Projection for Machine {
    fn batch(&mut self, _stopped: &watch::Receiver<bool>) -> Result<bool, ProjectorError> {
        if let Phase::Sealed(why) = self.inbox.phase() {
            // A stream found the store damaged.
            return Err(ProjectorError::Sealed(why));
        }
        while let Some(Checkpoint { dir, done }) = self.inbox.0.requests.take() {
            answer(done, || Ok(self.store.checkpoint(&dir)?))?;
        }
        let before = self.reader.position();
        let batch_bytes = self.store.batch_bytes();
        let records = (batch_bytes / ENTRY_BYTES_MAX).clamp(BATCH_RECORDS_MIN, BATCH_RECORDS_MAX);
        let records = self.reader.poll(records, BATCH_BYTES_MAX.min(batch_bytes))?;
        if records.is_empty() {
            if self.reader.position() != before {
                self.publish();
            }
            return Ok(false);
        }
        let deltas: Vec<_> = records.iter().filter_map(|record| self.take(record)).collect();
        if let Some(first) = records.first() {
            let arrival_ms = first.timestamp_ms.unwrap_or_default();
            self.inbox.folds(first.offset, arrival_ms, self.progress.log_time_ms);
        }
        let changed = self.store.apply(deltas, &self.progress)?;
        counter!("receiptd_inboxes_changed_total").increment(changed.len() as u64);
        self.publish();
        for sender in &changed {
            self.inbox.0.wakeups.wake(sender);
        }
        Ok(true)
    }

    fn idle(&mut self) -> Result<Idle, ProjectorError> {
        Ok(Idle::Wait(Duration::MAX))
    }

    fn flush(&mut self) -> Result<(), ProjectorError> {
        self.store.flush()?;
        Ok(())
    }

    fn news(&self) -> Vec<watch::Receiver<u64>> {
        vec![self.reader.news(), self.inbox.0.requests.news()]
    }

    fn ready(&mut self, _: &Handle, stopped: &watch::Receiver<bool>) -> bool {
        // What is sealed stays so until the next start.
        !matches!(self.inbox.phase(), Phase::Sealed(_)) && !*stopped.borrow()
    }

    fn sealed_by(&mut self, error: &ProjectorError) {
        self.ended(Phase::Sealed(error.seals_inboxes(self.store.dir())));
    }

    fn ended(&mut self, phase: Phase) {
        self.inbox.ended(phase);
    }
}
