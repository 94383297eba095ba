//! The fold alone: the loop of a partition without what follows from a batch, so without deltas.

use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use receipt_codec::row::identity::Identity;
use receipt_domain::{
    event::Record,
    fold::{Advance, Fold},
    settings::Settings,
};
use receipt_log::{Log, Reader, StoredRecord, Topic};
use receipt_projector::BATCH_RECORDS_MAX;
use receipt_proto::{decode_conversation_record, decode_read_record};
use receipt_store::{Resources, Store};

use crate::fold::cpu_s;

/// As the projector has it.
const BATCH_MESSAGES_MAX: usize = 20_000;
const AHEAD_RECORDS_MAX: usize = 4096;
const AHEAD_BYTES_MAX: usize = 4 << 20;

/// Folds a log into fresh stores, each partition on a thread of its own: how long that took, by the clock and in seconds
/// of CPU, and how many receipts there are.
pub(crate) fn fold(log: &Log, dir: &Path) -> anyhow::Result<(Duration, f64, u64)> {
    let resources = Resources::default();
    let (start, cpu) = (Instant::now(), cpu_s()?);
    let mut threads = Vec::new();
    for number in 0..log.partitions() {
        let identity = Identity {
            log_id: *log.id().as_bytes(),
            partition: number,
            partitions: log.partitions(),
            settings: Settings::default(),
            origin: log.origin(),
        };
        let store = Store::open(&dir.join(number.to_string()), &resources, &identity)?;
        let log = log.clone();
        threads.push(std::thread::spawn(move || partition(&log, number, &store).map(|()| store)));
    }
    // They are closed after the time is taken, as that writes them to files.
    let mut stores = Vec::new();
    for thread in threads {
        stores.push(thread.join().ok().context("a folding thread panicked")??);
    }
    let (took, cpu_s) = (start.elapsed(), cpu_s()? - cpu);
    let mut receipts = 0;
    for store in stores {
        receipts += store.view()?.progress().receipts;
    }
    Ok((took, cpu_s, receipts))
}

/// A topic's records, read ahead.
struct Side {
    reader: Reader,
    ahead: VecDeque<StoredRecord>,
}

impl Side {
    fn fill(&mut self) -> anyhow::Result<Option<u64>> {
        if self.ahead.is_empty() {
            self.ahead = self.reader.poll(AHEAD_RECORDS_MAX, AHEAD_BYTES_MAX)?.into();
        }
        Ok(self.ahead.front().map(|record| record.timestamp_ms.unwrap_or_default()))
    }
}

fn partition(log: &Log, number: u32, store: &Store) -> anyhow::Result<()> {
    let mut fold = Fold::new(*store.settings(), store.working_set()?);
    let side = |topic| Side { reader: log.reader(topic, number, 0), ahead: VecDeque::new() };
    let (mut conversations, mut reads) = (side(Topic::Conversations), side(Topic::Reads));
    let mut records = 0;
    loop {
        // The older first.
        let of_reads = match (conversations.fill()?, reads.fill()?) {
            (Some(event), Some(read)) => read < event,
            (event, _) => event.is_none(),
        };
        let side = if of_reads { &mut reads } else { &mut conversations };
        let Some(record) = side.ahead.pop_front() else { break };
        let (offset, arrival_ms) = (record.offset, record.timestamp_ms.unwrap_or_default());
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        if of_reads {
            fold.take_reads(Record { offset, arrival_ms, event: decode_read_record(key, value) });
        } else {
            fold.take_conversations(Record { offset, arrival_ms, event: decode_conversation_record(key, value) });
        }
        advance(store, &mut fold)?;
        records += 1;
        if records == BATCH_RECORDS_MAX || fold.rows.messages.len() >= BATCH_MESSAGES_MAX {
            write(store, &mut fold)?;
            records = 0;
        }
    }
    write(store, &mut fold)
}

fn advance(store: &Store, fold: &mut Fold) -> anyhow::Result<()> {
    loop {
        match fold.advance() {
            Advance::Done(_) => return Ok(()),
            Advance::Needs(needs) => store.load(&needs, &mut fold.rows)?,
            Advance::Stepped => {
                if fold.rows.messages.len() >= BATCH_MESSAGES_MAX && fold.may_pause() {
                    write(store, fold)?;
                }
            }
        }
    }
}

fn write(store: &Store, fold: &mut Fold) -> anyhow::Result<()> {
    store.commit(&mut fold.rows)?;
    drop(std::mem::take(&mut fold.effects));
    Ok(())
}
