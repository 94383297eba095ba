//! The machine over a real log and real stores: poison, long marks, ticks, seals, restarts.

use std::{path::Path, sync::atomic::Ordering};

use prost::Message;
use receipt_domain::{
    answer::ReaderState,
    event::{AudienceSpec, Change, ConversationEvent, Event, ReadEvent, ReadTarget},
    id::{ConversationId, GroupType, MessageId, UserId},
    receipt::Receipt,
    settings::Settings,
};
use receipt_log::{Clock, EmbeddedOptions, Log, NewRecord, Topic};
use receipt_projector::{Offsets, Options, Partition, Phase, Projector, Verdict};
use receipt_proto::v1;
use receipt_store::Resources;
use tokio::runtime::Runtime;

const HOUR_MS: u64 = 3_600_000;

pub(crate) fn open_log(dir: &Path, partitions: u32, clock: Clock) -> Log {
    let options = receipt_test_engine::options(&dir.join("log"), clock);
    receipt_test_engine::open_blocking(EmbeddedOptions { partitions, ..options })
}

pub(crate) fn start(dir: &Path, log: &Log, clock: Clock, runtime: &Runtime) -> Projector {
    let options = Options {
        dir: dir.join("receipts"),
        settings: Settings::default(),
        // So little that a long mark takes several writes.
        resources: Resources::new(8 << 20, 8 << 20).with_batch_bytes(4 << 20),
        clock,
    };
    Projector::start(log, &options, runtime.handle()).unwrap()
}

pub(crate) fn id(text: &str) -> ConversationId {
    ConversationId::new(text).unwrap()
}

pub(crate) fn user(text: &str) -> UserId {
    UserId::new(text).unwrap()
}

pub(crate) fn message(n: usize) -> MessageId {
    MessageId::new(&format!("m{n}")).unwrap()
}

pub(crate) fn event(conversation: &str, change: Change) -> NewRecord {
    let event = ConversationEvent { conversation: id(conversation), occurred_at_ms: None, version: 0, change };
    let value = v1::ConversationEvent::from(&Event::Conversation(event)).encode_to_vec();
    NewRecord::new(conversation.to_owned().into_bytes(), value)
}

pub(crate) fn group(conversation: &str, members: &[&str]) -> NewRecord {
    let members = members.iter().map(|member| user(member)).collect();
    event(conversation, Change::GroupCreated { group_type: GroupType::new("work").unwrap(), members })
}

pub(crate) fn sent(conversation: &str, n: usize) -> NewRecord {
    let change = Change::MessageSent {
        message: message(n),
        sender: user("ann"),
        need_read_receipt: true,
        audience: AudienceSpec::AllMembers,
    };
    event(conversation, change)
}

pub(crate) fn read(conversation: &str, reader: &str, target: ReadTarget) -> NewRecord {
    let event = ReadEvent { conversation: id(conversation), reader: user(reader), read_at_ms: None, target };
    NewRecord::new(conversation.to_owned().into_bytes(), v1::ReadEvent::from(&event).encode_to_vec())
}

pub(crate) fn append(log: &Log, topic: Topic, conversation: &str, records: Vec<NewRecord>) -> Vec<u64> {
    let partition = log.partition_for(conversation.as_bytes());
    log.append_blocking(topic, partition, records).unwrap().iter().map(|appended| appended.offset).collect()
}

/// Waits until all that the log has is folded.
pub(crate) fn caught_up(runtime: &Runtime, log: &Log, partition: &Partition) {
    let number = partition.number();
    let end = Offsets {
        conversations: log.end_offset(Topic::Conversations, number),
        reads: log.end_offset(Topic::Reads, number),
    };
    runtime.block_on(partition.settled());
    runtime.block_on(partition.reached(end)).unwrap();
}

pub(crate) fn receipt(partition: &Partition, conversation: &str, n: usize) -> Receipt {
    partition
        .serve(|store| store.view().unwrap().receipt(&id(conversation), &message(n), None).unwrap().unwrap())
        .unwrap()
}

