//! Rows from RocksDB into a working set: single rows with one batched read, ranges each with a scan.

use receipt_codec::row::{
    active, conversation, cursor, leave, member, memberships, message, progress, read_chunk, stub, sweep, time_mark,
    unread, waiting,
};
use receipt_domain::{
    state::Progress,
    working_set::{Need, WorkingSet},
};
use rocksdb::{DB, Direction, IteratorMode, ReadOptions};

use crate::error::StoreError;

/// Loads what is needed, as one moment has it where the options name a snapshot.
pub(crate) fn load(
    db: &DB,
    options: &impl Fn() -> ReadOptions,
    needs: &[Need],
    rows: &mut WorkingSet,
) -> Result<(), StoreError> {
    let mut points = Vec::with_capacity(needs.len());
    for need in needs {
        match point_key(need) {
            Some(key) => points.push((need, key)),
            None => load_range(db, options(), need, rows)?,
        }
    }
    match points.as_slice() {
        [] => {}
        [(need, key)] => take_point(need, db.get_pinned_opt(key, &options())?.as_deref(), rows)?,
        many => {
            let Some(family) = db.cf_handle(rocksdb::DEFAULT_COLUMN_FAMILY_NAME) else {
                for (need, key) in many {
                    take_point(need, db.get_pinned_opt(key, &options())?.as_deref(), rows)?;
                }
                return Ok(());
            };
            let values = db.batched_multi_get_cf_opt(family, many.iter().map(|(_, key)| key), false, &options());
            for ((need, _), value) in many.iter().zip(values) {
                take_point(need, value?.as_deref(), rows)?;
            }
        }
    }
    Ok(())
}

/// The key of a need for one row.
fn point_key(need: &Need) -> Option<Vec<u8>> {
    Some(match need {
        Need::Conversation(id) => conversation::key(id),
        Need::Memberships(number, user) => memberships::key(*number, user),
        Need::Member(number, ordinal) => member::key(*number, *ordinal),
        Need::Active(number, chunk) => active::key(*number, *chunk),
        Need::Stub(number, id) => stub::key(*number, id),
        Need::Messages(number, range) if range.start() == range.end() => message::key(*number, *range.start()),
        Need::Reads(number, position, chunk) => read_chunk::key(*number, *position, *chunk),
        Need::Cursor(number, user) => cursor::key(*number, user),
        Need::Sweep(number) => sweep::key(*number),
        Need::Messages(..) | Need::Leaves(..) | Need::Waiting(..) | Need::TimeMarks(..) | Need::Unread(..) => {
            return None;
        }
    })
}

fn take_point(need: &Need, value: Option<&[u8]>, rows: &mut WorkingSet) -> Result<(), StoreError> {
    match need {
        Need::Conversation(id) => {
            rows.conversations.load(id.clone(), value.map(conversation::decode).transpose()?);
        }
        Need::Memberships(number, user) => {
            rows.memberships.load((*number, user.clone()), value.map(memberships::decode).transpose()?);
        }
        Need::Member(number, ordinal) => {
            rows.members.load((*number, *ordinal), value.map(member::decode).transpose()?);
        }
        Need::Active(number, chunk) => {
            rows.active.load((*number, *chunk), value.map(active::decode).transpose()?);
        }
        Need::Stub(number, id) => {
            rows.stubs.load((*number, id.clone()), value.map(stub::decode).transpose()?);
        }
        Need::Messages(number, range) => {
            rows.messages.load((*number, *range.start()), value.map(message::decode).transpose()?);
        }
        Need::Reads(number, position, chunk) => {
            rows.reads.load((*number, *position, *chunk), value.map(read_chunk::decode).transpose()?);
        }
        Need::Cursor(number, user) => {
            rows.cursors.load((*number, user.clone()), value.map(cursor::decode).transpose()?);
        }
        Need::Sweep(number) => rows.sweeps.load(*number, value.map(sweep::decode).transpose()?),
        Need::Leaves(..) | Need::Waiting(..) | Need::TimeMarks(..) | Need::Unread(..) => {}
    }
    Ok(())
}

fn load_range(db: &DB, options: ReadOptions, need: &Need, rows: &mut WorkingSet) -> Result<(), StoreError> {
    const ALL: (u64, u64) = (u64::MAX, u64::MAX);
    match need {
        Need::Messages(number, range) => {
            let (from, to) = (*range.start(), *range.end());
            let found = scan(db, options, &message::key(*number, from), &message::key(*number, to), |key, value| {
                Ok((message::decode_key(key)?.1, message::decode(value)?))
            })?;
            for (position, row) in found {
                rows.messages.load((*number, position), Some(row));
            }
            // What has no row in between does not ask, or is gone.
            for position in from..=to {
                rows.messages.load((*number, position), None);
            }
        }
        Need::Leaves(number, from) => {
            let (first, last) = (leave::key(*number, *from), leave::key(*number, u32::MAX));
            let found =
                scan(db, options, &first, &last, |key, value| Ok((leave::decode_key(key)?.1, leave::decode(value)?)))?;
            rows.leaves.load(number, *from..=u32::MAX, found);
        }
        Need::Waiting(id, message) => {
            let (first, last) = (waiting::key(id, message, (0, 0)), waiting::key(id, message, ALL));
            let found = scan(db, options, &first, &last, |key, value| {
                Ok((waiting::decode_key(key)?.2, waiting::decode(value)?))
            })?;
            rows.waiting.load(&(id.clone(), message.clone()), (0, 0)..=ALL, found);
        }
        Need::TimeMarks(id, reader, from_ms) => {
            let from = (*from_ms, 0);
            let (first, last) = (time_mark::key(id, reader, from), time_mark::key(id, reader, ALL));
            let found = scan(db, options, &first, &last, |key, value| {
                Ok((time_mark::decode_key(key)?.2, time_mark::decode(value)?))
            })?;
            rows.time_marks.load(&(id.clone(), reader.clone()), from..=ALL, found);
        }
        Need::Unread(number, ordinal, to_ms) => {
            let to = (*to_ms, u64::MAX);
            let (first, last) = (unread::key(*number, *ordinal, (0, 0)), unread::key(*number, *ordinal, to));
            let found = scan(db, options, &first, &last, |key, value| {
                Ok((unread::decode_key(key)?.2, unread::decode(value)?))
            })?;
            rows.unread.load(&(*number, *ordinal), (0, 0)..=to, found);
        }
        _ => {}
    }
    Ok(())
}

/// The rows from one key to another, both included.
fn scan<T>(
    db: &DB,
    mut options: ReadOptions,
    first: &[u8],
    last: &[u8],
    decode: impl Fn(&[u8], &[u8]) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    // The least key above the last.
    let mut end = last.to_vec();
    end.push(0);
    options.set_iterate_upper_bound(end);
    let mut rows = Vec::new();
    for row in db.iterator_opt(IteratorMode::From(first, Direction::Forward), options) {
        let (key, value) = row?;
        rows.push(decode(&key, &value)?);
    }
    Ok(rows)
}

/// How far the input is folded.
pub(crate) fn progress(db: &DB, options: &ReadOptions) -> Result<Progress, StoreError> {
    Ok(match db.get_opt(progress::key(), options)? {
        Some(value) => progress::decode(&value)?,
        None => Progress::default(),
    })
}
