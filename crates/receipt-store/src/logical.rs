//! The logical state: what two stores have in common that tell the same, whichever logs and batches they were folded
//! from.
//!
//! All rows but these, and these parts of rows:
//! - which log and offsets the state comes from: the identity, the offsets in the progress and in the keys of what waits;
//! - what is expired: no query sees it, and it may be deleted or not;
//! - what depends on the order in which the two topics were folded, and shows in no answer: the cursors of up-to reads,
//!   the latest read time of a one-to-one conversation, how far a message has applied its group's leave log (those who
//!   left, read or unread, are counted to the log's end), which groups' messages are still to be brought up to date with
//!   it, and how many receipts were ever counted, once a message has expired;
//! - where the index by time is cut into stretches.
//!
//! Of what is left out, [`crate::consistent`] checks what the fold goes by later.

use std::collections::HashMap;

use receipt_codec::{
    expiry,
    key::Kind,
    row::{conversation, memberships, message, read_chunk, stub, time_chunk, time_mark, waiting},
};
use receipt_domain::{
    answer::Queries,
    id::ConversationId,
    readers::{Reader, Readers},
    settings::Settings,
    state::{self, Message, Progress},
    working_set::{Needs, PolicyInForce, WorkingSet},
};
use rocksdb::{DB, ReadOptions};

use crate::{error::StoreError, load};

/// A part of the logical state.
pub(crate) enum Entry<'a> {
    /// A row.
    Row { key: &'a [u8], value: &'a [u8] },
    /// One reader of a message, so that chunks and stretches do not show.
    Reader { kind: Kind, number: u64, position: u64, reader: Reader },
    /// Log time at a message of a large read set, by one of its rows. Until when that is kept shows in no answer yet, so it
    /// is compared, and not in the digest.
    LogTime { kind: Kind, number: u64, position: u64, log_time_ms: u64 },
}

/// Makes entries of rows.
pub(crate) struct Logical<'a, O> {
    db: &'a DB,
    options: &'a O,
    settings: &'a Settings,
    progress: &'a Progress,
    /// By number: the id, and entries in the leave log.
    groups: HashMap<u64, (ConversationId, u32)>,
    /// Messages that are kept, whether they ask or not.
    messages_kept: u64,
}

impl<'a, O: Fn() -> ReadOptions> Logical<'a, O> {
    /// Of the state that the options' snapshot shows.
    pub(crate) fn new(db: &'a DB, options: &'a O, settings: &'a Settings, progress: &'a Progress) -> Self {
        Self { db, options, settings, progress, groups: HashMap::new(), messages_kept: 0 }
    }

