//! How long until a read is told, beside how long until the bare log has handed the same record to a reader: in turn, at
//! the same rate, open loop.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use prost::Message;
use receipt_log::{Log, LogError, NewRecord, Topic};
use receipt_proto::v1::{self, read_event::Target};
use receipt_tests::{
    ctl,
    server::{DataDir, Server},
};
use tokio::runtime::{Handle, Runtime};

use crate::fold::open_log;

const ROUNDS: usize = 5;
const SECONDS: usize = 8;
const WARM_UP_SECONDS: usize = 3;
const SENDERS: usize = 1000;
const GROUPS: usize = 10;
/// Until the first record is due.
const RUN_UP: Duration = Duration::from_millis(200);
/// How long the last records may be on their way.
const ARRIVED_MAX: Duration = Duration::from_secs(30);
/// What the p99 may take over the bare log's.
const GOAL_MS: f64 = 5.0;

/// Reads a second: on Kafka few, as its broker shares this machine.
fn rate() -> usize {
    if receipt_test_engine::kafka().is_some() { 100 } else { 1000 }
}

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Latency {
    p50: f64,
    p99: f64,
}

pub(crate) fn run() -> anyhow::Result<()> {
    println!(
        "{} reads/s, {ROUNDS} rounds of {SECONDS} s each; {SENDERS} senders subscribed; p50 and p99 in ms:",
        rate()
    );
    let runtime = Runtime::new()?;
    let mut p99s: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let (append, tail) = bare(&runtime)?;
        let (call, delta) = runtime.block_on(service())?;
        let line = |what, at: Latency| format!("{what} {:.2} {:.2}", at.p50, at.p99);
        println!(
            "  bare log: {}, {}   service: {}, {}",
            line("append", append),
            line("append and tailing read", tail),
            line("call", call),
            line("to the delta", delta)
        );
        p99s.iter_mut().zip([tail, call, delta]).for_each(|(all, at)| all.push(at.p99));
    }
    let [tail, call, delta] = p99s.map(|mut all| {
        all.sort_by(f64::total_cmp);
        all[ROUNDS / 2]
    });
    println!(
        "  median p99 over append and tailing read: call {:+.2} ms, to the delta {:+.2} ms (goal: {GOAL_MS:.0} ms)",
        call - tail,
        delta - tail
    );
    Ok(())
}

/// Latencies in microseconds, from the time a record was due.
struct Times {
    append: Mutex<Histogram<u64>>,
    tail: Mutex<Histogram<u64>>,
}

fn record(histogram: &Mutex<Histogram<u64>>, due: Instant) {
    let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
    histogram.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
}

fn latency(histogram: &Mutex<Histogram<u64>>) -> Latency {
    let histogram = histogram.lock().unwrap_or_else(PoisonError::into_inner);
    #[allow(clippy::cast_precision_loss)]
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    Latency { p50: at(0.5), p99: at(0.99) }
}

/// Of an append to the bare log, and of the record on its way to a reader that waits at the end.
fn bare(runtime: &Runtime) -> anyhow::Result<(Latency, Latency)> {
    let dir = tempfile::tempdir()?;
    let log = open_log(dir.path());
    let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3).map(Mutex::new);
    let times = Arc::new(Times { append: histogram()?, tail: histogram()? });
    let start = Instant::now() + RUN_UP;
    let readers: Vec<_> = (0..log.partitions())
        .map(|partition| runtime.spawn(tail(log.clone(), partition, start, times.clone())))
        .collect();
    append(&log, start, &times, runtime.handle())?;
    // Closing it ends who waits for more, also for the last one on its way.
    let all = || times.tail.lock().unwrap_or_else(PoisonError::into_inner).len() == (rate() * SECONDS) as u64;
    let end = Instant::now() + ARRIVED_MAX;
    while !all() && Instant::now() < end {
        thread::sleep(RUN_UP);
    }
    log.close()?;
    let mut seen = 0;
    for reader in readers {
        seen += runtime.block_on(reader)??;
    }
    ensure!(seen == rate() * SECONDS, "{seen} records came to a reader");
    Ok((latency(&times.append), latency(&times.tail)))
}

fn due(start: Instant, k: usize) -> Instant {
    #[allow(clippy::cast_precision_loss)]
    let after = Duration::from_secs_f64(k as f64 / rate() as f64);
    start + after
}

/// Appends each record at its time, whatever became of those before it.
fn append(log: &Log, start: Instant, times: &Arc<Times>, runtime: &Handle) -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for k in 0..rate() * SECONDS {
        let due = due(start, k);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let (log, times) = (log.clone(), times.clone());
        tasks.push(runtime.spawn(async move {
            let event = event(k);
            let key = event.conversation_id.clone().into_bytes();
            let partition = log.partition_for(&key);
            let record_of = NewRecord::new(key, event.encode_to_vec());
            log.append(Topic::Reads, partition, vec![record_of]).await?;
            record(&times.append, due);
            Ok::<_, LogError>(())
        }));
    }
    for task in tasks {
        runtime.block_on(task)??;
    }
    Ok(())
}

/// The record of read `k`, as large as those of the load's reads.
fn event(k: usize) -> v1::ReadEvent {
    v1::ReadEvent {
        conversation_id: format!("load-1700000000000-g{}", k % GROUPS),
        reader_id: format!("load-1700000000000-r{}", k % 100),
        read_at: Some(receipt_proto::timestamp_from_ms(1_700_000_000_000)),
        target: Some(Target::Messages(v1::MessageIds { message_ids: vec![format!("m{k}")] })),
    }
}

/// Reads a partition as it grows; how many records there were.
async fn tail(log: Log, partition: u32, start: Instant, times: Arc<Times>) -> anyhow::Result<usize> {
    let mut reader = log.reader(Topic::Reads, partition, 0);
    drop(log);
    let mut seen = 0;
    while reader.wait().await.is_ok() {
        for stored in reader.poll(4096, 4 << 20)? {
            let event = v1::ReadEvent::decode(stored.value.context("a value")?)?;
            let Some(Target::Messages(ids)) = event.target else { anyhow::bail!("{event:?}") };
            let k = ids.message_ids.first().and_then(|id| id.strip_prefix('m')).context("its number")?.parse()?;
            record(&times.tail, due(start, k));
            seen += 1;
        }
    }
    Ok(seen)
}

/// What `receiptctl load` tells of so many seconds.
async fn load(server: &Server, seconds: usize) -> serde_json::Value {
    let (senders, rate, duration) = (SENDERS.to_string(), rate().to_string(), format!("{seconds}s"));
    let groups = GROUPS.to_string();
    let load = ["load", "--senders", &senders, "--rate", &rate, "--duration", &duration, "--groups", &groups, "--json"];
    ctl::json(&ctl::run(server, &load).await)
}

/// Of a read call, and up to the sender's delta, by the real receiptd and receiptctl.
async fn service() -> anyhow::Result<(Latency, Latency)> {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    // Topics that were just made take a while until clients know who leads their partitions.
    load(&server, WARM_UP_SECONDS).await;
    let report = load(&server, SECONDS).await;
    server.term().await;
    let of = |what: &str| {
        let at = |percentile: &str| report[what][percentile].as_f64().with_context(|| format!("{what}: {report}"));
        Ok::<_, anyhow::Error>(Latency { p50: at("p50")?, p99: at("p99")? })
    };
    Ok((of("call_latency_ms")?, of("delta_latency_ms")?))
}
