//! A value altered by one in any row: it is found and named, or shows in no answer, then or later.
//!
//! What is not found, and why it cannot show:
//! - a cursor that claims what is true all the same, such as one that stands further back or names a later time: what it
//!   leaves out is joined once more, which changes nothing;
//! - a latest read time of a one-to-one conversation that is later: more messages are looked at, with the same outcome;
//! - how many leaves a message has applied, where those in between are of nobody who is to read it, or who had read it:
//!   the number of those who left unread is compared to the log's end, and stays what it is;
//! - how far a pass over a group's messages is that counts its leaves: it is work still to be done. Where it is altered, a
//!   sender may be notified of a leave late or not at all; what a query answers is right without it;
//! - a mark up to a time in a group, or of someone else than the two: it never covers anything;
//! - what has expired, before and after: neither the fold nor a query looks at it, and log time does not go back;
//! - the name of the log for people, in the identity; and receipts ever counted, once a message has expired;
//! - other bytes for the same values.
//!
//! That it shows in none is tried: the rest of the history, and marks by everyone, fold to the same state.

use std::{collections::BTreeMap, path::Path};

use proptest::prelude::*;
use receipt_codec::{expiry, key::Kind, row::progress};
use receipt_domain::event::{Change, Event, ReadEvent, ReadTarget, Record};
use receipt_fold_tests::runner::{check, histories_wanted};
use receipt_model::{History, histories};
use receipt_store::{Comparison, Resources, Row, Rows, Store};
use receipt_tests::{
    dir,
    feed::{Input, batch, identity},
    files::copy,
    random::Random,
    walk::INLINE_READERS_MAX,
};
use rocksdb::{DB, IteratorMode, Options};

/// Rows of a kind that are altered in each history, at most.
const ALTERED_OF_A_KIND: usize = 2;
/// Bytes that are tried, until the value decodes.
const TRIES: usize = 6;

fn inputs(history: &History, conversations: (usize, usize), reads: (usize, usize)) -> [Vec<Input>; 2] {
    [
        history.conversations[conversations.0..conversations.1].iter().cloned().map(Input::Conversations).collect(),
        history.reads[reads.0..reads.1].iter().cloned().map(Input::Reads).collect(),
    ]
}

/// Folds both topics in batches of any size, each after any of the other.
fn interleaved(store: &Store, [conversations, reads]: [Vec<Input>; 2], random: &mut Random) {
    let mut topics = [conversations.into_iter().peekable(), reads.into_iter().peekable()];
    while topics.iter_mut().any(|topic| topic.peek().is_some()) {
        let topic = usize::try_from(random.below(2)).unwrap();
        let records = usize::try_from(1 + random.below(5)).unwrap();
        batch(store, INLINE_READERS_MAX, topics[topic].by_ref().take(records));
    }
}

/// What comes later: the rest of the history, then marks up to every message by everyone.
fn folded_on(dir: &Path, resources: &Resources, history: &History, folded: (usize, usize)) -> Store {
    let store = Store::open(dir, resources, &identity(history.settings)).unwrap();
    let rest = inputs(history, (folded.0, history.conversations.len()), (folded.1, history.reads.len()));
    batch(&store, INLINE_READERS_MAX, rest.into_iter().flatten());
    let mut readers: Vec<_> =
        history.reads.iter().filter_map(|record| record.event.as_ref().ok().map(|read| read.reader.clone())).collect();
    readers.sort();
    readers.dedup();
    let arrival_ms = store.view().unwrap().progress().log_time_ms;
    let mut offset = history.reads.len() as u64;
    let mut reads = Vec::new();
    for record in &history.conversations {
        let Ok(Event::Conversation(event)) = &record.event else { continue };
        let Change::MessageSent { message, .. } = &event.change else { continue };
        for reader in &readers {
            // One kind a history: earlier reads would hide what a later one misses.
            let (read_at_ms, target) = match folded.0 % 3 {
                0 => (arrival_ms, ReadTarget::UpToMessage(message.clone())),
                1 => (record.arrival_ms, ReadTarget::UpToMessage(message.clone())),
                _ => (record.arrival_ms, ReadTarget::UpToTime(record.arrival_ms)),
            };
            let event = ReadEvent {
                conversation: event.conversation.clone(),
                reader: reader.clone(),
                read_at_ms: Some(read_at_ms),
                target,
            };
            reads.push(Input::Reads(Record { offset, arrival_ms, event: Ok(event) }));
            offset += 1;
        }
    }
    batch(&store, INLINE_READERS_MAX, reads);
    store
}

fn compare(one: &Store, two: &Store) -> Result<Comparison, String> {
    let found = one.view().unwrap().compare(&two.view().unwrap(), 10_000, |_| true);
    found.map(|found| found.expect("not stopped")).map_err(|error| error.to_string())
}

/// Another value that decodes, for one of these rows: one byte more or less by one.
fn altered(dir: &Path, rows: &[Row], random: &mut Random) -> Option<(Row, Box<[u8]>)> {
    let (key, before) = random.one_of(rows).clone();
    for _ in 0..TRIES {
        let mut after = before.clone();
        let at = usize::try_from(random.below(after.len() as u64)).unwrap();
        after[at] = if random.below(2) == 0 { after[at].wrapping_add(1) } else { after[at].wrapping_sub(1) };
        let db = DB::open(&Options::default(), dir).unwrap();
        db.put(&key, &after).unwrap();
        drop(db);
        let shown = Rows::open(dir).unwrap().unwrap().get(&key).unwrap().unwrap();
        if shown.row.is_ok() {
            return Some(((key, before), after));
        }
    }
    None
}

