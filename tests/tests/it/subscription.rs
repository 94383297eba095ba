//! S32, S34, R7: subscriptions over an inbox that is folded from a real log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prost::Message as _;
use receipt_codec::row::inbox_entry;
use receipt_domain::{
    effects::{Delta, DeltaChange},
    receipt::Receipt,
    settings::Settings,
};
use receipt_log::{Clock, EmbeddedOptions, Log, NewRecord, Topic};
use receipt_notifier::{Inbox, Notifier, Options, Start, SubscribeError, Subscription, Told};
use receipt_projector::{Phase, ProjectorError, Unserved};
use receipt_proto::v1;
use receipt_store::Resources;
use receipt_tests::{dir, poll::until, scenario::id};
use rocksdb::{DB, IteratorMode};
use tempfile::TempDir;
use tokio::runtime::Handle;

/// Deltas of one response, at most.
const FULL: usize = 200;
/// How long the inbox may take to fold a few deltas.
const FOLD_MAX: Duration = Duration::from_secs(20);

/// One partition of inboxes, and its log.
struct Site {
    log: Log,
    notifier: Notifier,
    hand: Arc<AtomicU64>,
    dir: TempDir,
}

impl Site {
    async fn start() -> Self {
        let dir = dir::temporary();
        let (clock, hand) = Clock::manual(1_700_000_000_000);
        let log = Log::open_embedded(EmbeddedOptions {
            dir: dir.path().join("log"),
            partitions: 1,
            retention_ms: 0,
            accept_clock_jump: true,
            clock,
        });
        let log = log.unwrap();
        let notifier = Self::folding(&log, &dir).await;
        Self { log, notifier, hand, dir }
    }

    async fn folding(log: &Log, dir: &TempDir) -> Notifier {
        let options = Options {
            dir: dir.path().join("inboxes"),
            settings: Settings::default(),
            resources: Resources::new(1 << 20, 1 << 20),
        };
        let notifier = Notifier::start(log, &options, &Handle::current()).unwrap();
        assert_eq!(notifier.inboxes()[0].settled().await, Phase::Serving);
        notifier
    }

    /// Stops the inboxes, makes every entry unreadable, and starts them again.
    async fn damaged(self) -> Self {
        let Self { log, notifier, hand, dir } = self;
        notifier.stop().await;
        let db = DB::open(&rocksdb::Options::default(), dir.path().join("inboxes/0")).unwrap();
        let keys: Vec<_> = db.iterator(IteratorMode::Start).map(|row| row.unwrap().0).collect();
        let entries = keys.into_iter().filter(|key| inbox_entry::decode_key(key).is_ok());
        assert!(entries.map(|key| db.put(key, [0xff; 3]).unwrap()).count() > 0);
        drop(db);
        let notifier = Self::folding(&log, &dir).await;
        Self { log, notifier, hand, dir }
    }

    fn inbox(&self) -> Inbox {
        self.notifier.inboxes()[0].clone()
    }

    async fn try_subscribe(&self, sender: &str, start: Start, wait: Duration) -> Result<Subscription, SubscribeError> {
        let deadline = tokio::time::Instant::now() + wait;
        Subscription::start(self.inbox(), *self.log.id().as_bytes(), id(sender), start, deadline).await
    }

    async fn subscribe(&self, sender: &str, start: Start) -> Subscription {
        self.try_subscribe(sender, start, FOLD_MAX).await.unwrap()
    }

    /// Appends deltas of these messages for a sender, each with its count and its new readers.
    async fn append(&self, sender: &str, deltas: &[(&str, u32, &[&str])]) {
        let records = deltas.iter().map(|(message, read_count, readers)| {
            let receipt = Receipt {
                conversation: id("c"),
                message: id(message),
                read_count: *read_count,
                unread_count: 1_000 - read_count,
                audience_count: 1_000,
                read_left_count: 0,
                kept_until_ms: Some(1),
                recalled: false,
                peer: None,
            };
            let new_readers = readers.iter().map(|reader| (id(reader), 1_700_000_000)).collect();
            let change = DeltaChange::Receipt { receipt, new_readers, more_readers: false };
            let delta = v1::ReceiptDelta::from(&Delta { sender: id(sender), change });
            NewRecord::new(sender.as_bytes().to_vec(), delta.encode_to_vec())
        });
        self.log.append(Topic::Deltas, 0, records.collect()).await.unwrap();
    }

    /// As [`Site::append`], and waits until the inbox has it.
    async fn tell(&self, sender: &str, deltas: &[(&str, u32, &[&str])]) {
        self.append(sender, deltas).await;
        let (inbox, end) = (self.inbox(), self.log.end_offset(Topic::Deltas, 0));
        until("the inbox has it", FOLD_MAX, async || (inbox.applied_offset() == end).then_some(())).await;
    }
}

