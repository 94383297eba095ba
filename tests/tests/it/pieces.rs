//! S16, S17, S19: marks and reads that are too long for one write are taken in pieces, also where they waited.

use std::sync::atomic::Ordering;

use receipt_domain::event::{AudienceSpec, Change, ReadTarget};
use receipt_log::{Clock, NewRecord, Topic};
use tokio::runtime::Runtime;

use crate::projector::{append, caught_up, event, group, message, open_log, read, receipt, sent, start, user};

/// More than two writes take.
const MESSAGES: usize = 45_000;
const START_MS: u64 = 1_700_000_000_000;

fn to_peer(conversation: &str, n: usize) -> NewRecord {
    let change = Change::MessageSent {
        message: message(n),
        sender: user("ann"),
        need_read_receipt: true,
        audience: AudienceSpec::Peer(user("bob")),
    };
    event(conversation, change)
}

#[test]
fn s17_a_mark_that_waited_for_its_message_is_taken_in_pieces() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let log = open_log(dir.path(), 1, Clock::System);
    let waiting = read("g", "bob", ReadTarget::UpToMessage(message(MESSAGES)));
    append(&log, Topic::Reads, "g", vec![waiting]);
    append(&log, Topic::Conversations, "g", vec![group("g", &["ann", "bob", "cy"])]);
    for first in (0..MESSAGES).step_by(5_000) {
        append(&log, Topic::Conversations, "g", (first..first + 5_000).map(|n| sent("g", n)).collect());
    }
    append(&log, Topic::Conversations, "g", vec![sent("g", MESSAGES), sent("g", MESSAGES + 1)]);
    let projector = start(dir.path(), &log, Clock::System, &runtime);
    let partition = &projector.partitions()[0];
    caught_up(&runtime, &log, partition);
    for n in (0..=MESSAGES).step_by(77).chain([MESSAGES]) {
        let counts = receipt(partition, "g", n);
        assert_eq!((counts.read_count, counts.unread_count), (1, 1), "message {n}");
    }
    assert_eq!(receipt(partition, "g", MESSAGES + 1).read_count, 0, "after the one that is named");
    runtime.block_on(projector.stop());
}

#[test]
fn s19_a_mark_up_to_a_time_is_taken_in_pieces() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let (clock, hand) = Clock::manual(START_MS);
    let log = open_log(dir.path(), 1, clock.clone());
    for first in (0..MESSAGES).step_by(5_000) {
        append(&log, Topic::Conversations, "p", (first..first + 5_000).map(|n| to_peer("p", n)).collect());
    }
    hand.fetch_add(1_000, Ordering::SeqCst);
    append(&log, Topic::Reads, "p", vec![read("p", "bob", ReadTarget::UpToTime(START_MS + 1_000))]);
    hand.fetch_add(1_000, Ordering::SeqCst);
    append(&log, Topic::Conversations, "p", vec![to_peer("p", MESSAGES)]);
    // One with an earlier time has to look at what is read as well.
    hand.fetch_add(1_000, Ordering::SeqCst);
    append(&log, Topic::Reads, "p", vec![read("p", "bob", ReadTarget::UpToTime(START_MS + 3_000))]);
    let projector = start(dir.path(), &log, clock, &runtime);
    let partition = &projector.partitions()[0];
    caught_up(&runtime, &log, partition);
    for n in (0..=MESSAGES).step_by(77).chain([MESSAGES]) {
        let read_at_ms = receipt(partition, "p", n).peer.unwrap().read_at_ms;
        let expected = START_MS + if n < MESSAGES { 1_000 } else { 3_000 };
        assert_eq!(read_at_ms, Some(expected), "message {n}");
    }
    runtime.block_on(projector.stop());
}

#[test]
fn s16_many_waiting_reads_of_one_user_are_one() {
    const READS: usize = 300_000;
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let log = open_log(dir.path(), 1, Clock::System);
    let one = || read("g", "bob", ReadTarget::Messages(vec![message(1)]));
    for _ in (0..READS).step_by(10_000) {
        append(&log, Topic::Reads, "g", (0..10_000).map(|_| one()).collect());
    }
    append(&log, Topic::Conversations, "g", vec![group("g", &["ann", "bob"]), sent("g", 1)]);
    let projector = start(dir.path(), &log, Clock::System, &runtime);
    let partition = &projector.partitions()[0];
    caught_up(&runtime, &log, partition);
    assert_eq!(receipt(partition, "g", 1).read_count, 1);
    let waiting = |store: &receipt_store::Store| {
        let first = receipt_codec::key::Kind::Waiting as u8;
        store.rows().map(Result::unwrap).filter(|(key, _)| key[0] == first).count()
    };
    assert_eq!(partition.serve(waiting).unwrap(), 0, "all of them are counted");
    runtime.block_on(projector.stop());
}
