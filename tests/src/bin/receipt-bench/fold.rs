//! Receipts a second folded from a log that is already written, with deltas and without, beside a bare read of the same
//! log; and bytes on disk.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use prost::Message;
use receipt_ctl::dataset::{self, DataEvent, Kind};
use receipt_domain::settings::Settings;
use receipt_log::{Clock, EmbeddedOptions, Log, NewRecord, Topic};
use receipt_projector::{Offsets, Options, Projector, Replay, identity};
use receipt_store::{Resources, Store};
use tokio::sync::watch;

use crate::data;

const PARTITIONS: u32 = 4;
const ROUNDS: usize = 5;

pub(crate) fn run() -> anyhow::Result<()> {
    for (kind, file) in [(Kind::UbuntuIrc, "ubuntu-irc.tsv.gz"), (Kind::CollegeMsg, "college-msg.tsv.gz")] {
        measure(kind.name(), kind, &data(file))?;
    }
    Ok(())
}

/// A fresh log, on the engine that is measured.
pub(crate) fn open_log(dir: &Path) -> Log {
    let options = receipt_test_engine::options(&dir.join("log"), Clock::System);
    receipt_test_engine::open_blocking(EmbeddedOptions { partitions: PARTITIONS, ..options })
}

pub(crate) fn write(log: &Log, kind: Kind, file: &Path) -> anyhow::Result<u64> {
    let mut batches = Vec::new();
    let mut records = 0;
    for event in dataset::open(kind, file)? {
        let (topic, key, value) = match event? {
            DataEvent::Conversation(event) => {
                (Topic::Conversations, event.conversation_id.clone(), event.encode_to_vec())
            }
            DataEvent::Read(event) => (Topic::Reads, event.conversation_id.clone(), event.encode_to_vec()),
        };
        let partition = log.partition_for(key.as_bytes());
        let record = NewRecord::new(key.into_bytes(), value);
        batches.push((topic, partition, vec![record]));
        records += 1;
        if batches.len() == 1000 {
            log.append_many_blocking(std::mem::take(&mut batches))?;
        }
    }
    log.append_many_blocking(batches)?;
    Ok(records)
}

/// Reads all of a log that is already written, each partition on a thread of its own.
pub(crate) fn bare_read(log: &Log) -> anyhow::Result<(u64, Duration)> {
    let start = Instant::now();
    let mut threads = Vec::new();
    for partition in 0..PARTITIONS {
        let log = log.clone();
        threads.push(std::thread::spawn(move || -> anyhow::Result<u64> {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            let mut records = 0;
            for topic in [Topic::Conversations, Topic::Reads] {
                let (mut reader, end) = (log.reader(topic, partition, 0), log.end_offset(topic, partition));
                while reader.position() < end {
                    let batch = reader.poll(4096, 4 << 20)?;
                    if batch.is_empty() {
                        // Of a log elsewhere, which has not sent it yet.
                        runtime.block_on(reader.wait())?;
                    }
                    records += batch.len() as u64;
                }
            }
            Ok(records)
        }));
    }
    let mut records = 0;
    for thread in threads {
        records += thread.join().map_err(|_| anyhow::anyhow!("a reading thread panicked"))??;
    }
    Ok((records, start.elapsed()))
}

/// CPU seconds of this process so far.
pub(crate) fn cpu_s() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).context("/proc/self/stat");
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// What the whole projector made of a log.
pub(crate) struct Folded {
    pub(crate) took: Duration,
    pub(crate) cpu_s: f64,
    pub(crate) receipts: u64,
    messages: u64,
    disk_bytes: u64,
}

/// Folds a log into fresh stores, with all that follows from it.
pub(crate) fn whole(log: &Log, dir: PathBuf) -> anyhow::Result<Folded> {
    let runtime = tokio::runtime::Runtime::new()?;
    let options = Options { dir, settings: Settings::default(), resources: Resources::default(), clock: Clock::System };
    let (start, cpu) = (Instant::now(), cpu_s()?);
    let projector = Projector::start(log, &options, runtime.handle())?;
    for partition in projector.partitions() {
        let ends = ends(log, partition.number());
        runtime.block_on(partition.settled());
        runtime.block_on(partition.reached(ends)).map_err(|why| anyhow::anyhow!("{why:?}"))?;
    }
    let (took, cpu_s) = (start.elapsed(), cpu_s()? - cpu);
    let mut folded = Folded { took, cpu_s, receipts: 0, messages: 0, disk_bytes: 0 };
    for partition in projector.partitions() {
        let read = partition.with_store(|store| {
            let progress = store.view()?.progress().clone();
            store.flush()?;
            store.compact();
            anyhow::Ok((progress, store.disk_bytes()))
        });
        let (progress, disk_bytes) = read.context("a store")??;
        folded.receipts += progress.receipts;
        folded.messages += progress.messages;
        folded.disk_bytes += disk_bytes;
    }
    runtime.block_on(projector.stop());
    Ok(folded)
}