/// Who is named, by message.
fn named(told: &Told) -> Vec<(String, Vec<String>)> {
    let of = |(delta, _): &(Delta, String)| match &delta.change {
        DeltaChange::Receipt { receipt, new_readers, more_readers } => {
            assert!(!more_readers);
            let names = new_readers.iter().map(|(user, _)| user.as_str().to_owned());
            (receipt.message.as_str().to_owned(), names.collect())
        }
        DeltaChange::PeerReadMark { .. } => panic!("{delta:?}"),
    };
    told.deltas.iter().map(of).collect()
}

#[tokio::test]
async fn s32_who_is_new_is_named_also_after_a_full_response() {
    let site = Site::start().await;
    let start = site.subscribe("ann", Start::Now).await.next().await.unwrap().token;
    // One message is read first and last, so that it is told after more than fits in one response.
    let others: Vec<String> = (0..FULL + 50).map(|n| format!("m{n}")).collect();
    let others: Vec<(&str, u32, &[&str])> = others.iter().map(|message| (message.as_str(), 1, &["x"][..])).collect();
    site.tell("ann", &[("twice", 1, &["early"])]).await;
    site.tell("ann", &others).await;
    site.tell("ann", &[("twice", 2, &["late"])]).await;
    let mut live = site.subscribe("ann", Start::After(start)).await;
    let full = live.next().await.unwrap();
    assert_eq!(named(&full).len(), FULL);
    assert!(named(&full).iter().all(|(message, _)| message != "twice"));
    let mut resumed = site.subscribe("ann", Start::After(full.token.clone())).await;
    for stream in [&mut live, &mut resumed] {
        let rest = named(&stream.next().await.unwrap());
        let both = ("twice".to_owned(), vec!["early".to_owned(), "late".to_owned()]);
        assert_eq!((rest.len(), rest.last()), (51, Some(&both)));
    }
    // After that nobody is named again.
    site.tell("ann", &[("twice", 3, &["last"])]).await;
    let next = live.next().await.unwrap();
    assert_eq!(named(&next), [("twice".to_owned(), vec!["last".to_owned()])]);
    site.notifier.stop().await;
}

#[tokio::test]
async fn s34_a_token_of_an_empty_inbox_is_no_old_one() {
    let site = Site::start().await;
    // Nothing has ever been told to anybody.
    let nothing = site.subscribe("ann", Start::Now).await.next().await.unwrap();
    let oldest = site.subscribe("ann", Start::Oldest).await.next().await.unwrap();
    for told in [&nothing, &oldest] {
        assert!(told.deltas.is_empty() && !told.reset);
    }
    site.hand.fetch_add(90 * DAY_MS, Ordering::SeqCst);
    for token in [&nothing.token, &oldest.token] {
        let again = site.subscribe("ann", Start::After(token.clone())).await.next().await.unwrap();
        assert!(again.deltas.is_empty() && !again.reset, "nothing has happened since");
    }
    // Somebody else is told, then she too: nothing of that was missed.
    site.tell("bob", &[("m1", 1, &["x"])]).await;
    let quiet = site.subscribe("ann", Start::After(nothing.token.clone())).await.next().await.unwrap();
    assert!(quiet.deltas.is_empty() && !quiet.reset);
    site.tell("ann", &[("m2", 1, &["y"])]).await;
    for token in [nothing.token, oldest.token, quiet.token] {
        let told = site.subscribe("ann", Start::After(token)).await.next().await.unwrap();
        assert!(!told.reset);
        assert_eq!(named(&told), [("m2".to_owned(), vec!["y".to_owned()])]);
    }
    site.notifier.stop().await;
}

#[tokio::test]
async fn r7_damage_that_a_stream_meets_seals_its_partition_and_ends_the_other_streams() {
    let site = Site::start().await;
    site.tell("ann", &[("m1", 1, &["x"])]).await;
    let site = site.damaged().await;
    let mut other = site.subscribe("bob", Start::Now).await;
    other.next().await.unwrap();
    let other = tokio::spawn(async move { other.next().await });
    let met = site.subscribe("ann", Start::Oldest).await.next().await;
    for told in [met, other.await.unwrap()] {
        let Err(SubscribeError::Unserved(Unserved::Sealed(why))) = told else { panic!("{told:?}") };
        assert!(why.contains("damaged") && why.contains("rm -r"), "{why}");
    }
    is_sealed(&site).await;
}

