//! The rows of one conversation: read from a store, and put into memory again for a fold that continues from them.

use receipt_codec::{
    Corrupt, expiry,
    key::{self, Kind},
    row::{
        active, conversation, cursor, leave, member, memberships, message, policy, progress, read_chunk, stub, sweep,
        time_mark, unread, waiting,
    },
};
use receipt_domain::{id::ConversationId, settings::Settings, state::Progress, working_set::WorkingSet};
use rocksdb::{DB, Direction, IteratorMode, ReadOptions};

use crate::error::StoreError;

/// Rows whose keys begin with the conversation's number. The index by time follows from the read chunks.
const BY_NUMBER: [Kind; 9] = [
    Kind::Memberships,
    Kind::Member,
    Kind::Active,
    Kind::Leave,
    Kind::Stub,
    Kind::Message,
    Kind::ReadChunk,
    Kind::Cursor,
    Kind::Unread,
];
/// Rows whose keys begin with its id.
const BY_ID: [Kind; 2] = [Kind::Waiting, Kind::TimeMark];

/// Hands on the partition's progress, the policy in force, and all rows of a conversation that have not expired, until
/// `each` says to stop.
pub(crate) fn read(
    db: &DB,
    options: &impl Fn() -> ReadOptions,
    (id, settings, at): (&ConversationId, &Settings, &Progress),
    each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), StoreError> {
    let mut prefixes = vec![progress::key()];
    prefixes.extend(at.policies.checked_sub(1).map(policy::key));
    prefixes.extend(BY_ID.map(|kind| key::of_id(kind, id)));
    let of_it = conversation::key(id);
    if let Some(value) = db.get_opt(&of_it, &options())? {
        let number = conversation::decode(&value)?.number;
        if !each(&of_it, &value) {
            return Ok(());
        }
        prefixes.extend(BY_NUMBER.map(|kind| key::of_number(kind, number)));
    }
    for prefix in prefixes {
        for row in db.iterator_opt(IteratorMode::From(&prefix, Direction::Forward), options()) {
            let (key, value) = row?;
            if !key.starts_with(&prefix) {
                break;
            }
            if !expiry::is_expired(settings, at.log_time_ms, &key, &value)? && !each(&key, &value) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What [`crate::View::conversation_rows`] has handed on, as the rows of a fold that has no store below it.
///
/// # Errors
/// If a row cannot be decoded, as one of another format, or is of no kind that a conversation has.
pub fn in_memory<R: AsRef<[u8]>>(rows: impl IntoIterator<Item = (R, R)>) -> Result<WorkingSet, StoreError> {
    let mut set = WorkingSet::in_memory();
    for (key, value) in rows {
        put(&mut set, key.as_ref(), value.as_ref())?;
    }
    Ok(set)
}

fn put(set: &mut WorkingSet, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    match Kind::of(key) {
        Some(Kind::Progress) => set.progress = progress::decode(value)?,
        Some(Kind::Policy) => set.policy = (&policy::decode(value)?).into(),
        Some(Kind::Conversation) => {
            set.conversations.load(conversation::decode_key(key)?, Some(conversation::decode(value)?));
        }
        Some(Kind::Memberships) => {
            set.memberships.load(memberships::decode_key(key)?, Some(memberships::decode(value)?));
        }
        Some(Kind::Member) => set.members.load(member::decode_key(key)?, Some(member::decode(value)?)),
        Some(Kind::Active) => set.active.load(active::decode_key(key)?, Some(active::decode(value)?)),
        Some(Kind::Sweep) => set.sweeps.load(sweep::decode_key(key)?, Some(sweep::decode(value)?)),
        Some(Kind::Stub) => set.stubs.load(stub::decode_key(key)?, Some(stub::decode(value)?)),
        Some(Kind::Message) => set.messages.load(message::decode_key(key)?, Some(message::decode(value)?)),
        Some(Kind::ReadChunk) => set.reads.load(read_chunk::decode_key(key)?, Some(read_chunk::decode(value)?)),
        Some(Kind::Cursor) => set.cursors.load(cursor::decode_key(key)?, Some(cursor::decode(value)?)),
        Some(Kind::Leave) => {
            let (number, index) = leave::decode_key(key)?;
            set.leaves.load(&number, index..=index, [(index, leave::decode(value)?)]);
        }
        Some(Kind::Unread) => {
            let (number, ordinal, at) = unread::decode_key(key)?;
            set.unread.load(&(number, ordinal), at..=at, [(at, unread::decode(value)?)]);
        }
        Some(Kind::Waiting) => {
            let (id, message, at) = waiting::decode_key(key)?;
            set.waiting.load(&(id, message), at..=at, [(at, waiting::decode(value)?)]);
        }
        Some(Kind::TimeMark) => {
            let (id, user, at) = time_mark::decode_key(key)?;
            set.time_marks.load(&(id, user), at..=at, [(at, time_mark::decode(value)?)]);
        }
        Some(Kind::Identity | Kind::TimeChunk | Kind::InboxProgress | Kind::InboxIndex | Kind::InboxEntry) | None => {
            let why = "a row that is not a conversation's".to_owned();
            return Err(Corrupt { what: "rows of a conversation", why }.into());
        }
    }
    Ok(())
}
