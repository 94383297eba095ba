//! What a load came to.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Shared, check::Difference, process::Usage};

/// Differences that are listed, at most.
const DIFFERENCES_SHOWN: usize = 20;

/// The report; also what `--json` prints.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    run: String,
    senders: usize,
    groups: usize,
    members: usize,
    messages: usize,
    stream_connections: usize,
    rate: usize,
    seconds: f64,
    calls: u64,
    calls_a_second: f64,
    receipts: u64,
    receipts_a_second: f64,
    deltas: u64,
    deltas_a_second: f64,
    deltas_a_receipt: f64,
    delta_bytes_a_receipt: f64,
    responses: u64,
    heartbeats: u64,
    streams_lost: u64,
    start_late_ms: Latency,
    call_latency_ms: Latency,
    delta_latency_ms: Latency,
    errors: BTreeMap<String, u64>,
    server: Option<Server>,
    counts_gone_back: u64,
    difference_count: usize,
    differences: Vec<Difference>,
}

/// What the server's process took.
#[derive(Debug, Serialize)]
struct Server {
    rss_bytes_before_streams: u64,
    rss_bytes_with_streams: u64,
    bytes_a_subscription: f64,
    rss_bytes_at_end: u64,
    cpu_seconds: f64,
    /// Processors busy, on average, while reads were sent.
    cpus: f64,
}

/// The server's process before the streams, with them, and after the reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usages {
    pub(crate) before: Usage,
    pub(crate) open: Usage,
    pub(crate) end: Usage,
}

/// A distribution, in milliseconds.
#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let ms = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: ms(histogram.max()) }
    }

    fn line(&self, what: &str) -> String {
        let Self { p50, p90, p99, p999, max } = self;
        format!("{what:<18} p50 {p50:.2} ms, p90 {p90:.2}, p99 {p99:.2}, p99.9 {p999:.2}, max {max:.2}")
    }
}

impl Report {
    pub(crate) fn new(
        shared: &Shared,
        connections: usize,
        took: Duration,
        usages: Option<Usages>,
        mut differences: Vec<Difference>,
    ) -> Self {
        let (plan, tally) = (&shared.plan, shared.tally());
        let seconds = took.as_secs_f64();
        let a_second = |n: u64| n as f64 / seconds;
        let a_receipt = |n: u64| n as f64 / tally.receipts.max(1) as f64;
        let difference_count = differences.len();
        differences.truncate(DIFFERENCES_SHOWN);
        Self {
            run: plan.run.clone(),
            senders: plan.senders,
            groups: plan.groups,
            members: plan.members,
            messages: plan.messages(),
            stream_connections: connections,
            rate: plan.rate,
            seconds,
            calls: tally.calls,
            calls_a_second: a_second(tally.calls),
            receipts: tally.receipts,
            receipts_a_second: a_second(tally.receipts),
            deltas: tally.deltas,
            deltas_a_second: a_second(tally.deltas),
            deltas_a_receipt: a_receipt(tally.deltas),
            delta_bytes_a_receipt: a_receipt(tally.delta_bytes),
            responses: tally.responses,
            heartbeats: tally.heartbeats,
            streams_lost: tally.streams_lost,
            start_late_ms: Latency::of(&tally.start_late),
            call_latency_ms: Latency::of(&tally.call_latency),
            delta_latency_ms: Latency::of(&tally.delta_latency),
            errors: tally.errors.clone(),
            server: usages.map(|usages| server(usages, plan.senders, seconds)),
            counts_gone_back: tally.gone_back,
            difference_count,
            differences,
        }
    }

    /// Whether every sender was told right.
    pub(crate) fn is_right(&self) -> bool {
        self.difference_count == 0 && self.counts_gone_back == 0
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}: {} senders subscribed over {} connections, {} messages in {} groups of {}\n",
            self.run, self.senders, self.stream_connections, self.messages, self.groups, self.members
        );
        let _ = writeln!(
            text,
            "{:.1} s: {:.0} calls/s (intended: {}), {:.0} receipts/s, {:.0} deltas/s, {:.2} deltas and {:.0} bytes of them a receipt",
            self.seconds,
            self.calls_a_second,
            self.rate,
            self.receipts_a_second,
            self.deltas_a_second,
            self.deltas_a_receipt,
            self.delta_bytes_a_receipt,
        );
        let _ = writeln!(text, "{}", self.call_latency_ms.line("call"));
        let _ = writeln!(text, "{}", self.delta_latency_ms.line("to the delta"));
        let _ = writeln!(text, "{}", self.start_late_ms.line("call started late"));
        if let Some(server) = &self.server {
            let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
            let _ = writeln!(
                text,
                "server: {:.1} KiB a subscription ({:.0} MiB before, {:.0} MiB with them, {:.0} MiB at the end), {:.2} CPUs",
                server.bytes_a_subscription / 1024.0,
                mib(server.rss_bytes_before_streams),
                mib(server.rss_bytes_with_streams),
                mib(server.rss_bytes_at_end),
                server.cpus,
            );
        }
        let _ = writeln!(text, "streams lost and resumed: {}, heartbeats: {}", self.streams_lost, self.heartbeats);
        for (error, count) in &self.errors {
            let _ = writeln!(text, "failed {count} times: {error}");
        }
        for Difference { conversation_id, message_id, acknowledged, told, state } in &self.differences {
            let _ = writeln!(
                text,
                "DIFFERENT {conversation_id} {message_id}: {acknowledged} acknowledged, told {told:?}, is {state:?}"
            );
        }
        let _ = write!(
            text,
            "messages whose sender's last delta is not the state: {} of {}; counts gone back: {}",
            self.difference_count, self.messages, self.counts_gone_back
        );
        text
    }
}

fn server(usages: Usages, senders: usize, seconds: f64) -> Server {
    let Usages { before, open, end } = usages;
    let cpu_seconds = end.cpu_seconds - open.cpu_seconds;
    Server {
        rss_bytes_before_streams: before.rss_bytes,
        rss_bytes_with_streams: open.rss_bytes,
        bytes_a_subscription: open.rss_bytes.saturating_sub(before.rss_bytes) as f64 / senders as f64,
        rss_bytes_at_end: end.rss_bytes,
        cpu_seconds,
        cpus: cpu_seconds / seconds,
    }
}
