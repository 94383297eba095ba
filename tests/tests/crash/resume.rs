//! S32 to S34: many clients cut at random moments, each of which resumes from its last token.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use receipt_proto::v1::{self, conversation_event::Event as Kind, message_sent::Audience, read_event::Target};
use receipt_test_seed::seed;
use receipt_tests::{poll::until, random::Random, server::Receipts};
use tokio::task::JoinSet;

use crate::{
    client::{Call, Client, passes},
    compare::{self, Report},
    ear::{last_words, subscribe},
    heard::Heard,
    load::user,
    oracle::{Oracle, message_id},
    proxy::Proxy,
    site::{FOLD_MAX, Site, Victim, channel, setting},
};

/// Senders of one group.
const SENDERS_A_GROUP: u64 = 10;
/// Messages of most senders; the first of each group has so many that a response does not hold what changed.
const MESSAGES: u64 = 3;
const MESSAGES_OF_FIRST: u64 = 450;
/// Members who read; more than a delta names.
const READERS: u64 = 120;
/// Marks of one call.
const MARKS_A_CALL: usize = 20;
/// Crashes of the server meanwhile.
const KILLS: u64 = 3;
/// A connection is dropped after up to so many bytes.
const BYTES_MAX: u64 = 60_000;

/// What was done to the clients.
#[derive(Default)]
struct Cuts {
    by_client: AtomicU64,
    from_outside: AtomicU64,
}

#[tokio::test(flavor = "multi_thread")]
async fn s34_clients_cut_at_random_moments_miss_nothing() {
    let _shared = crate::MACHINE.read().await;
    let (seed, clients) = (seed(), setting("RECEIPT_CLIENTS", 200));
    println!("RECEIPT_CLIENTS={clients}");
    let mut random = Random::new(seed);
    let mut site = Site::start(&mut random, &["--write-buffer-mib", "4"]).await;
    let proxy = Proxy::start(site.addr, seed, BYTES_MAX).await;
    let (calm, cuts) = (Arc::new(AtomicBool::new(false)), Arc::new(Cuts::default()));
    let mut heard = Vec::new();
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        let (sender, one) = (format!("s{number}"), Arc::new(Mutex::new(Heard::default())));
        heard.push((sender.clone(), one.clone()));
        let random = Random::new(random.below(u64::MAX));
        let client = Cut { sender, heard: one, random, calm: calm.clone(), cuts: cuts.clone() };
        tasks.spawn(client.listen(site.addr, proxy.addr));
    }
    until("everybody has a token", FOLD_MAX, async || {
        heard.iter().all(|(_, heard)| heard.lock().unwrap().responses > 0).then_some(())
    })
    .await;
    let oracle = load(&mut site, clients / SENDERS_A_GROUP, &mut random).await;
    site.server().folded(FOLD_MAX).await;
    calm.store(true, Ordering::Relaxed);
    proxy.calm.store(true, Ordering::Relaxed);
    last_words(&heard, &oracle.all()).await;
    let (mut client, mut report) = (Receipts::new(site.channel()), Report::default());
    compare::counts(&mut client, &oracle.all(), &mut report).await;
    compare::lists(&mut client, &oracle.part(&["g0".to_owned()]), &mut random, &mut report).await;
    report.assert_same();
    let told: u64 = heard.iter().map(|(_, heard)| heard.lock().unwrap().deltas).sum();
    let unnamed = heard.iter().map(|(_, heard)| heard.lock().unwrap().messages.values().filter(|w| w.more).count());
    let (dropped, cut) = (cuts.by_client.load(Ordering::Relaxed), proxy.cuts.load(Ordering::Relaxed));
    let noticed = cuts.from_outside.load(Ordering::Relaxed);
    println!(
        "{clients} clients: {dropped} streams dropped, {cut} connections cut, {noticed} noticed; {told} deltas, \
         {} messages with more readers; {report:?}",
        unnamed.sum::<usize>()
    );
    assert!(dropped > clients && cut > 0 && noticed > cut / 2, "hardly anybody was cut");
    tasks.abort_all();
}

/// A client that cuts itself off now and then, and is cut off.
struct Cut {
    sender: String,
    heard: Arc<Mutex<Heard>>,
    random: Random,
    /// Nobody is cut any more.
    calm: Arc<AtomicBool>,
    cuts: Arc<Cuts>,
}

