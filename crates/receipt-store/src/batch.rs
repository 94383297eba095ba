//! What a batch of records changed, as one write.

use receipt_codec::row::{
    active, conversation, cursor, leave, member, memberships, message, policy, progress, read_chunk, stub, sweep,
    time_mark, unread, waiting,
};
use receipt_domain::working_set::WorkingSet;
use rocksdb::{DB, WriteBatch};

use crate::{error::StoreError, time_index};

/// The write, with the offsets in it (R2).
pub(crate) fn of(db: &DB, rows: &WorkingSet) -> Result<WriteBatch, StoreError> {
    let mut batch = WriteBatch::default();
    batch.put(progress::key(), progress::encode(&rows.progress)?);
    for (number, row) in &rows.new_policies {
        batch.put(policy::key(*number), policy::encode(row)?);
    }
    for (id, row) in rows.conversations.dirty() {
        batch.put(conversation::key(id), conversation::encode(row)?);
    }
    for ((number, user), row) in rows.memberships.dirty() {
        batch.put(memberships::key(*number, user), memberships::encode(row)?);
    }
    for ((number, ordinal), row) in rows.members.dirty() {
        batch.put(member::key(*number, *ordinal), member::encode(row)?);
    }
    for ((number, chunk), row) in rows.active.dirty() {
        batch.put(active::key(*number, *chunk), active::encode(row));
    }
    for ((number, id), row) in rows.stubs.dirty() {
        batch.put(stub::key(*number, id), stub::encode(row)?);
    }
    for ((number, position), row) in rows.messages.dirty() {
        batch.put(message::key(*number, *position), message::encode(row)?);
    }
    for ((number, user), row) in rows.cursors.dirty() {
        batch.put(cursor::key(*number, user), cursor::encode(row)?);
    }
    for (number, row) in rows.sweeps.dirty() {
        batch.put(sweep::key(*number), sweep::encode(row)?);
    }
    for number in rows.sweeps.deleted() {
        batch.delete(sweep::key(*number));
    }
    large_read_sets(db, rows, &mut batch)?;
    ranges(rows, &mut batch)?;
    Ok(batch)
}

fn large_read_sets(db: &DB, rows: &WorkingSet, batch: &mut WriteBatch) -> Result<(), StoreError> {
    let log_time_ms = |number, position| {
        let message = rows.messages.get(&(number, position)).ok().flatten();
        message
            .map(|message| message.log_time_ms)
            .ok_or_else(|| StoreError::Unsatisfied(format!("message {position} of {number}")))
    };
    for ((number, position, chunk), row) in rows.reads.dirty() {
        let value = read_chunk::encode(log_time_ms(*number, *position)?, row);
        batch.put(read_chunk::key(*number, *position, *chunk), value);
    }
    for ((number, position), changes) in rows.time_changes.iter() {
        time_index::apply(db, batch, *number, *position, log_time_ms(*number, *position)?, changes)?;
    }
    Ok(())
}

fn ranges(rows: &WorkingSet, batch: &mut WriteBatch) -> Result<(), StoreError> {
    for (number, index, row) in rows.leaves.dirty() {
        put_or_delete(batch, leave::key(*number, index), row.map(leave::encode).transpose()?);
    }
    for ((id, message), key, row) in rows.waiting.dirty() {
        put_or_delete(batch, waiting::key(id, message, key), row.map(waiting::encode).transpose()?);
    }
    for ((id, reader), key, row) in rows.time_marks.dirty() {
        put_or_delete(batch, time_mark::key(id, reader, key), row.map(time_mark::encode).transpose()?);
    }
    for ((number, ordinal), key, log_time_ms) in rows.unread.dirty() {
        let value = log_time_ms.map(|ms| unread::encode(*ms)).transpose()?;
        put_or_delete(batch, unread::key(*number, *ordinal, key), value);
    }
    Ok(())
}

fn put_or_delete(batch: &mut WriteBatch, key: Vec<u8>, value: Option<Vec<u8>>) {
    match value {
        Some(value) => batch.put(key, value),
        None => batch.delete(key),
    }
}
