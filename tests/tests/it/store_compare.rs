//! Two stores entry by entry: the same whatever the batches, and one altered value is one named difference.

use std::path::Path;

use proptest::prelude::*;
use receipt_codec::{
    key::Kind,
    row::{conversation, cursor, leave, member, message, progress, read_chunk, stub, time_chunk, unread, waiting},
};
use receipt_domain::{
    event::{AudienceSpec, Change, ReadTarget},
    readers::Reader,
    settings::Settings,
    state::{Cursor, Kind as ConversationKind},
};
use receipt_fold_tests::runner::{check, histories_wanted};
use receipt_model::histories;
use receipt_store::{Comparison, Resources, Store};
use receipt_tests::{
    dir,
    feed::{Input, batch, identity},
    scenario::{Script, id, of_message, user},
    walk::{INLINE_READERS_MAX, walk},
};
use rocksdb::{DB, Direction, IteratorMode, Options};

const AT_MS: u64 = 1_000_000_000;
const INLINE_MAX: usize = 256;

fn resources() -> Resources {
    Resources::new(1 << 20, 1 << 20)
}

/// Conversations with rows of every kind, folded in one batch, or in one a stretch.
fn written(dir: &Path, in_one: bool) {
    let mut script = Script::new(Settings::default());
    let store = Store::open(dir, &resources(), &identity(script.settings)).unwrap();
    let fold = |script: &mut Script, store: &Store| {
        if !in_one {
            script.fold_into(store, INLINE_MAX);
        }
    };
    let (alice, bob) = (id("alice"), id("bob"));
    script.read(AT_MS, "g", &user(3), None, of_message("not-yet"));
    script.group(AT_MS, "g", (0..300).map(user).collect());
    script.message(AT_MS, "g", "m1", &user(0), AudienceSpec::AllMembers);
    for n in 1..281 {
        script.read(AT_MS + u64::from(n) * 700, "g", &user(n), None, of_message("m1"));
        if n % 100 == 0 {
            fold(&mut script, &store);
        }
    }
    script.change(AT_MS, "g", Change::MembersRemoved(vec![user(299)]));
    fold(&mut script, &store);
    script.message(AT_MS, "pair", "p1", &alice, AudienceSpec::Peer(bob.clone()));
    script.message(AT_MS, "pair", "p2", &alice, AudienceSpec::Peer(bob.clone()));
    script.read(AT_MS + 9_000, "pair", &bob, None, ReadTarget::UpToMessage(id("p1")));
    script.fold_into(&store, INLINE_MAX);
    store.flush().unwrap();
}

fn compare(this: &Path, other: &Path) -> Comparison {
    let identity = identity(Settings::default());
    let open = |dir| Store::open_read_only(dir, &resources(), &identity).unwrap();
    let (this, other) = (open(this), open(other));
    let mut rows = 0;
    let found = this.view().unwrap().compare(&other.view().unwrap(), 10, |read| {
        rows = read;
        true
    });
    let found = found.unwrap().expect("not stopped");
    assert_eq!(rows, found.this.rows, "it tells how far it is");
    found
}

/// Writes the first row of a kind with another value, or deletes it.
fn alter(dir: &Path, kind: Kind, change: impl FnOnce(&[u8], &[u8]) -> Option<Vec<u8>>) {
    alter_from(dir, &[kind as u8], change);
}

/// The same from a key on.
fn alter_from(dir: &Path, first: &[u8], change: impl FnOnce(&[u8], &[u8]) -> Option<Vec<u8>>) {
    let db = DB::open(&Options::default(), dir).unwrap();
    let (key, value) = db.iterator(IteratorMode::From(first, Direction::Forward)).next().unwrap().unwrap();
    assert_eq!(Kind::of(&key), Kind::of(first), "there is a row of the kind");
    match change(&key, &value) {
        Some(value) => db.put(&key, value).unwrap(),
        None => db.delete(&key).unwrap(),
    }
    db.flush().unwrap();
}

#[test]
fn r1_folded_in_other_batches_all_entries_are_the_same() {
    let dir = dir::temporary();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    written(&one, true);
    written(&two, false);
    let found = compare(&one, &two);
    assert_eq!((found.differences, found.first.len()), (0, 0), "{found:?}");
    assert_eq!(found.this.digest, found.other.digest);
    let store = Store::open_read_only(&one, &resources(), &identity(Settings::default())).unwrap();
    assert_eq!(store.view().unwrap().digest().unwrap(), found.this.digest, "it is the digest");
}

/// One altered row; what is told of it: the place, and what both have.
fn told(kind: Kind, change: impl FnOnce(&[u8], &[u8]) -> Option<Vec<u8>>) -> Told {
    let (found, first) = told_of(&[kind as u8], change);
    assert_ne!(found.this.digest, found.other.digest);
    first
}

/// The same of what shows in no answer, and so in no digest.
fn told_hidden(kind: Kind, change: impl FnOnce(&[u8], &[u8]) -> Option<Vec<u8>>) -> Told {
    told_hidden_at(vec![kind as u8], change)
}

