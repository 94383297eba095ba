//! A digest of the logical state of one moment: equal where two stores tell the same, whichever logs and batches they
//! were folded from.
//!
//! It is over all rows but these, and these parts of rows:
//! - which log and offsets the state comes from: the identity, the offsets in the progress and in the keys of what waits;
//! - what is expired: no query sees it, and it may be deleted or not;
//! - what depends on the order in which the two topics were folded, and shows in no answer: the cursors of up-to reads,
//!   the latest read time of a one-to-one conversation, how far a message has applied its group's leave log (those who
//!   left unread are counted to the log's end), and how many receipts were ever counted, of expired messages too;
//! - where the index by time is cut into stretches.

use std::{collections::HashMap, fmt};

use blake3::Hasher;
use receipt_codec::{
    expiry,
    key::Kind,
    row::{conversation, memberships, message, read_chunk, time_chunk, time_mark, waiting},
};
use receipt_domain::{
    answer::Queries,
    id::ConversationId,
    readers::{Reader, Readers},
    settings::Settings,
    state::{self, Message, Progress},
    working_set::{Needs, PolicyInForce, WorkingSet},
};
use rocksdb::{DB, IteratorMode, ReadOptions};

use crate::{error::StoreError, load};

/// Names what is digested; changes with it.
const FORMAT: &[u8] = b"receipts.state.1";

/// A digest of a partition's logical state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Of the state that the options' snapshot shows.
pub(crate) fn of(
    db: &DB,
    options: &impl Fn() -> ReadOptions,
    settings: &Settings,
    progress: &Progress,
) -> Result<Digest, StoreError> {
    let mut state = State { db, options, settings, progress, groups: HashMap::new(), hasher: Hasher::new() };
    state.hasher.update(FORMAT);
    let Progress { conversations_offset: _, reads_offset: _, receipts: _, log_time_ms, .. } = *progress;
    for number in [log_time_ms, progress.next_conversation, progress.policies, progress.messages] {
        state.hasher.update(&number.to_be_bytes());
    }
    for row in db.iterator_opt(IteratorMode::Start, options()) {
        let (key, value) = row?;
        if !expiry::is_expired(settings, log_time_ms, &key, &value)? {
            state.add(&key, &value)?;
        }
    }
    Ok(Digest(*state.hasher.finalize().as_bytes()))
}

/// A digest in the making. Rows are added in key order.
struct State<'a, O> {
    db: &'a DB,
    options: &'a O,
    settings: &'a Settings,
    progress: &'a Progress,
    /// By number: the id, and entries in the leave log.
    groups: HashMap<u64, (ConversationId, u32)>,
    hasher: Hasher,
}