impl Cut {
    async fn listen(mut self, server: std::net::SocketAddr, proxy: std::net::SocketAddr) {
        loop {
            // A connection of its own each time, and through the proxy every other time.
            let addr = if self.random.below(2) == 0 { proxy } else { server };
            let token = self.heard.lock().unwrap().token.clone();
            match subscribe(&mut Receipts::new(channel(addr)), &self.sender, &token).await {
                Ok(stream) => self.hear(stream).await,
                Err(status) => self.ended(&status),
            }
            // Offline for a moment.
            tokio::time::sleep(Duration::from_millis(20 + self.random.below(300))).await;
        }
    }

    /// Hears some responses, or listens for some time, and drops the stream.
    async fn hear(&mut self, mut stream: tonic::Streaming<v1::SubscribeMessageReadReceiptsResponse>) {
        let mut responses = 1 + self.random.below(6);
        let end = tokio::time::Instant::now() + Duration::from_millis(50 + self.random.below(1_500));
        while responses > 0 || self.calm.load(Ordering::Relaxed) {
            match tokio::time::timeout_at(end, stream.message()).await {
                Ok(Ok(Some(response))) => self.heard.lock().unwrap().take(response),
                Ok(Ok(None)) => return,
                Ok(Err(status)) => return self.ended(&status),
                Err(_) if self.calm.load(Ordering::Relaxed) => return,
                Err(_) => break,
            }
            responses = responses.saturating_sub(1);
        }
        self.cuts.by_client.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, status: &tonic::Status) {
        self.cuts.from_outside.fetch_add(1, Ordering::Relaxed);
        if !passes(status) {
            self.heard.lock().unwrap().wrong.push(format!("{status:?}"));
        }
    }
}

/// Groups whose members read all that is sent there, by steps, while the server is killed.
async fn load(site: &mut Site, groups: u64, random: &mut Random) -> Oracle {
    let mut oracle = Oracle::default();
    let mut client = Client::new(site.channel());
    let mut reads = Vec::new();
    for group in 0..groups {
        let id = format!("g{group}");
        for events in create(&mut oracle, group, &id).chunks(500) {
            client.acknowledged(&Call::Events(events.to_vec())).await;
        }
        let conversation = oracle.0.get_mut(&id).unwrap();
        let last = conversation.messages.len() - 1;
        for reader in 0..READERS {
            let middle = usize::try_from(random.below(last as u64)).unwrap();
            for up_to in [middle, last] {
                let reader_id = user(reader);
                conversation.mark(&reader_id, up_to, None);
                let target = Some(Target::UpToMessageId(message_id(up_to)));
                reads.push(v1::ReadEvent { conversation_id: id.clone(), reader_id, read_at: None, target });
            }
        }
    }
    random.shuffle(&mut reads);
    let calls: Vec<Call> = reads.chunks(MARKS_A_CALL).map(|reads| Call::Reads(reads.to_vec())).collect();
    let each = calls.len().div_ceil(usize::try_from(KILLS).unwrap() + 1);
    for (part, calls) in calls.chunks(each).enumerate() {
        let (mut client, calls) = (client.clone(), calls.to_vec());
        let writer = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(25));
            for call in &calls {
                ticks.tick().await;
                client.acknowledged(call).await;
            }
        });
        if part as u64 != KILLS {
            tokio::time::sleep(Duration::from_millis(100 + random.below(800))).await;
            site.kill_9(Victim::Server).await;
        }
        writer.await.expect("acknowledged");
    }
    oracle
}

/// A group of readers, and what its senders send.
fn create(oracle: &mut Oracle, group: u64, id: &str) -> Vec<v1::ConversationEvent> {
    let conversation = oracle.0.entry(id.to_owned()).or_default();
    let member_ids: Vec<String> = (0..READERS).map(user).collect();
    member_ids.iter().for_each(|member| conversation.join(member));
    let mut kinds = vec![Kind::GroupCreated(v1::GroupCreated { group_type: "work".to_owned(), member_ids })];
    for number in 0..SENDERS_A_GROUP {
        let sender_id = format!("s{}", group * SENDERS_A_GROUP + number);
        for _ in 0..if number == 0 { MESSAGES_OF_FIRST } else { MESSAGES } {
            let message_id = message_id(conversation.send(&sender_id, true, None, 0));
            let audience = Some(Audience::AllMembers(v1::AllMembers {}));
            let sender_id = sender_id.clone();
            kinds.push(Kind::MessageSent(v1::MessageSent { message_id, sender_id, need_read_receipt: true, audience }));
        }
    }
    let events = kinds.into_iter().zip(1..).map(|(event, version)| v1::ConversationEvent {
        conversation_id: id.to_owned(),
        occurred_at: None,
        version,
        event: Some(event),
    });
    events.collect()
}