fn told_hidden_at(from: Vec<u8>, change: impl FnOnce(&[u8], &[u8]) -> Option<Vec<u8>>) -> Told {
    let (found, first) = told_of(&from, change);
    assert_eq!(found.this.digest, found.other.digest);
    first
}

type Told = (String, Option<String>, Option<String>);

fn told_of(from: &[u8], change: impl FnOnce(&[u8], &[u8]) -> Option<Vec<u8>>) -> (Comparison, Told) {
    let dir = dir::temporary();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    written(&one, true);
    written(&two, true);
    alter_from(&one, from, change);
    let mut found = compare(&one, &two);
    assert_eq!((found.differences, found.first.len()), (1, 1), "{found:?}");
    let first = found.first.remove(0);
    (found, (first.place.to_string(), first.this, first.other))
}

#[test]
fn r7_an_altered_value_is_named() {
    let (place, this, other) = told(Kind::Conversation, |_, value| {
        let mut row = conversation::decode(value).unwrap();
        row.next_position += 1;
        Some(conversation::encode(&row).unwrap())
    });
    assert_eq!(place, "conversation, conversation g");
    assert!(this.unwrap().contains("next_position: 3") && other.unwrap().contains("next_position: 2"));

    let (place, this, other) = told(Kind::Message, |_, value| {
        let mut row = message::decode(value).unwrap();
        row.audience_size += 1;
        Some(message::encode(&row).unwrap())
    });
    assert_eq!(place, "message, conversation g, message m1 (position 1)");
    assert!(this.unwrap().contains("audience_size: 300") && other.unwrap().contains("audience_size: 299"));

    let (place, ..) = told(Kind::Stub, |_, value| {
        let mut row = stub::decode(value).unwrap();
        row.asks = !row.asks;
        Some(stub::encode(&row).unwrap())
    });
    assert_eq!(place, "stub, conversation g, message m1");

    let (place, ..) = told(Kind::Leave, |_, value| {
        let mut row = leave::decode(value).unwrap();
        row.log_time_ms += 1;
        Some(leave::encode(&row).unwrap())
    });
    assert_eq!(place, "leave, conversation g (leave 0)");

    let (place, ..) = told(Kind::Member, |_, value| {
        let mut row = member::decode(value).unwrap();
        row.user = id("mallory");
        Some(member::encode(&row).unwrap())
    });
    // By the other store, which is the right one.
    assert_eq!(place, format!("member, conversation g, user {} (ordinal 0)", user(0)));

    let (place, ..) = told(Kind::Unread, |_, value| Some(unread::encode(unread::decode(value).unwrap() + 1).unwrap()));
    assert!(place.starts_with("unread, conversation pair, message p2, user bob"), "{place}");

    let (place, this, other) = told(Kind::Waiting, |_, value| {
        let mut row = waiting::decode(value).unwrap();
        row.read_at_ms += 1;
        Some(waiting::encode(&row).unwrap())
    });
    assert_eq!(place, "waiting, conversation g, message not-yet");
    assert!(this.unwrap().contains(&format!("read_at_ms: {}", AT_MS + 1)) && other.is_some());

    let (place, this, _) = told(Kind::Progress, |_, value| {
        let mut row = progress::decode(value).unwrap();
        row.messages += 1;
        Some(progress::encode(&row).unwrap())
    });
    assert_eq!(place, "progress");
    assert!(this.unwrap().contains("messages: 4"));
}

/// In a large read set each reader stands twice, by ordinal and by time, and each place by itself can be wrong.
#[test]
fn r7_an_altered_reader_is_named() {
    let (place, this, other) = told(Kind::ReadChunk, |_, value| {
        let mut row = read_chunk::decode(value).unwrap();
        row.join(Reader { read_at_s: 1_000_003, ordinal: 7 });
        Some(read_chunk::encode(AT_MS, &row))
    });
    assert_eq!(
        place,
        format!("reader, by ordinal, conversation g, message m1, user {} (position 1, ordinal 7)", user(7))
    );
    assert_eq!((this.as_deref(), other.as_deref()), (Some("read at 1000003 s"), Some("read at 1000004 s")));

    let (place, this, other) = told(Kind::TimeChunk, |_, value| {
        let mut row = time_chunk::decode(value).unwrap();
        row.pop();
        Some(time_chunk::encode(AT_MS, &row))
    });
    assert!(place.starts_with("reader, by time, conversation g, message m1, user user-"), "{place}");
    assert!(this.is_none() && other.unwrap().starts_with("read at "));
}

#[test]
fn r7_a_row_that_is_missing_is_named() {
    let (place, this, other) = told(Kind::Stub, |_, _| None);
    assert_eq!(place, "stub, conversation g, message m1");
    assert!(this.is_none() && other.unwrap().contains("position: 1"));
}

#[test]
fn r7_an_undecodable_row_is_named_with_its_side() {
    let dir = dir::temporary();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    written(&one, true);
    written(&two, true);
    alter(&one, Kind::Message, |_, value| Some(value[..value.len() / 2].to_vec()));
    let identity = identity(Settings::default());
    let open = |dir: &Path| Store::open_read_only(dir, &resources(), &identity).unwrap();
    let (this, other) = (open(&one), open(&two));
    let error = this.view().unwrap().compare(&other.view().unwrap(), 10, |_| true).unwrap_err();
    assert_eq!(error.side, receipt_store::Side::This);
    let said = error.to_string();
    assert!(
        said.contains("message (conversation number 0, position 1") && said.contains("undecodable message"),
        "{said}"
    );
}

