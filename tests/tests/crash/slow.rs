//! S35: who stops reading costs the server nothing, slows nobody, and misses nothing.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use receipt_proto::v1::{self, receipt_result::Result as Answer};
use receipt_tests::server::{DataDir, Receipts, Server};
use tokio::task::JoinSet;
use tonic::{Streaming, transport::Endpoint};

use crate::{
    busy::{self, Busy, MESSAGES_OF_SLOW, SLOW},
    ear::{Ear, subscribe},
    heard::Heard,
    site::{FOLD_MAX, setting},
};

/// So little that memory soon is what it will be; what still grows is the write buffer of the log.
const FLAGS: [&str; 4] = ["--write-buffer-mib", "8", "--block-cache-mib", "8"];
const WARM_UP: Duration = Duration::from_secs(5);
/// Streams that are not read, each of a connection of its own.
const STREAMS: usize = 32;
/// What the server may send of a stream before its client reads it.
const WINDOW_BYTES: u32 = 16 * 1024;
/// How long they are read before they are not.
const READ_ALONG: Duration = Duration::from_secs(1);
/// How long they may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);
/// How often the server's memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much more it may grow while streams are not read: the log's write buffer of 64 MiB, which fills once, before, then
/// or after; and some 400 KiB a stream that HTTP/2 keeps to send.
const GROWTH_MAX_KIB: u64 = 80 * 1024;
/// A delta may take three times what it takes without, or this where that is longer.
const P99_FLOOR: Duration = Duration::from_millis(15);
/// Deltas of a stream under way when its client stopped: what fits in the window, and in some 400 KiB that HTTP/2 keeps
/// to send.
const UNDER_WAY_MAX: u64 = 4_000;

#[tokio::test(flavor = "multi_thread")]
async fn s35_who_stops_reading_costs_nothing_slows_nobody_and_misses_nothing() {
    let _alone = crate::MACHINE.write().await;
    let length = Duration::from_secs(setting("RECEIPT_SLOW_SECONDS", 10));
    println!("RECEIPT_SLOW_SECONDS={}", length.as_secs());
    let dir = DataDir::new();
    let server = Server::start(&dir, &FLAGS).await;
    busy::send(&server).await;
    let listener = Ear::open(server.channel(), SLOW).await;
    let mut others = Vec::new();
    for other in busy::others() {
        others.push(Ear::open(server.channel(), &other).await);
    }
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(Slow::open(server.addr).await);
    }
    // The time without comes half before and half after: read sets and buffers grow all the while.
    let busy = Arc::new(Busy::default());
    let tasks = busy.start(&server);
    Phase::of(WARM_UP, &server, &busy, &listener).await.print("to warm up");
    let before = Phase::of(length / 2, &server, &busy, &listener).await;
    before.print("before");
    let streams = each(streams, |stream| stream.read_along(server.addr)).await;
    let with = Phase::of(length, &server, &busy, &listener).await;
    with.print("while streams are not read");
    busy.end(tasks).await;
    let late = caught_up(&server, streams, busy.reads_of_slow.load(Ordering::Relaxed)).await;
    let tasks = busy.start(&server);
    let after = Phase::of(length / 2, &server, &busy, &listener).await;
    after.print("after");
    busy.end(tasks).await;
    for heard in [&listener].into_iter().chain(&others).map(|ear| ear.heard.lock().unwrap()) {
        assert_eq!(heard.wrong, Vec::<String>::new());
    }
    assert_blocked(&with, &late);
    assert_harmless(&before.and(after), &with);
}

/// That each stream told what was under way when it stopped, then all messages as they are, and nothing of what
/// happened in between.
fn assert_blocked(with: &Phase, late: &[u64]) {
    let (least, most) = (*late.iter().min().unwrap(), *late.iter().max().unwrap());
    println!("{least} to {most} deltas of {MESSAGES_OF_SLOW} messages to each stream when it was read again");
    assert!(least >= MESSAGES_OF_SLOW, "all of them changed meanwhile");
    assert!(most <= MESSAGES_OF_SLOW + UNDER_WAY_MAX, "the streams were not blocked");
    assert!(most * 4 < with.told && most * 4 < with.reads_of_slow, "hardly more was told to who reads");
}