fn rows_by_kind(dir: &Path) -> BTreeMap<Kind, Vec<Row>> {
    let db = DB::open(&Options::default(), dir).unwrap();
    let mut kinds = BTreeMap::<_, Vec<_>>::new();
    for row in db.iterator(IteratorMode::Start) {
        let (key, value) = row.unwrap();
        kinds.entry(Kind::of(&key).unwrap()).or_default().push((key, value));
    }
    kinds
}

/// Whether one of the differences names the row's kind.
fn names(found: &Comparison, kind: Kind) -> bool {
    let name = format!("{kind:?}");
    let kind = name.chars().flat_map(|c| c.is_uppercase().then_some(' ').into_iter().chain(c.to_lowercase()));
    let kind = kind.collect::<String>().trim().to_owned();
    let reader = match kind.as_str() {
        "read chunk" => "reader, by ordinal",
        "time chunk" => "reader, by time",
        _ => "reader",
    };
    found.first.iter().any(|one| one.place.row == kind || one.place.row == reader)
}

/// What of a kind may stay unfound, by the list above.
fn may_stay(history: &History, kind: Kind, key: &[u8], before: &[u8], after: &[u8], log_time_ms: u64) -> bool {
    let expired = |value| expiry::is_expired(&history.settings, log_time_ms, key, value).unwrap();
    match kind {
        Kind::Identity | Kind::Cursor | Kind::Conversation | Kind::Message | Kind::Sweep | Kind::TimeMark => true,
        // Verify folds up to the offsets that the state says, whichever those are.
        Kind::Progress => true,
        // Some of a user's memberships may have expired, and not all.
        Kind::Memberships => history.settings.retention_ms != 0,
        _ => expired(before) && expired(after),
    }
}

#[test]
fn r7_a_value_altered_by_one_is_named_or_shows_in_no_answer() {
    let resources = Resources::new(1 << 20, 1 << 20);
    let tried = std::cell::RefCell::new(BTreeMap::<Kind, [u32; 3]>::new());
    check("altered values", histories_wanted(8), &(histories(), any::<u64>()), |(history, seed)| {
        let mut random = Random::new(seed);
        let dir = dir::temporary();
        let (live, aside) = (dir.path().join("live"), dir.path().join("aside"));
        let half = |len: usize, random: &mut Random| len - usize::try_from(random.below(len as u64 / 3 + 1)).unwrap();
        let folded = (half(history.conversations.len(), &mut random), half(history.reads.len(), &mut random));
        let records = || inputs(&history, (0, folded.0), (0, folded.1));
        let open = |dir: &Path| Store::open(dir, &resources, &identity(history.settings)).unwrap();
        let (one, two) = (open(&live), open(&aside));
        interleaved(&one, records(), &mut random);
        interleaved(&two, records(), &mut random);
        one.flush().unwrap();
        let log_time_ms = one.view().unwrap().progress().log_time_ms;
        let same = compare(&one, &two).unwrap();
        prop_assert_eq!(same.differences, 0, "{:?}", same.first);
        drop(one);
        for (kind, rows) in rows_by_kind(&live) {
            for n in 0..ALTERED_OF_A_KIND {
                let damaged = dir.path().join(format!("{kind:?}-{n}"));
                copy(&live, &damaged);
                let Some(((key, before), after)) = altered(&damaged, &rows, &mut random) else { continue };
                let mut tried = tried.borrow_mut();
                let [named, refused, harmless] = tried.entry(kind).or_default();
                let offsets = |value| progress::decode(value).map(|row| (row.conversations_offset, row.reads_offset));
                let Ok(store) = Store::open_read_only(&damaged, &resources, &identity(history.settings)) else {
                    *refused += 1;
                    continue;
                };
                let found = match compare(&store, &two) {
                    Ok(found) => found,
                    Err(_) => {
                        *refused += 1;
                        continue;
                    }
                };
                drop(store);
                let row = || format!("{kind:?} {key:02x?}, {before:02x?} to {after:02x?}: {:?}", found.first);
                if found.differences > 0 {
                    prop_assert!(names(&found, kind), "another row is named than {}", row());
                    *named += 1;
                    continue;
                }
                prop_assert!(may_stay(&history, kind, &key, &before, &after, log_time_ms), "not found: {}", row());
                *harmless += 1;
                if kind == Kind::Progress && offsets(&before) != offsets(&after) {
                    continue;
                }
                let right = dir.path().join(format!("{kind:?}-{n}-right"));
                copy(&live, &right);
                let this = folded_on(&damaged, &resources, &history, folded);
                let other = folded_on(&right, &resources, &history, folded);
                let later = compare(&this, &other).unwrap();
                prop_assert_eq!(later.differences, 0, "it shows later: {}; {:?}", row(), later.first);
                prop_assert_eq!(later.this.digest, later.other.digest);
            }
        }
        Ok(())
    });
    for (kind, [named, refused, harmless]) in tried.into_inner() {
        println!("{kind:?}: {named} named, {refused} refused, {harmless} harmless");
    }
}
