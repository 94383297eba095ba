//! As many reads as the server takes, for as long as wanted, and how long a sender waits for a delta meanwhile.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use receipt_proto::v1::{self, conversation_event::Event as Kind, message_sent::Audience, receipt_delta::Change};
use receipt_tests::server::{Receipts, Server};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    client::{Call, Client},
    ear::subscribe,
    load::user,
    oracle::message_id,
    site::channel,
};

/// Who sends every other message.
pub(crate) const SLOW: &str = "slow";
/// Who send the messages in between.
const OTHERS: u64 = 8;
const GROUPS: u64 = 4;
const MESSAGES_A_GROUP: u64 = 1_000;
/// Messages of the one sender.
pub(crate) const MESSAGES_OF_SLOW: u64 = GROUPS * MESSAGES_A_GROUP / 2;
/// Members who read, each every message once.
const READERS: u64 = 2_000;
/// Calls at a time, and messages of each.
const CALLERS: usize = 32;
const MESSAGES_A_CALL: u64 = 10;
/// Calls that read all of one group's.
const PARTS: u64 = MESSAGES_A_GROUP / MESSAGES_A_CALL;
/// Senders who time their deltas, each of a group of their own.
const PROBES: usize = 8;
/// How often they do: further apart than the responses of one stream need to be.
const PROBE_EVERY: Duration = Duration::from_millis(60);
const PROBE_READERS: u64 = 5_000;

/// The load, and what it came to so far.
#[derive(Default)]
pub(crate) struct Busy {
    stop: AtomicBool,
    /// The next call.
    next: AtomicU64,
    /// Acknowledged reads.
    pub(crate) reads: AtomicU64,
    pub(crate) reads_of_slow: AtomicU64,
    /// From a call to its delta.
    pub(crate) times: Mutex<Vec<Duration>>,
    /// Readers of each who times them so far.
    timed: [AtomicU64; PROBES],
}

fn sender(number: usize) -> String {
    if number.is_multiple_of(2) { SLOW.to_owned() } else { other(number as u64 / 2 % OTHERS) }
}

fn other(number: u64) -> String {
    format!("o{number}")
}

/// Those who send beside the one.
pub(crate) fn others() -> Vec<String> {
    (0..OTHERS).map(other).collect()
}

/// The messages of the one sender, by conversation and id.
pub(crate) fn messages_of_slow() -> Vec<(String, String)> {
    let numbers = || (0..usize::try_from(MESSAGES_A_GROUP).unwrap()).filter(|number| sender(*number) == SLOW);
    let groups = (0..GROUPS).map(|group| format!("g{group}"));
    groups.flat_map(|id| numbers().map(move |number| (id.clone(), message_id(number)))).collect()
}

/// Sends all messages that are to be read.
pub(crate) async fn send(server: &Server) {
    let mut client = Client::new(server.channel());
    for group in 0..GROUPS {
        let senders = (0..usize::try_from(MESSAGES_A_GROUP).unwrap()).map(sender);
        create(&mut client, &format!("g{group}"), READERS, senders.collect()).await;
    }
    for probe in 0..PROBES {
        create(&mut client, &format!("p{probe}"), PROBE_READERS, vec![format!("p{probe}")]).await;
    }
}

/// A group of so many readers, and a message of each of these.
async fn create(client: &mut Client, id: &str, readers: u64, senders: Vec<String>) {
    let member_ids = (0..readers).map(user).collect();
    let mut kinds = vec![Kind::GroupCreated(v1::GroupCreated { group_type: "work".to_owned(), member_ids })];
    kinds.extend(senders.into_iter().enumerate().map(|(number, sender_id)| {
        let audience = Some(Audience::AllMembers(v1::AllMembers {}));
        Kind::MessageSent(v1::MessageSent {
            message_id: message_id(number),
            sender_id,
            need_read_receipt: true,
            audience,
        })
    }));
    let events = kinds.into_iter().zip(1..).map(|(event, version)| v1::ConversationEvent {
        conversation_id: id.to_owned(),
        occurred_at: None,
        version,
        event: Some(event),
    });
    for events in events.collect::<Vec<_>>().chunks(500) {
        client.acknowledged(&Call::Events(events.to_vec())).await;
    }
}

fn reading(id: String, messages: &[usize], reader: u64, wait: bool) -> Call {
    let (user_id, message_ids) = (user(reader), messages.iter().copied().map(message_id).collect());
    Call::Receipts(v1::SendMessageReadReceiptsRequest { user_id, conversation_id: id, message_ids, wait })
}

impl Busy {
    /// Begins, or goes on where it ended.
    pub(crate) fn start(self: &Arc<Self>, server: &Server) -> JoinSet<()> {
        self.stop.store(false, Ordering::Relaxed);
        let mut tasks = JoinSet::new();
        for _ in 0..CALLERS {
            tasks.spawn(self.clone().call(Client::new(channel(server.addr))));
        }
        for number in 0..PROBES {
            tasks.spawn(self.clone().probe(number, server.addr));
        }
        tasks
    }

    /// Returns once all calls are answered.
    pub(crate) async fn end(&self, mut tasks: JoinSet<()>) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = tasks.join_next().await {
            ended.expect("a task that goes on until it is told to stop");
        }
    }

    /// Reads what nobody has read yet, each as soon as the one before counts.
    async fn call(self: Arc<Self>, mut client: Client) {
        while !self.stop.load(Ordering::Relaxed) {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let (group, part) = (next % GROUPS, next / GROUPS);
            let (part, reader) = (part % PARTS, part / PARTS);
            assert!(reader < READERS, "everybody has read everything");
            let numbers = part * MESSAGES_A_CALL..(part + 1) * MESSAGES_A_CALL;
            let numbers: Vec<usize> = numbers.map(|number| usize::try_from(number).unwrap()).collect();
            let of_slow = numbers.iter().filter(|number| sender(**number) == SLOW).count() as u64;
            let call = reading(format!("g{group}"), &numbers, reader, true);
            assert_eq!(client.acknowledged(&call).await, 0, "it was refused");
            self.reads.fetch_add(MESSAGES_A_CALL, Ordering::Relaxed);
            self.reads_of_slow.fetch_add(of_slow, Ordering::Relaxed);
        }
    }

    /// Times how long it takes from a read's call to its delta, one after the other.
    async fn probe(self: Arc<Self>, number: usize, addr: std::net::SocketAddr) {
        let id = format!("p{number}");
        let mut client = Client::new(channel(addr));
        let mut stream = subscribe(&mut Receipts::new(channel(addr)), &id, "").await.expect("a stream");
        stream.message().await.expect("a stream that goes on").expect("the first response");
        let mut ticks = tokio::time::interval(PROBE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            let reader = self.timed[number].fetch_add(1, Ordering::Relaxed);
            assert!(reader < PROBE_READERS, "everybody has read what is timed");
            let start = Instant::now();
            let heard = async {
                loop {
                    let response = stream.message().await.expect("a stream that goes on").expect("a response");
                    if response.deltas.iter().any(|delta| read_count(delta) > reader) {
                        return start.elapsed();
                    }
                }
            };
            let call = reading(id.clone(), &[0], reader, false);
            let (again, took) = tokio::join!(client.acknowledged(&call), heard);
            assert_eq!(again, 0, "it was refused");
            self.times.lock().unwrap().push(took);
        }
    }
}

fn read_count(delta: &v1::ReceiptDelta) -> u64 {
    match &delta.change {
        Some(Change::Receipt(receipt)) => receipt.read_count.into(),
        _ => 0,
    }
}
