//! Rows of messages: stubs by id, read sets by ordinal and by time, and unread one-to-one messages.

use std::collections::{BTreeMap, BTreeSet};

use receipt_domain::{
    readers::{Reader, Readers},
    state::{Audience, Kind, Message},
};

use super::Rows;

pub(super) fn check(rows: &Rows) {
    let mut by_ordinal: BTreeMap<(u64, u64), Vec<Reader>> = BTreeMap::new();
    for ((number, position, chunk), row) in rows.set.reads.rows() {
        by_ordinal.entry((*number, *position)).or_default().extend(row.readers(*chunk));
    }
    let unread: BTreeSet<(u64, u32, (u64, u64))> = rows.unread.iter().copied().collect();
    for (key, message) in rows.set.messages.rows() {
        let (_, conversation) = &rows.conversations[&key.0];
        assert!(key.1 < conversation.next_position, "message {key:?} is in the future");
        if rows.is_expired(message.log_time_ms) {
            continue;
        }
        let chunks = by_ordinal.remove(key).unwrap_or_default();
        read_set(rows, *key, message, chunks);
        let stub = rows.set.stubs.get(&(key.0, message.id.clone())).ok().flatten().expect("a stub");
        assert_eq!((stub.position, stub.log_time_ms, stub.asks), (key.1, message.log_time_ms, true));
        if let (Kind::OneToOne(_), Audience::Listed(peer)) = (&conversation.kind, &message.audience)
            && let Some(peer) = peer.first()
        {
            let is_unread = unread.contains(&(key.0, *peer, (message.occurred_at_ms, key.1)));
            assert_eq!(is_unread, message.readers.count() == 0, "message {key:?} among the unread");
        }
    }
    belongings(rows);
}

/// The counts, the chunks and the index by time are of the same readers.
fn read_set(rows: &Rows, key: (u64, u64), message: &Message, mut chunks: Vec<Reader>) {
    let stretches = rows.stretches.get(&key).map(Vec::as_slice).unwrap_or_default();
    let Readers::Chunked(count) = &message.readers else {
        assert!(chunks.is_empty() && stretches.is_empty(), "a small read set of {key:?} with chunks");
        return;
    };
    assert_eq!(chunks.len(), *count as usize, "readers in the chunks of {key:?}");
    let mut by_time: Vec<Reader> = Vec::new();
    for (first, readers) in stretches {
        assert!(by_time.last().is_none_or(|before| before < first), "the stretch {first:?} of {key:?} overlaps");
        assert!(
            readers.first().is_some_and(|reader| first <= reader),
            "the stretch {first:?} of {key:?} begins before"
        );
        by_time.extend(readers);
    }
    assert!(by_time.is_sorted(), "the index by time of {key:?}");
    chunks.sort();
    assert_eq!(by_time, chunks, "the index by time and the chunks of {key:?}");
    let wrong = chunks.iter().find(|reader| !message.addresses(reader.ordinal));
    assert_eq!(wrong, None, "readers of {key:?} who are not in its audience");
}

/// What belongs to a message goes with it, sooner or later.
fn belongings(rows: &Rows) {
    for (key, log_time_ms) in &rows.read_set_times {
        match rows.set.messages.get(key) {
            Ok(Some(message)) => assert_eq!(message.log_time_ms, *log_time_ms, "a chunk of {key:?}"),
            _ => assert!(rows.is_expired(*log_time_ms), "a chunk of {key:?}, which has no row"),
        }
    }
    for (number, ordinal, (sent_at_ms, position)) in &rows.unread {
        if let Ok(Some(message)) = rows.set.messages.get(&(*number, *position)) {
            assert!(message.addresses(*ordinal), "{ordinal} of {number} is not to read {position}");
            assert_eq!(message.occurred_at_ms, *sent_at_ms, "when {position} of {number} was sent");
        }
    }
    for ((number, id), stub) in rows.set.stubs.rows() {
        let (_, conversation) = &rows.conversations[number];
        assert!(stub.position < conversation.next_position, "{id} is in the future");
        if stub.asks && !rows.is_expired(stub.log_time_ms) {
            let message = rows.set.messages.get(&(*number, stub.position)).ok().flatten();
            assert_eq!(message.map(|message| &message.id), Some(id), "the message at {number}, {}", stub.position);
        }
    }
}