fn assert_harmless(without: &Phase, with: &Phase) {
    let p99_max = P99_FLOOR.max(without.p99() * 3);
    let grown_max_kib = without.grown_kib + GROWTH_MAX_KIB;
    let held_back_kib = with.told_kib * STREAMS as u64;
    println!(
        "without and with: {} and {} reads; p99 {:.2?} and {:.2?}; grown by {} and {} KiB, {held_back_kib} KiB held back",
        without.reads,
        with.reads,
        without.p99(),
        with.p99(),
        without.grown_kib,
        with.grown_kib
    );
    assert!(with.reads * 2 > without.reads, "the readers are slowed");
    assert!(with.p99() <= p99_max, "the others are slowed");
    assert!(held_back_kib > grown_max_kib, "so little was held back that the memory says nothing");
    assert!(with.grown_kib <= grown_max_kib, "the server keeps what is not read");
}

/// The streams are read again, until each has been told what is true; how many deltas that took.
async fn caught_up(server: &Server, streams: Vec<Slow>, reads: u64) -> Vec<u64> {
    server.folded(FOLD_MAX).await;
    let wanted = counts(server).await;
    let read: u64 = wanted.values().map(|receipt| u64::from(receipt.read_count)).sum();
    assert_eq!(read, reads, "each read counts once");
    let start = Instant::now();
    let streams = each(streams, |stream| stream.catch_up(wanted.clone())).await;
    println!("the streams have caught up within {:.1?}", start.elapsed());
    streams.iter().map(|stream| stream.late).collect()
}

/// What went on in some stretch of time.
struct Phase {
    seconds: f64,
    reads: u64,
    reads_of_slow: u64,
    /// Deltas that a client who reads was told of the same messages.
    told: u64,
    told_kib: u64,
    /// From a call to its delta, rising.
    times: Vec<Duration>,
    /// The server's memory in the beginning, and by how much it was more than that at most.
    resident_kib: u64,
    grown_kib: u64,
}

impl Phase {
    async fn of(length: Duration, server: &Server, busy: &Busy, listener: &Ear) -> Self {
        let counters = || {
            let heard = listener.heard.lock().unwrap();
            let (reads, reads_of_slow) = (&busy.reads, &busy.reads_of_slow);
            [reads.load(Ordering::Relaxed), reads_of_slow.load(Ordering::Relaxed), heard.deltas, heard.bytes]
        };
        busy.times.lock().unwrap().clear();
        let (start, before, resident) = (Instant::now(), counters(), resident_kib(server.pid()));
        let (mut most, mut ticks) = (resident, tokio::time::interval(LOOK_EVERY));
        while start.elapsed() < length {
            ticks.tick().await;
            most = most.max(resident_kib(server.pid()));
        }
        let (seconds, after) = (start.elapsed().as_secs_f64(), counters());
        let mut times = std::mem::take(&mut *busy.times.lock().unwrap());
        times.sort();
        assert!(times.len() > 100, "only {} deltas were timed", times.len());
        Self {
            seconds,
            reads: after[0] - before[0],
            reads_of_slow: after[1] - before[1],
            told: after[2] - before[2],
            told_kib: (after[3] - before[3]) / 1024,
            times,
            resident_kib: resident,
            grown_kib: most - resident,
        }
    }

    /// Both as one.
    fn and(mut self, other: Self) -> Self {
        self.times.extend(other.times);
        self.times.sort();
        Self {
            seconds: self.seconds + other.seconds,
            reads: self.reads + other.reads,
            reads_of_slow: self.reads_of_slow + other.reads_of_slow,
            told: self.told + other.told,
            told_kib: self.told_kib + other.told_kib,
            times: self.times,
            resident_kib: self.resident_kib,
            grown_kib: self.grown_kib + other.grown_kib,
        }
    }

    fn p99(&self) -> Duration {
        self.times[self.times.len() * 99 / 100]
    }