#[test]
fn r8_poison_goes_to_the_dead_letters_and_the_partition_goes_on() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let log = open_log(dir.path(), 2, Clock::System);
    let home = log.partition_for(b"g");
    let stray = (0..).map(|n| format!("stray{n}")).find(|key| log.partition_for(key.as_bytes()) != home).unwrap();
    let poison = vec![
        (NewRecord::new("g", vec![0xff, 0xff, 0xff]), "ConversationEvent"),
        (NewRecord { key: Some("g".into()), value: None, headers: Vec::new() }, "no value"),
        (NewRecord::new("other", group("g", &[]).value.unwrap()), "is not the event's conversation_id"),
        (
            NewRecord::new(
                "g",
                v1::ConversationEvent { conversation_id: "g".to_owned(), ..Default::default() }.encode_to_vec(),
            ),
            "event",
        ),
        (group(&stray, &["bob"]), "partitioner=murmur2_random"),
        (sent("g", 1), "S8: the group was never created"),
    ];
    let count = poison.len();
    let (records, reasons): (Vec<_>, Vec<_>) = poison.into_iter().unzip();
    log.append_blocking(Topic::Conversations, home, records).unwrap();
    log.append_blocking(Topic::Reads, home, vec![NewRecord::new("g", vec![0xff])]).unwrap();
    append(&log, Topic::Conversations, "g", vec![group("g", &["ann", "bob"]), sent("g", 1)]);
    let projector = start(dir.path(), &log, Clock::System, &runtime);
    let partition = &projector.partitions()[home as usize];
    caught_up(&runtime, &log, partition);
    assert_eq!(receipt(partition, "g", 1).unread_count, 1, "the partition has gone on");

    let letters = log.read(Topic::DeadLetter, home, 0, 100, 1 << 20).unwrap();
    assert_eq!(letters.len(), count + 1);
    let header = |letter: &receipt_log::StoredRecord, name: &str| {
        let found = letter.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.to_vec());
        String::from_utf8(found.unwrap_or_default()).unwrap()
    };
    for (offset, reason) in reasons.iter().enumerate() {
        let letter = letters
            .iter()
            .find(|l| {
                header(l, "receipts.topic") == "receipts.conversations"
                    && header(l, "receipts.offset") == offset.to_string()
            })
            .unwrap();
        assert_eq!(header(letter, "receipts.partition"), home.to_string());
        assert!(header(letter, "receipts.reason").contains(reason), "{reason}: {}", header(letter, "receipts.reason"));
        let Verdict::Rejected(why) = partition.verdict(offset as u64) else { panic!("{offset} was not rejected") };
        assert_eq!(why, header(letter, "receipts.reason"));
    }
    runtime.block_on(projector.stop());
}

#[test]
fn s17_a_mark_over_more_messages_than_one_write_takes_reaches_them_all() {
    const MESSAGES: usize = 45_000;
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let log = open_log(dir.path(), 1, Clock::System);
    append(&log, Topic::Conversations, "g", vec![group("g", &["ann", "bob", "cy"])]);
    for first in (0..MESSAGES).step_by(5000) {
        append(&log, Topic::Conversations, "g", (first..first + 5000).map(|n| sent("g", n)).collect());
    }
    // A stay that ends in the middle and another after it: one mark covers both.
    let leave = event("g", Change::MembersRemoved(vec![user("bob")]));
    let rejoin = event("g", Change::MembersAdded(vec![user("bob")]));
    append(&log, Topic::Conversations, "g", vec![leave, sent("g", MESSAGES), rejoin, sent("g", MESSAGES + 1)]);
    append(&log, Topic::Reads, "g", vec![read("g", "bob", ReadTarget::UpToMessage(message(MESSAGES + 1)))]);
    append(&log, Topic::Reads, "g", vec![read("g", "cy", ReadTarget::UpToMessage(message(10)))]);
    let projector = start(dir.path(), &log, Clock::System, &runtime);
    let partition = &projector.partitions()[0];
    caught_up(&runtime, &log, partition);
    for n in 0..MESSAGES {
        let counts = receipt(partition, "g", n);
        assert_eq!((counts.read_count, counts.unread_count), if n <= 10 { (2, 0) } else { (1, 1) }, "message {n}");
    }
    assert_eq!(receipt(partition, "g", MESSAGES).read_count, 0, "sent between the two stays");
    assert_eq!(receipt(partition, "g", MESSAGES + 1).read_count, 1);
    let users = [user("bob"), user("cy")];
    let states = partition.serve(|store| store.view().unwrap().states(&id("g"), &message(MESSAGES), None, &users));
    assert_eq!(states.unwrap().unwrap().unwrap().states, [ReaderState::NotInAudience, ReaderState::Unread]);
    runtime.block_on(projector.stop());
}

