//! Receipts a second folded from a log that is already written, beside a bare read of the same log; and bytes on disk.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use prost::Message;
use receipt_ctl::dataset::{self, DataEvent, Kind};
use receipt_domain::settings::Settings;
use receipt_log::{Clock, EmbeddedOptions, Log, NewRecord, Topic};
use receipt_projector::{Offsets, Options, Projector};
use receipt_store::Resources;

use crate::data;

const PARTITIONS: u32 = 4;

pub(crate) fn run() -> anyhow::Result<()> {
    for (kind, file) in [(Kind::UbuntuIrc, "ubuntu-irc.tsv.gz"), (Kind::CollegeMsg, "college-msg.tsv.gz")] {
        measure(kind.name(), kind, &data(file))?;
    }
    Ok(())
}

/// A fresh log and store directory.
pub(crate) fn open_log(dir: &Path) -> anyhow::Result<Log> {
    Ok(Log::open_embedded(EmbeddedOptions {
        dir: dir.join("log"),
        partitions: PARTITIONS,
        retention_ms: 0,
        accept_clock_jump: true,
        clock: Clock::System,
    })?)
}

fn write(log: &Log, kind: Kind, file: &Path) -> anyhow::Result<u64> {
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

fn bare_read(log: &Log) -> anyhow::Result<(u64, Duration)> {
    let start = Instant::now();
    let mut threads = Vec::new();
    for partition in 0..PARTITIONS {
        let log = log.clone();
        threads.push(std::thread::spawn(move || -> anyhow::Result<u64> {
            let mut records = 0;
            for topic in [Topic::Conversations, Topic::Reads] {
                let mut reader = log.reader(topic, partition, 0);
                loop {
                    let batch = reader.poll(4096, 4 << 20)?;
                    if batch.is_empty() {
                        break;
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

#[allow(clippy::cast_precision_loss)]
fn measure(name: &str, kind: Kind, file: &Path) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let log = open_log(dir.path())?;
    let records = write(&log, kind, file)?;
    let (read, bare) = bare_read(&log)?;
    anyhow::ensure!(read == records, "{read} of {records} records read");
    let runtime = tokio::runtime::Runtime::new()?;
    let options = Options {
        dir: dir.path().join("receipts"),
        settings: Settings::default(),
        resources: Resources::default(),
        clock: Clock::System,
    };
    let (start, cpu) = (Instant::now(), cpu_s()?);
    let projector = Projector::start(&log, &options, runtime.handle())?;
    for partition in projector.partitions() {
        let number = partition.number();
        let ends = Offsets {
            conversations: log.end_offset(Topic::Conversations, number),
            reads: log.end_offset(Topic::Reads, number),
        };
        runtime.block_on(partition.settled());
        runtime.block_on(partition.reached(ends)).map_err(|why| anyhow::anyhow!("{why:?}"))?;
    }
    let (folding, cpu) = (start.elapsed(), cpu_s()? - cpu);
    let (mut receipts, mut messages, mut bytes) = (0, 0, 0);
    for partition in projector.partitions() {
        let store = partition.store().context("a store")?;
        let progress = store.view()?.progress().clone();
        receipts += progress.receipts;
        messages += progress.messages;
        store.flush()?;
        store.compact();
        bytes += store.disk_bytes();
    }
    let per = |n: u64, time: Duration| n as f64 / time.as_secs_f64();
    println!("{name}: {records} records, {messages} messages, {receipts} receipts");
    println!("  bare read of the log   {:8.2} s  {:>10.0} records/s", bare.as_secs_f64(), per(records, bare));
    println!(
        "  folded                 {:8.2} s  {:>10.0} records/s  {:>10.0} receipts/s  {cpu:.2} CPU s",
        folding.as_secs_f64(),
        per(records, folding),
        per(receipts, folding)
    );
    println!("  time over a bare read  {:8.1}", folding.as_secs_f64() / bare.as_secs_f64());
    println!("  on disk                {bytes} bytes, {:.2} a receipt", bytes as f64 / receipts as f64);
    runtime.block_on(projector.stop());
    Ok(())
}