    fn print(&self, what: &str) {
        let Self { seconds, reads, reads_of_slow, told, told_kib, times, resident_kib, grown_kib } = self;
        println!(
            "{what}, {seconds:.1} s: {reads} reads, {reads_of_slow} of the sender, of which who reads was told {told} \
             deltas, {told_kib} KiB; call to delta p50 {:.2?}, p99 {:.2?} of {}; {resident_kib} KiB, and up to \
             {grown_kib} more",
            times[times.len() / 2],
            self.p99(),
            times.len()
        );
    }
}

/// Memory of a process.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// What the server says of the sender's messages.
async fn counts(server: &Server) -> BTreeMap<(String, String), v1::MessageReceipt> {
    let mut counts = BTreeMap::new();
    for keys in busy::messages_of_slow().chunks(100) {
        let messages =
            keys.iter().cloned().map(|(conversation_id, message_id)| v1::MessageRef { conversation_id, message_id });
        let request = v1::GetMessageReadReceiptsRequest { messages: messages.collect(), ..Default::default() };
        let answer = server.receipts().get_message_read_receipts(request).await.expect("counts").into_inner();
        for (key, result) in keys.iter().zip(answer.results) {
            let Some(Answer::Receipt(receipt)) = result.result else { panic!("{key:?}: {result:?}") };
            counts.insert(key.clone(), receipt);
        }
    }
    counts
}

/// Does the same with each at the same time; in any order.
async fn each<F: Future<Output = Slow> + Send + 'static>(streams: Vec<Slow>, act: impl Fn(Slow) -> F) -> Vec<Slow> {
    let tasks: JoinSet<Slow> = streams.into_iter().map(act).collect();
    tasks.join_all().await
}

/// A client that reads, does not, and reads again.
struct Slow {
    heard: Heard,
    /// None while it is away.
    stream: Option<Streaming<v1::SubscribeMessageReadReceiptsResponse>>,
    /// Deltas that it took to catch up.
    late: u64,
}

impl Slow {
    /// Gets its first token, and goes.
    async fn open(addr: SocketAddr) -> Self {
        let mut slow = Self { heard: Heard::default(), stream: None, late: 0 };
        slow.connect(addr).await;
        slow.take().await;
        slow.stream = None;
        slow
    }

    async fn connect(&mut self, addr: SocketAddr) {
        let endpoint = Endpoint::from_shared(format!("http://{addr}")).expect("a URL");
        let endpoint = endpoint.initial_stream_window_size(WINDOW_BYTES);
        let mut client = Receipts::new(endpoint.connect_lazy());
        self.stream = Some(subscribe(&mut client, SLOW, &self.heard.token).await.expect("a stream"));
    }

    async fn take(&mut self) {
        let stream = self.stream.as_mut().expect("it is connected");
        let response = stream.message().await.expect("a stream that goes on").expect("a response");
        self.heard.take(response);
    }

    /// Comes back, and is told like everybody for a while.
    async fn read_along(mut self, addr: SocketAddr) -> Self {
        self.connect(addr).await;
        let end = tokio::time::Instant::now() + READ_ALONG;
        while tokio::time::timeout_at(end, self.take()).await.is_ok() {}
        self
    }

    /// Reads again, until it has been told what is true.
    async fn catch_up(mut self, wanted: BTreeMap<(String, String), v1::MessageReceipt>) -> Self {
        let before = self.heard.deltas;
        let end = tokio::time::Instant::now() + CATCH_UP_MAX;
        loop {
            let told = |key| self.heard.messages.get(key).map(|word| &word.receipt);
            let missing = wanted.iter().filter(|(key, receipt)| told(*key) != Some(*receipt)).count();
            if missing == 0 {
                break;
            }
            let took = tokio::time::timeout_at(end, self.take()).await;
            took.unwrap_or_else(|_| panic!("not told of {missing} messages"));
        }
        self.late = self.heard.deltas - before;
        assert_eq!(self.heard.wrong, Vec::<String>::new());
        self
    }
}