#[test]
fn s30_ticks_move_log_time_where_nobody_talks() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let (clock, hand) = Clock::manual(1_000_000_000);
    let log = open_log(dir.path(), 1, clock.clone());
    for (ticks, now_ms) in [(1, 1_000_000_000), (1, 1_000_000_000 + HOUR_MS), (2, 1_000_000_001 + HOUR_MS)] {
        hand.store(now_ms, Ordering::SeqCst);
        let projector = start(dir.path(), &log, clock.clone(), &runtime);
        runtime.block_on(receipt_test_engine::reaches(&log, Topic::Conversations, 0, ticks));
        caught_up(&runtime, &log, &projector.partitions()[0]);
        runtime.block_on(projector.stop());
        assert_eq!(log.end_offset(Topic::Conversations, 0), ticks, "at {now_ms}");
    }
}

#[test]
fn r7_a_log_trimmed_past_the_store_seals_that_partition_and_no_other() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let log = open_log(dir.path(), 2, Clock::System);
    let home = log.partition_for(b"g");
    append(&log, Topic::Conversations, "g", vec![group("g", &["ann"]), sent("g", 1), sent("g", 2)]);
    log.trim(Topic::Conversations, home, 2).unwrap();
    let projector = start(dir.path(), &log, Clock::System, &runtime);
    let (sealed, other) = (&projector.partitions()[home as usize], &projector.partitions()[1 - home as usize]);
    let Phase::Sealed(why) = runtime.block_on(sealed.settled()) else { panic!("{:?}", sealed.phase()) };
    assert!(why.contains("receipts.conversations up to offset 0, but its log begins at 2"), "{why}");
    assert_eq!(runtime.block_on(other.settled()), Phase::Serving);
    runtime.block_on(projector.stop());
}

/// Dropped, it has ended its threads: they have stores open, and RocksDB breaks where one is closed while the process ends.
#[test]
fn a_projection_that_is_dropped_has_closed_its_stores() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let log = open_log(dir.path(), 4, Clock::System);
    for _ in 0..20 {
        let projector = start(dir.path(), &log, Clock::System, &runtime);
        let sealed = projector.partitions().iter().find(|one| matches!(one.phase(), Phase::Sealed(_)));
        assert!(sealed.is_none(), "a store is still open: {:?}", sealed.map(Partition::phase));
    }
}

#[test]
fn r2_a_restart_folds_nothing_twice() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let log = open_log(dir.path(), 1, Clock::System);
    append(&log, Topic::Conversations, "g", vec![group("g", &["ann", "bob", "cy"]), sent("g", 1)]);
    for reader in ["bob", "cy", "bob"] {
        append(&log, Topic::Reads, "g", vec![read("g", reader, ReadTarget::Messages(vec![message(1)]))]);
        let projector = start(dir.path(), &log, Clock::System, &runtime);
        let partition = &projector.partitions()[0];
        caught_up(&runtime, &log, partition);
        runtime.block_on(projector.stop());
    }
    let projector = start(dir.path(), &log, Clock::System, &runtime);
    let partition = &projector.partitions()[0];
    caught_up(&runtime, &log, partition);
    assert_eq!(receipt(partition, "g", 1).read_count, 2);
    let progress = partition.with_store(|store| store.view().unwrap().progress().clone()).unwrap();
    assert_eq!((progress.messages, progress.receipts), (1, 2));
    assert_eq!(partition.verdict(0), Verdict::Forgotten, "folded by an earlier process");
    runtime.block_on(projector.stop());
}