/// Folds a log into fresh stores without what follows from it, so without deltas, each partition on a thread of its own:
/// how long that took, by the clock and in seconds of CPU, and how many receipts there are.
fn replay(log: &Log, dir: &Path) -> anyhow::Result<(Duration, f64, u64)> {
    let runtime = tokio::runtime::Runtime::new()?;
    let resources = Resources::default();
    let (_stop, stopped) = watch::channel(false);
    let (start, cpu) = (Instant::now(), cpu_s()?);
    let mut threads = Vec::new();
    for partition in 0..log.partitions() {
        let identity = identity(log, partition, Settings::default());
        let store = Store::open(&dir.join(partition.to_string()), &resources, &identity)?;
        let (log, runtime, stopped) = (log.clone(), runtime.handle().clone(), stopped.clone());
        threads.push(std::thread::spawn(move || {
            let to = ends(&log, partition);
            Replay { log: &log, partition, store: &store, to }.run(&runtime, &stopped, |_, _| {}).map(|()| store)
        }));
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

/// Where a partition's input topics end.
pub(crate) fn ends(log: &Log, partition: u32) -> Offsets {
    Offsets {
        conversations: log.end_offset(Topic::Conversations, partition),
        reads: log.end_offset(Topic::Reads, partition),
    }
}

/// Each several times in turn, so that all meet the same machine; of each the median.
fn measure(name: &str, kind: Kind, file: &Path) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let log = open_log(dir.path());
    let records = write(&log, kind, file)?;
    let (mut bare, mut alone, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (read, time) = bare_read(&log)?;
        anyhow::ensure!(read == records, "{read} of {records} records read");
        bare.push(time);
        let (time, cpu_s, receipts) = replay(&log, &dir.path().join(format!("alone-{round}")))?;
        alone.push((time, cpu_s));
        let folded = whole(&log, dir.path().join(format!("whole-{round}")))?;
        anyhow::ensure!(receipts == folded.receipts, "{receipts} receipts without deltas, {} with", folded.receipts);
        all.push(folded);
    }
    bare.sort();
    alone.sort_by_key(|(time, _)| *time);
    all.sort_by_key(|folded| folded.took);
    report(name, records, bare[ROUNDS / 2], alone[ROUNDS / 2], &all[ROUNDS / 2]);
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn report(name: &str, records: u64, bare: Duration, (alone, alone_cpu_s): (Duration, f64), all: &Folded) {
    let per = |n: u64, time: Duration| n as f64 / time.as_secs_f64();
    let over = |time: Duration, other: Duration| time.as_secs_f64() / other.as_secs_f64();
    let Folded { took, cpu_s, receipts, messages, disk_bytes } = all;
    println!("{name}: {records} records, {messages} messages, {receipts} receipts; medians of {ROUNDS}");
    println!("  bare read of the log   {:8.2} s  {:>10.0} records/s", bare.as_secs_f64(), per(records, bare));
    for (what, time, cpu_s) in [("without deltas", alone, alone_cpu_s), ("folded", *took, *cpu_s)] {
        println!(
            "  {what:22} {:8.2} s  {:>10.0} records/s  {:>10.0} receipts/s  {cpu_s:.2} CPU s  {:6.1} times a bare read",
            time.as_secs_f64(),
            per(records, time),
            per(*receipts, time),
            over(time, bare)
        );
    }
    let (time, cpu) = (1.0 - over(alone, *took), 1.0 - alone_cpu_s / cpu_s);
    println!("  deltas                 {:8.0} % of the time, {:.0} % of the CPU", 100.0 * time, 100.0 * cpu);
    println!("  on disk                {disk_bytes} bytes, {:.2} a receipt", *disk_bytes as f64 / *receipts as f64);
}