#[tokio::test]
async fn r7_damage_that_an_inbox_meets_seals_its_partition_and_ends_the_streams() {
    let site = Site::start().await;
    site.tell("ann", &[("m1", 1, &["x"])]).await;
    let site = site.damaged().await;
    let mut stream = site.subscribe("bob", Start::Now).await;
    stream.next().await.unwrap();
    site.append("ann", &[("m1", 2, &["y"])]).await;
    let told = stream.next().await;
    assert!(matches!(told, Err(SubscribeError::Unserved(Unserved::Sealed(_)))), "{told:?}");
    is_sealed(&site).await;
}

/// It gives no copy that would pass for a good one, and does not fold on.
async fn is_sealed(site: &Site) {
    let Phase::Sealed(why) = site.inbox().phase() else { panic!("{:?}", site.inbox().phase()) };
    let (inbox, dir) = (site.inbox(), site.dir.path().join("copy"));
    let copied = tokio::task::spawn_blocking(move || inbox.checkpoint(&dir)).await.unwrap();
    assert!(matches!(&copied, Err(ProjectorError::Sealed(of_copy)) if *of_copy == why), "{copied:?}");
}

const DAY_MS: u64 = 24 * 3_600_000;

#[tokio::test]
async fn s34_a_stream_that_nobody_reads_for_longer_than_the_retention_begins_again_with_reset() {
    let site = Site::start().await;
    let mut stream = site.subscribe("ann", Start::Now).await;
    let mut oldest = site.subscribe("ann", Start::Oldest).await;
    for stream in [&mut stream, &mut oldest] {
        assert!(!stream.next().await.unwrap().reset);
    }
    // Of what comes now nobody reads anything, until it has gone.
    site.tell("ann", &[("m1", 1, &["x"])]).await;
    site.hand.fetch_add(31 * DAY_MS, Ordering::SeqCst);
    site.tell("ann", &[("m2", 1, &["y"])]).await;
    for stream in [&mut stream, &mut oldest] {
        let told = stream.next().await.unwrap();
        assert!(told.reset && told.deltas.is_empty(), "m1 is gone: {told:?}");
        let mut resumed = site.subscribe("ann", Start::After(told.token)).await;
        assert!(!resumed.next().await.unwrap().reset, "the token of a reset is a new one");
    }
    // After that they are as any other.
    site.tell("ann", &[("m3", 1, &["z"])]).await;
    for stream in [&mut stream, &mut oldest] {
        let told = stream.next().await.unwrap();
        assert!(!told.reset);
        assert_eq!(named(&told), [("m3".to_owned(), vec!["z".to_owned()])]);
    }
    site.notifier.stop().await;
}

#[tokio::test]
async fn s34_a_stream_of_a_quiet_partition_has_missed_nothing() {
    let site = Site::start().await;
    let mut stream = site.subscribe("ann", Start::Now).await;
    site.tell("ann", &[("m1", 1, &["x"])]).await;
    assert!(!stream.next().await.unwrap().reset);
    site.hand.fetch_add(90 * DAY_MS, Ordering::SeqCst);
    site.tell("ann", &[("m2", 1, &["y"])]).await;
    let told = stream.next().await.unwrap();
    assert!(!told.reset, "nothing came in all that time");
    assert_eq!(named(&told), [("m2".to_owned(), vec!["y".to_owned()])]);
    site.notifier.stop().await;
}

#[tokio::test]
async fn s34_a_token_ahead_of_the_inbox_waits_for_it_and_one_ahead_of_the_log_is_reset() {
    let site = Site::start().await;
    let mut token = site.subscribe("ann", Start::Now).await.next().await.unwrap().token;
    token.offset = 1;
    token.since = 1;
    let ahead_of_log = site.subscribe("ann", Start::After(token.clone())).await.next().await.unwrap();
    assert!(ahead_of_log.reset && ahead_of_log.token.offset == 0, "{ahead_of_log:?}");
    // Many, so that the inbox is still behind them when it is asked.
    let messages: Vec<String> = (0..50_000).map(|n| format!("m{n}")).collect();
    let deltas: Vec<(&str, u32, &[&str])> = messages.iter().map(|message| (message.as_str(), 1, &["x"][..])).collect();
    site.append("ann", &deltas).await;
    token.offset = 50_000;
    token.since = 50_000;
    let late = site.try_subscribe("ann", Start::After(token.clone()), Duration::ZERO).await;
    assert!(matches!(late, Err(SubscribeError::Behind)), "the deadline has passed");
    let told = site.subscribe("ann", Start::After(token)).await.next().await.unwrap();
    assert!(!told.reset && told.deltas.is_empty(), "{told:?}");
    assert_eq!(told.token.offset, 50_000);
    site.notifier.stop().await;
}
