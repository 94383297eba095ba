//! Up to where a log may be trimmed: behind a snapshot that is whole, and not past what else bounds it.

use std::{fs, path::Path, sync::atomic::Ordering};

use prost::Message as _;
use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event},
    id::{ConversationId, GroupType, MessageId, UserId},
    settings::Settings,
};
use receipt_log::{Clock, EmbeddedOptions, Log, NewRecord, Topic};
use receipt_projector::{Durables, Offsets, Options, Projector, Trim, TrimLimits, facts, plan_trim, trim};
use receipt_proto::v1;
use receipt_snapshot::{Place, Unit};
use receipt_store::Resources;
use tokio::runtime::Runtime;

const BEGIN_MS: u64 = 1_000_000_000;
const MINUTE_MS: u64 = 60_000;

fn event(change: Change) -> NewRecord {
    let conversation = ConversationId::new("g").unwrap();
    let event = ConversationEvent { conversation, occurred_at_ms: None, version: 0, change };
    NewRecord::new("g", v1::ConversationEvent::from(&Event::Conversation(event)).encode_to_vec())
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A group and three messages, a minute after each other.
fn talk(log: &Log, hand: &std::sync::atomic::AtomicU64) {
    let members = [user("ann"), user("bob")].into();
    let mut events = vec![event(Change::GroupCreated { group_type: GroupType::new("work").unwrap(), members })];
    events.extend((1..=3).map(|n| {
        let message = MessageId::new(&format!("m{n}")).unwrap();
        let (sender, audience) = (user("ann"), AudienceSpec::AllMembers);
        event(Change::MessageSent { message, sender, need_read_receipt: true, audience })
    }));
    for event in events {
        log.append_blocking(Topic::Conversations, 0, vec![event]).unwrap();
        hand.fetch_add(MINUTE_MS, Ordering::Relaxed);
    }
}

/// Folds the log, and takes a snapshot of its receipts.
fn snapshot(log: &Log, dir: &Path, place: &Place, clock: Clock, runtime: &Runtime) {
    let resources = Resources::new(8 << 20, 8 << 20);
    let options = Options { dir: dir.join("receipts"), settings: Settings::default(), resources, clock };
    let projector = Projector::start(log, &options, runtime.handle()).unwrap();
    let partition = &projector.partitions()[0];
    runtime.block_on(partition.settled());
    let copy = dir.join("copy");
    let applied = partition.checkpoint(&copy).unwrap();
    let offsets = [(Topic::Conversations, applied.conversations), (Topic::Reads, applied.reads)];
    let facts = facts::of_store(partition.identity(), Unit::Receipts(0), &offsets, 0);
    receipt_snapshot::create(place, &facts, &copy, &mut |_| true).unwrap();
    runtime.block_on(projector.stop());
}

/// What a plan says of a topic: before which offset, and why.
fn of(trims: &[Trim], topic: Topic) -> Option<(u64, &str)> {
    trims.iter().find(|trim| trim.topic == topic).map(|trim| (trim.before, trim.why.as_str()))
}

#[test]
fn a_log_is_trimmed_behind_a_whole_snapshot_and_no_further_than_asked() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let (clock, hand) = Clock::manual(BEGIN_MS);
    let options = receipt_test_engine::options(&dir.path().join("log"), clock.clone());
    let log = receipt_test_engine::open_blocking(EmbeddedOptions { partitions: 1, ..options });
    let place = Place::open(dir.path().join("place").to_str().unwrap(), runtime.handle().clone()).unwrap();
    talk(&log, &hand);
    let unbounded = |_| None;
    let plan = |older_than_ms, durable: &dyn Fn(u32) -> Option<Durables>| {
        plan_trim(&log, &place, TrimLimits { older_than_ms, durable }, &mut |_| true).unwrap()
    };

    let none = plan(None, &unbounded);
    assert_eq!(of(&none, Topic::Conversations), Some((0, "there is no snapshot of it")));
    assert_eq!(of(&none, Topic::DeadLetter), None, "they go by their age");

    snapshot(&log, dir.path(), &place, clock, &runtime);
    let all = plan(None, &unbounded);
    let (before, why) = of(&all, Topic::Conversations).unwrap();
    assert!(before == 4 && why.contains("behind the snapshot") && why.contains("receipts-0"), "{before}: {why}");
    assert_eq!(of(&all, Topic::Deltas), Some((0, "there is no snapshot of it")), "that of receipts is none of inboxes");

    // The record that arrived at the time stays.
    for (minutes, expected) in [(0, 0), (1, 1), (3, 3), (4, 4), (100, 4)] {
        let young = plan(Some(BEGIN_MS + minutes * MINUTE_MS), &unbounded);
        let (before, why) = of(&young, Topic::Conversations).unwrap();
        assert_eq!(before, expected, "what is older than {minutes} minutes: {why}");
        assert!(of(&young, Topic::DeadLetter).is_some());
    }
    let receipts = Offsets { conversations: 2, reads: 0 };
    let behind = plan(None, &|_| Some(Durables { receipts, deltas: 0 }));
    assert_eq!(of(&behind, Topic::Conversations), Some((2, "what the state has not made durable stays")));

    trim(&log, &behind, "a test").unwrap();
    assert_eq!(log.start_offset(Topic::Conversations, 0), 2);
    assert_eq!(
        of(&plan(None, &unbounded), Topic::Conversations).unwrap().0,
        4,
        "its beginning is gone, and it still fits"
    );

    let files = fs::read_dir(dir.path().join("place").join(log.id().to_string()).join("receipts-0")).unwrap();
    let snapshot = files.map(|entry| entry.unwrap().path()).next().unwrap();
    let table = fs::read_dir(snapshot).unwrap().map(|entry| entry.unwrap().path());
    let table = table.into_iter().find(|path| path.to_str().unwrap().contains(".sst")).unwrap();
    let mut bytes = fs::read(&table).unwrap();
    bytes[0] ^= 1;
    fs::write(&table, bytes).unwrap();
    let (before, why) =
        of(&plan(None, &unbounded), Topic::Conversations).map(|(at, why)| (at, why.to_owned())).unwrap();
    assert!(before == 2 && why.contains("is damaged"), "{before}: {why}");
}