impl<O: Fn() -> ReadOptions> State<'_, O> {
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        match Kind::of(key) {
            // The progress has been added; the rest is said above.
            None | Some(Kind::Identity | Kind::Progress | Kind::Cursor) => {}
            Some(Kind::Conversation) => self.conversation(key, value)?,
            Some(Kind::Memberships) => {
                let mut stays = memberships::decode(value)?;
                let now_ms = self.progress.log_time_ms;
                let kept = |left: &state::Leave| self.settings.keeps(left.log_time_ms, now_ms);
                stays.retain(|stay| stay.left.as_ref().is_none_or(kept));
                self.row(key, &memberships::encode(&stays)?);
            }
            Some(Kind::Message) => self.message(key, value)?,
            Some(Kind::ReadChunk) => {
                let (number, position, chunk) = read_chunk::decode_key(key)?;
                let readers = read_chunk::decode(value)?;
                self.readers(Kind::ReadChunk, number, position, readers.readers(chunk));
            }
            Some(Kind::TimeChunk) => {
                let (number, position, _) = time_chunk::decode_key(key)?;
                self.readers(Kind::TimeChunk, number, position, time_chunk::decode(value)?);
            }
            Some(Kind::Waiting) => {
                let (id, message, (_, place)) = waiting::decode_key(key)?;
                self.row(&waiting::key(&id, &message, (0, place)), value);
            }
            Some(Kind::TimeMark) => self.time_mark(key, value)?,
            Some(
                Kind::Policy | Kind::Member | Kind::Active | Kind::Leave | Kind::Stub | Kind::Unread
                // In another store.
                | Kind::InboxProgress | Kind::InboxIndex | Kind::InboxEntry,
            ) => self.row(key, value),
        }
        Ok(())
    }

    /// A row, so that no other rows have the same bytes.
    fn row(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            self.hasher.update(&(part.len() as u64).to_be_bytes());
            self.hasher.update(part);
        }
    }

    /// Each reader as a row, so that chunks and stretches do not show.
    fn readers(&mut self, kind: Kind, number: u64, position: u64, readers: impl IntoIterator<Item = Reader>) {
        for Reader { read_at_s, ordinal } in readers {
            let mut row = [0; 25];
            row[0] = kind as u8;
            row[1..9].copy_from_slice(&number.to_be_bytes());
            row[9..17].copy_from_slice(&position.to_be_bytes());
            row[17..21].copy_from_slice(&read_at_s.to_be_bytes());
            row[21..].copy_from_slice(&ordinal.to_be_bytes());
            self.row(&row, &[]);
        }
    }

    fn conversation(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let mut row = conversation::decode(value)?;
        match &mut row.kind {
            state::Kind::OneToOne(two) => two.latest_read_s = [0; 2],
            state::Kind::Group(group) => {
                self.groups.insert(row.number, (conversation::decode_key(key)?, group.leaves));
            }
        }
        self.row(key, &conversation::encode(&row)?);
        Ok(())
    }

    fn message(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let (number, position) = message::decode_key(key)?;
        let mut row = message::decode(value)?;
        if let Some((id, leaves)) = self.groups.get(&number).filter(|(_, leaves)| row.leaves_applied < *leaves) {
            row.left_unread = self.left_unread(id, &row)?;
            row.leaves_applied = *leaves;
        }
        // Those of a large set come with its chunks.
        let inline = match &mut row.readers {
            Readers::Inline(list) => std::mem::take(list),
            Readers::Chunked(_) => Vec::new(),
        };
        self.row(key, &message::encode(&row)?);
        self.readers(Kind::Message, number, position, inline);
        Ok(())
    }

    /// A mark that may still cover a message. What came before its conversation was known to be a group, or another
    /// pair's, is only there until it expires.
    fn time_mark(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let (id, reader, (up_to_ms, _)) = time_mark::decode_key(key)?;
        let found = self.db.get_pinned_opt(conversation::key(&id), &(self.options)())?;
        let may_cover = match found.map(|value| conversation::decode(&value)).transpose()?.map(|row| row.kind) {
            None => true,
            Some(state::Kind::Group(_)) => false,
            Some(state::Kind::OneToOne(two)) => two.ordinal(&reader).is_some(),
        };
        if may_cover {
            self.row(&time_mark::key(&id, &reader, (up_to_ms, 0)), value);
        }
        Ok(())
    }

    /// Those of its audience who left without having read it, by the whole leave log.
    fn left_unread(&self, id: &ConversationId, message: &Message) -> Result<u32, StoreError> {
        let mut rows = WorkingSet::over_store(self.progress.clone(), PolicyInForce::EveryGroupType);
        let mut before = Needs::new();
        loop {
            match unread(&Queries::new(&rows, self.settings), id, message) {
                Ok(unread) => {
                    return Ok(message.audience_size.saturating_sub(message.readers.count()).saturating_sub(unread));
                }
                Err(needs) if needs == before => return Err(StoreError::Unsatisfied(format!("{needs:?}"))),
                Err(needs) => {
                    load::load(self.db, self.options, &needs, &mut rows)?;
                    before = needs;
                }
            }
        }
    }
}

/// Its count of those who have not read it.
fn unread(queries: &Queries<'_>, id: &ConversationId, message: &Message) -> Result<u32, Needs> {
    // A kept message without its stub is damage, which shows in the stubs.
    let Ok(found) = queries.find(id, &message.id, None)? else { return Ok(0) };
    Ok(queries.receipt(&found)?.unread_count)
}