/// How far up-to reads are expanded depends on the order in which the topics were folded.
#[test]
fn what_claims_less_is_not_compared() {
    let dir = dir::temporary();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    written(&one, true);
    written(&two, true);
    alter(&one, Kind::Cursor, |_, value| {
        let mut row = cursor::decode(value).unwrap();
        row.latest_read_s += 1;
        Some(cursor::encode(&row).unwrap())
    });
    assert_eq!(compare(&one, &two).differences, 0);
}

#[test]
fn r7_a_claim_that_is_not_true_is_named() {
    let cursor = |change: fn(&mut Cursor)| {
        told_hidden(Kind::Cursor, |_, value| {
            let mut row = cursor::decode(value).unwrap();
            change(&mut row);
            Some(cursor::encode(&row).unwrap())
        })
    };
    let (place, this, other) = cursor(|row| row.position += 1);
    assert_eq!(place, "cursor, conversation pair, user bob");
    assert!(this.unwrap().contains("position: 2"));
    assert_eq!(other.as_deref(), Some("message p2 (position 2) is not read"));
    let (_, this, other) = cursor(|row| row.position += 2);
    assert!(this.unwrap().contains("position: 3"));
    assert_eq!(other.as_deref(), Some("no message is known at its position"));
    let (_, _, other) = cursor(|row| row.latest_read_s -= 1);
    assert_eq!(other.as_deref(), Some("message p1 (position 1) is read at 1000009 s"));
    let (_, _, other) = cursor(|row| row.log_time_ms += 1);
    assert_eq!(other, Some(format!("log_time_ms: {AT_MS}, by the message at its position")));

    let (place, this, other) = told_hidden_at(conversation::key(&id("pair")), |_, value| {
        let mut row = conversation::decode(value).unwrap();
        if let ConversationKind::OneToOne(two) = &mut row.kind {
            two.latest_read_s[1] -= 1;
        }
        Some(conversation::encode(&row).unwrap())
    });
    assert_eq!(place, "conversation, conversation pair");
    assert_eq!(this.as_deref(), Some("latest_read_s: [0, 1000008]"));
    assert_eq!(other.as_deref(), Some("at least [0, 1000009], by its messages"));
}

/// Until when a large read set is kept shows in no answer before that.
#[test]
fn r7_an_altered_log_time_of_a_large_read_set_is_named() {
    let (place, this, other) = told_hidden(Kind::ReadChunk, |_, value| {
        Some(read_chunk::encode(AT_MS + 1, &read_chunk::decode(value).unwrap()))
    });
    assert_eq!(place, "read chunk, conversation g, message m1 (position 1)");
    let of = |ms: u64| Some(format!("log time {ms} ms"));
    assert_eq!((this, other), (of(AT_MS + 1), of(AT_MS)));
    let (place, ..) = told_hidden(Kind::TimeChunk, |_, value| {
        Some(time_chunk::encode(AT_MS + 1, &time_chunk::decode(value).unwrap()))
    });
    assert_eq!(place, "time chunk, conversation g, message m1 (position 1)");
}

#[test]
fn r7_an_altered_count_of_receipts_is_named() {
    let (place, this, _) = told_hidden(Kind::Progress, |_, value| {
        let mut row = progress::decode(value).unwrap();
        row.receipts += 1;
        Some(progress::encode(&row).unwrap())
    });
    assert_eq!(place, "progress");
    assert!(this.unwrap().contains("receipts: 282"));
}

/// R1: what is compared beyond the digest is the same for any order and batches, too.
#[test]
fn r1_in_any_order_all_entries_are_the_same() {
    let resources = Resources::new(1 << 20, 1 << 20);
    check("orders", histories_wanted(200), &histories(), |history| {
        let dir = dir::temporary();
        let open = |name: &str| Store::open(&dir.path().join(name), &resources, &identity(history.settings)).unwrap();
        let conversations = || history.conversations.iter().cloned().map(Input::Conversations);
        let reads = || history.reads.iter().cloned().map(Input::Reads);
        let (one, two) = (open("one"), open("two"));
        batch(&one, INLINE_READERS_MAX, conversations());
        batch(&one, INLINE_READERS_MAX, reads());
        batch(&two, INLINE_READERS_MAX, reads());
        batch(&two, INLINE_READERS_MAX, conversations());
        let same = |one: &Store, two: &Store| {
            let found = one.view().unwrap().compare(&two.view().unwrap(), 10, |_| true).unwrap().unwrap();
            prop_assert_eq!(found.differences, 0, "{:?}", found.first);
            Ok(())
        };
        same(&one, &two)?;
        let stages = history.stages().len();
        walk(&history, &resources, |index, _, store| if index + 1 == stages { same(store, &one) } else { Ok(()) })
    });
}
