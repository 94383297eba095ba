//! R8: a batch is closed by the bytes that it has in memory.

use std::path::Path;

use prost::Message as _;
use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, ReadEvent, ReadTarget},
    id::{ConversationId, GroupType, MessageId, UserId},
    settings::Settings,
};
use receipt_log::{Clock, EmbeddedOptions, NewRecord};
use receipt_proto::v1;
use receipt_store::Resources;

use super::*;
use crate::projector::identity;

const BATCH_BYTES: usize = 1 << 20;

/// What each write had in memory: bytes of its records, and of rows and effects.
#[derive(Default)]
struct Writes {
    records: Vec<usize>,
    written: Vec<(usize, usize)>,
}

impl Ends for Writes {
    fn folded(&mut self, _: Topic, record: &StoredRecord, _: &Outcome) {
        self.records.push(record.bytes());
    }

    fn follows(
        &mut self,
        effects: Effects,
        rows: &WorkingSet,
        _: Offsets,
        _: &watch::Receiver<bool>,
    ) -> Result<(), ProjectorError> {
        let records = std::mem::take(&mut self.records);
        self.written.push((records.iter().sum(), rows.bytes() + effects.bytes()));
        Ok(())
    }

    fn paused(&mut self, _: Offsets) {}
}

fn id<const MAX: usize, const KIND: char>(text: &str) -> receipt_domain::id::Id<MAX, KIND> {
    receipt_domain::id::Id::new(text).unwrap()
}

fn event(conversation: &str, change: Change) -> NewRecord {
    let conversation_id: ConversationId = id(conversation);
    let event = ConversationEvent { conversation: conversation_id, occurred_at_ms: None, version: 0, change };
    let value = v1::ConversationEvent::from(&Event::Conversation(event)).encode_to_vec();
    NewRecord::new(conversation.to_owned().into_bytes(), value)
}

fn group(conversation: &str, members: usize) -> NewRecord {
    let group_type: GroupType = id("work");
    let members: Vec<UserId> = (0..members).map(|n| id(&format!("u{n}"))).collect();
    event(conversation, Change::GroupCreated { group_type, members })
}

fn sent(conversation: &str, message: usize) -> NewRecord {
    let (sender, message): (UserId, MessageId) = (id("u0"), id(&format!("m{message}")));
    let audience = AudienceSpec::AllMembers;
    event(conversation, Change::MessageSent { message, sender, need_read_receipt: true, audience })
}

fn read(reader: usize, target: ReadTarget) -> NewRecord {
    let event = ReadEvent { conversation: id("g"), reader: id(&format!("u{reader}")), read_at_ms: None, target };
    NewRecord::new("g", v1::ReadEvent::from(&event).encode_to_vec())
}

fn log(dir: &Path) -> Log {
    let (retention_ms, clock) = (0, Clock::System);
    let dir = dir.join("log");
    Log::open_embedded(EmbeddedOptions { dir, partitions: 1, retention_ms, accept_clock_jump: false, clock }).unwrap()
}

/// Folds what the log has; what each write had, and how many batches there were.
fn folded(dir: &Path, log: &Log) -> (Vec<(usize, usize)>, usize) {
    let resources = Resources::new(8 << 20, 8 << 20).with_batch_bytes(BATCH_BYTES);
    let store = Store::open(&dir.join("store"), &resources, &identity(log, 0, Settings::default())).unwrap();
    let mut folding = Folding::new(log.clone(), store, 0, None).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let (mut writes, mut batches) = (Writes::default(), 0);
    while folding.batch(&mut writes, &stopped).unwrap() {
        batches += 1;
    }
    (writes.written, batches)
}

#[test]
fn r8_records_of_a_batch_are_bounded_by_bytes() {
    const POISON_BYTES: usize = 300_000;
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path());
    let poison = || NewRecord::new("g", vec![0xff; POISON_BYTES]);
    log.append_blocking(Topic::Conversations, 0, (0..20).map(|_| poison()).collect()).unwrap();
    log.append_blocking(Topic::Reads, 0, (0..20).map(|_| poison()).collect()).unwrap();
    let (writes, batches) = folded(dir.path(), &log);
    assert_eq!(batches, 10, "of four each");
    assert!(writes.iter().all(|(records, _)| *records < BATCH_BYTES + POISON_BYTES + 1000), "{writes:?}");
}

#[test]
fn r8_rows_of_a_batch_are_bounded_by_bytes_and_one_record_may_exceed_that_alone() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path());
    // Some 300 kB of rows each; and then one of several MB, between small ones.
    let mut records: Vec<_> = (0..20).map(|n| group(&format!("g{n}"), 700)).collect();
    records.extend([group("small", 10), group("large", 9_000), group("small too", 10)]);
    log.append_blocking(Topic::Conversations, 0, records).unwrap();
    let (writes, _) = folded(dir.path(), &log);
    let (over, within): (Vec<(usize, usize)>, Vec<_>) = writes.iter().partition(|(_, rows)| *rows > 2 * BATCH_BYTES);
    assert_eq!(over.len(), 1, "{writes:?}");
    assert!(within.len() >= 4 && over[0].1 < 8 * BATCH_BYTES, "{writes:?}");
    assert_eq!(within.iter().map(|(records, _)| records).min(), writes.last().map(|(records, _)| records));
}

/// In a group whose messages have large read sets, each mark of another part of the group loads another chunk of each.
#[test]
fn r8_chunks_and_effects_of_marks_are_bounded_by_bytes() {
    const MESSAGES: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path());
    log.append_blocking(Topic::Conversations, 0, vec![group("g", 9_000)]).unwrap();
    log.append_blocking(Topic::Conversations, 0, (0..MESSAGES).map(|n| sent("g", n)).collect()).unwrap();
    let all: Vec<MessageId> = (0..MESSAGES).map(|n| id(&format!("m{n}"))).collect();
    let reads = (1..270).map(|reader| read(reader, ReadTarget::Messages(all.clone())));
    log.append_blocking(Topic::Reads, 0, reads.collect()).unwrap();
    let up_to = || ReadTarget::UpToMessage(id(&format!("m{}", MESSAGES - 1)));
    let marks = (0..160).map(|n| read(300 + n * 50, up_to()));
    log.append_blocking(Topic::Reads, 0, marks.collect()).unwrap();
    let (writes, _) = folded(dir.path(), &log);
    // The group is one record, and so is the receipt that makes all read sets large ones, of some 1.5 MB.
    let (_, rest) = writes.split_first().unwrap();
    assert!(rest.iter().all(|(_, rows)| *rows < 3 * BATCH_BYTES), "{writes:?}");
    // The marks touch some 4 MB of chunks, and change some 2 MB of what follows.
    let marks: Vec<_> = rest.iter().filter(|(records, _)| *records < 2_000).collect();
    assert!(marks.len() >= 6 && marks.iter().all(|(_, rows)| *rows < 2 * BATCH_BYTES), "{writes:?}");
}