    /// What a row is in the logical state. Rows come in key order.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8], sink: &mut impl FnMut(Entry<'_>)) -> Result<(), StoreError> {
        if expiry::is_expired(self.settings, self.progress.log_time_ms, key, value)? {
            return Ok(());
        }
        match Kind::of(key) {
            // The progress stands before all rows; the rest is said above.
            None | Some(Kind::Identity | Kind::Progress | Kind::Cursor | Kind::Sweep) => {}
            Some(Kind::Conversation) => self.conversation(key, value, sink)?,
            Some(Kind::Memberships) => {
                let mut stays = memberships::decode(value)?;
                let now_ms = self.progress.log_time_ms;
                stays.retain(|stay| stay.is_kept(self.settings, now_ms));
                put(key, &memberships::encode(&stays)?, sink);
            }
            Some(Kind::Message) => self.message(key, value, sink)?,
            Some(Kind::ReadChunk) => {
                let (number, position, chunk) = read_chunk::decode_key(key)?;
                let readers = read_chunk::decode(value)?;
                put_readers(Kind::ReadChunk, number, position, readers.readers(chunk), sink);
                let log_time_ms = read_chunk::log_time_ms(value)?;
                sink(Entry::LogTime { kind: Kind::ReadChunk, number, position, log_time_ms });
            }
            Some(Kind::TimeChunk) => {
                let (number, position, _) = time_chunk::decode_key(key)?;
                put_readers(Kind::TimeChunk, number, position, time_chunk::decode(value)?, sink);
                let log_time_ms = time_chunk::log_time_ms(value)?;
                sink(Entry::LogTime { kind: Kind::TimeChunk, number, position, log_time_ms });
            }
            Some(Kind::Waiting) => {
                let (id, message, (_, place)) = waiting::decode_key(key)?;
                put(&waiting::key(&id, &message, (0, place)), value, sink);
            }
            Some(Kind::TimeMark) => self.time_mark(key, value, sink)?,
            Some(Kind::Stub) => {
                if self.settings.keeps(stub::decode(value)?.log_time_ms, self.progress.log_time_ms) {
                    self.messages_kept += 1;
                }
                put(key, value, sink);
            }
            Some(
                Kind::Policy | Kind::Member | Kind::Active | Kind::Leave | Kind::Unread
                // In another store.
                | Kind::InboxProgress | Kind::InboxIndex | Kind::InboxEntry,
            ) => put(key, value, sink),
        }
        Ok(())
    }

    /// Whether no message of the rows so far has expired, or is gone.
    pub(crate) fn is_all_kept(&self) -> bool {
        self.messages_kept == self.progress.messages
    }

    fn conversation(&mut self, key: &[u8], value: &[u8], sink: &mut impl FnMut(Entry<'_>)) -> Result<(), StoreError> {
        let mut row = conversation::decode(value)?;
        match &mut row.kind {
            state::Kind::OneToOne(two) => two.latest_read_s = [0; 2],
            state::Kind::Group(group) => {
                self.groups.insert(row.number, (conversation::decode_key(key)?, group.leaves));
            }
        }
        put(key, &conversation::encode(&row)?, sink);
        Ok(())
    }

    fn message(&mut self, key: &[u8], value: &[u8], sink: &mut impl FnMut(Entry<'_>)) -> Result<(), StoreError> {
        let (number, position) = message::decode_key(key)?;
        let mut row = message::decode(value)?;
        if let Some((id, leaves)) = self.groups.get(&number).filter(|(_, leaves)| row.is_behind(*leaves)) {
            let (unread, read_left) = self.counts(id, &row)?;
            row.left_unread = row.audience_size.saturating_sub(row.readers.count()).saturating_sub(unread);
            row.read_left = Some(read_left);
            row.leaves_applied = *leaves;
        }
        row.read_left = Some(row.read_left.unwrap_or_default());
        // Those of a large set come with its chunks.
        let inline = match &mut row.readers {
            Readers::Inline(list) => std::mem::take(list),
            Readers::Chunked(_) => Vec::new(),
        };
        put(key, &message::encode(&row)?, sink);
        put_readers(Kind::Message, number, position, inline, sink);
        Ok(())
    }

    /// A mark that may still cover a message. What came before its conversation was known to be a group, another pair's, or
    /// a note to oneself, is only there until it expires.
    fn time_mark(&self, key: &[u8], value: &[u8], sink: &mut impl FnMut(Entry<'_>)) -> Result<(), StoreError> {
        let (id, reader, (up_to_ms, _)) = time_mark::decode_key(key)?;
        let found = self.db.get_pinned_opt(conversation::key(&id), &(self.options)())?;
        let may_cover = match found.map(|value| conversation::decode(&value)).transpose()?.map(|row| row.kind) {
            None => true,
            Some(state::Kind::Group(_)) => false,
            Some(state::Kind::OneToOne(two)) => two.ordinal(&reader).is_some() && !two.is_note(),
        };
        if may_cover {
            put(&time_mark::key(&id, &reader, (up_to_ms, 0)), value, sink);
        }
        Ok(())
    }

    /// Those of its audience who have not read it, and those who have and left, by the whole leave log.
    fn counts(&self, id: &ConversationId, message: &Message) -> Result<(u32, u32), StoreError> {
        let mut rows = WorkingSet::over_store(self.progress.clone(), PolicyInForce::EveryGroupType);
        let mut before = Needs::new();
        loop {
            match counts(&Queries::new(&rows, self.settings), id, message) {
                Ok(counts) => return Ok(counts),
                Err(needs) if needs == before => return Err(StoreError::Unsatisfied(format!("{needs:?}"))),
                Err(needs) => {
                    load::load(self.db, self.options, &needs, &mut rows)?;
                    before = needs;
                }
            }
        }
    }
}

/// Its counts of those who have not read it, and of those who have and left.
fn counts(queries: &Queries<'_>, id: &ConversationId, message: &Message) -> Result<(u32, u32), Needs> {
    // A kept message without its stub is damage, which shows in the stubs.
    let Ok(found) = queries.find(id, &message.id, None)? else { return Ok((0, 0)) };
    let receipt = queries.receipt(&found)?;
    Ok((receipt.unread_count, receipt.read_left_count))
}

fn put(key: &[u8], value: &[u8], sink: &mut impl FnMut(Entry<'_>)) {
    sink(Entry::Row { key, value });
}

fn put_readers(
    kind: Kind,
    number: u64,
    position: u64,
    readers: impl IntoIterator<Item = Reader>,
    sink: &mut impl FnMut(Entry<'_>),
) {
    readers.into_iter().for_each(|reader| sink(Entry::Reader { kind, number, position, reader }));
}
