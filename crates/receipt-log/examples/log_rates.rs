//! Measures the embedded log on this machine: `cargo run --release -p receipt-log --example log_rates -- [DIR]`.
//!
//! Records have a key of 16 bytes and a value of 64. DIR should be on the disk that counts; without one, a temporary
//! directory is used.

use std::path::PathBuf;
use std::time::Instant;

use receipt_log::{Clock, EmbeddedOptions, Log, LogError, NewRecord, Topic};

const RECORDS: usize = 2_000_000;
const BATCH: usize = 1_000;
const PARTITION: u32 = 0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temporary = tempfile::tempdir()?;
    let dir = std::env::args().nth(1).map_or_else(|| temporary.path().to_path_buf(), PathBuf::from);
    let options =
        EmbeddedOptions { dir, partitions: 8, retention_ms: 0, accept_clock_jump: false, clock: Clock::System };
    let log = Log::open_embedded(options.clone())?;
    one_at_a_time(&log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    for callers in [32, 1_000] {
        runtime.block_on(at_once(&log, callers, 1, 20_000))?;
    }
    runtime.block_on(at_once(&log, 32, 100, 1_000_000))?;
    bulk(&log)?;
    read("read, just written", &log)?;
    log.close()?;
    read("read, from files", &log)?;
    read("read, from files again", &log)?;
    println!("{:<40} {:>12.1} MiB", "disk", log.disk_bytes() as f64 / 1024.0 / 1024.0);
    drop((log, runtime));
    let started = Instant::now();
    Log::open_embedded(options)?;
    println!("{:<40} {:>12.1} ms", "open again", started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn records(count: usize) -> Vec<NewRecord> {
    let record = |n: usize| NewRecord::new(format!("conversation{:04}", n % 1_000), vec![n.to_le_bytes()[0]; 64]);
    (0..count).map(record).collect()
}

fn report(what: &str, count: usize, started: Instant) {
    println!("{what:<40} {:>12.0} records/s", count as f64 / started.elapsed().as_secs_f64());
}

fn one_at_a_time(log: &Log) -> Result<(), LogError> {
    let started = Instant::now();
    for record in records(1_000) {
        log.append_blocking(Topic::Reads, 1, vec![record])?;
    }
    report("append, one caller, one record", 1_000, started);
    Ok(())
}

async fn at_once(log: &Log, callers: usize, batch: usize, total: usize) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let each = total / callers / batch;
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    log.append(Topic::Reads, 2, records(batch)).await?;
                }
                Ok::<_, LogError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    report(&format!("append, {callers} callers, {batch} records each"), each * callers * batch, started);
    Ok(())
}

fn bulk(log: &Log) -> Result<(), LogError> {
    let started = Instant::now();
    for _ in 0..RECORDS / BATCH {
        log.append_blocking(Topic::Reads, PARTITION, records(BATCH))?;
    }
    report(&format!("append, one caller, {BATCH} records"), RECORDS, started);
    Ok(())
}

fn read(what: &str, log: &Log) -> Result<(), LogError> {
    let started = Instant::now();
    let mut reader = log.reader(Topic::Reads, PARTITION, 0);
    let mut count = 0;
    loop {
        let records = reader.poll(4_096, 1024 * 1024)?;
        if records.is_empty() {
            break;
        }
        count += records.len();
    }
    report(what, count, started);
    Ok(())
}
