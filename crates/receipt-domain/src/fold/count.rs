//! One reader of one message: the audience less those who left, and the read set (S3, S4, S14, S18, R3, R5).

use super::Fold;
use crate::{
    audience::{InAudience, NewlyLeft},
    id::{ConversationId, UserId},
    readers::{Joined, ReadChunk, Reader, Readers, chunk_of, join_inline},
    state::{Conversation, Kind, Message},
    time::seconds,
    working_set::{ConversationNumber, Need, Needs, Position, TimeChange, known, satisfied},
};

/// What counting needs to know of a conversation.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) conversation: ConversationId,
    pub(super) number: ConversationNumber,
    /// Entries in the group's leave log.
    pub(super) leaves: u32,
    one_to_one: bool,
}

impl Place {
    pub(super) fn of(id: &ConversationId, conversation: &Conversation) -> Self {
        let (leaves, one_to_one) = match &conversation.kind {
            Kind::Group(group) => (group.leaves, false),
            Kind::OneToOne(_) => (0, true),
        };
        Self { conversation: id.clone(), number: conversation.number, leaves, one_to_one }
    }
}

impl Fold {
    /// The rows that [`Fold::count`] needs beside the message.
    pub(super) fn prepare(&self, at: &Place, position: Position, message: &Message, ordinal: u32, needs: &mut Needs) {
        self.rows.need_leaves(at.number, position, message, at.leaves, needs);
        if matches!(message.readers, Readers::Chunked(_)) {
            self.rows.need_chunk(at.number, position, ordinal, needs);
        }
    }

    /// Joins a read of someone in the audience. All rows are loaded.
    pub(super) fn count(&mut self, at: &Place, position: Position, who: InAudience, reader: &UserId, read_at_s: u32) {
        let key = (at.number, position);
        self.apply_leaves(at, position);
        let Some(message) = self.rows.messages.peek_mut(&key) else { return };
        // A read before its message was sent takes the message's time (S20).
        let read = Reader { read_at_s: read_at_s.max(seconds(message.occurred_at_ms)), ordinal: who.ordinal };
        let joined = match &mut message.readers {
            Readers::Inline(list) => join_inline(list, read),
            Readers::Chunked(count) => {
                let chunk_key = (key.0, key.1, chunk_of(read.ordinal));
                let chunk = match self.rows.reads.peek_mut(&chunk_key) {
                    Some(chunk) => chunk,
                    None => {
                        self.rows.reads.put(chunk_key, ReadChunk::default());
                        match self.rows.reads.peek_mut(&chunk_key) {
                            Some(chunk) => chunk,
                            None => return,
                        }
                    }
                };
                let joined = chunk.join(read);
                if joined != Joined::Nothing {
                    self.rows.reads.touch(&chunk_key);
                    let before_s = if let Joined::Earlier(before_s) = joined { Some(before_s) } else { None };
                    let change = TimeChange { ordinal: read.ordinal, before_s, now_s: read.read_at_s };
                    self.rows.time_changes.push(key, change);
                }
                *count += u32::from(joined == Joined::New);
                joined
            }
        };
        if joined == Joined::Nothing {
            return;
        }
        if joined == Joined::New && who.ended {
            // Who left without reading was taken out of the unread; who reads it now is a reader who left (S4, S5).
            message.left_unread = message.left_unread.saturating_sub(1);
            message.read_left = message.read_left.map(|left| left.saturating_add(1));
        }
        self.rows.messages.touch(&key);
        self.keep_in_chunks(key);
        if joined == Joined::New {
            self.rows.progress.receipts += 1;
            self.effects.read(&at.conversation, key, reader, read);
            if at.one_to_one {
                self.no_longer_unread(at, position, read);
            }
        } else {
            self.effects.read_earlier(key, read);
        }
    }

    /// Takes those out of the unread who have left since it was last looked at, and notifies its sender of them (S3).
    /// Their rows are loaded.
    pub(super) fn apply_leaves(&mut self, at: &Place, position: Position) {
        if self.bring_up_to_date(at, position) {
            self.effects.changed(&at.conversation, (at.number, position));
        }
    }

    /// Whether that changed the message's counts.
    pub(super) fn bring_up_to_date(&mut self, at: &Place, position: Position) -> bool {
        let key = (at.number, position);
        let Ok(Some(message)) = self.rows.messages.get(&key) else { return false };
        if !message.is_behind(at.leaves) {
            return false;
        }
        let left = self.rows.newly_left(at.number, position, message);
        if let Some(message) = self.rows.messages.get_mut(&key) {
            message.left_unread = message.left_unread.saturating_add(left.unread);
            message.read_left = Some(message.read_left.unwrap_or_default().saturating_add(left.read));
            message.leaves_applied = at.leaves;
        }
        left != NewlyLeft::default()
    }

    /// A small set that has grown large goes into chunks.
    fn keep_in_chunks(&mut self, key: (ConversationNumber, Position)) {
        let max = self.inline_readers_max;
        let Some(message) = self.rows.messages.peek_mut(&key) else { return };
        let Readers::Inline(list) = &mut message.readers else { return };
        if list.len() <= max {
            return;
        }
        let list = std::mem::take(list);
        message.readers = Readers::Chunked(u32::try_from(list.len()).unwrap_or(u32::MAX));
        let mut chunks = std::collections::BTreeMap::<u32, ReadChunk>::new();
        for read in list {
            chunks.entry(chunk_of(read.ordinal)).or_default().join(read);
            self.rows
                .time_changes
                .push(key, TimeChange { ordinal: read.ordinal, before_s: None, now_s: read.read_at_s });
        }
        for (chunk, row) in chunks {
            self.rows.reads.put((key.0, key.1, chunk), row);
        }
    }

    fn no_longer_unread(&mut self, at: &Place, position: Position, read: Reader) {
        let sent_at_ms = match self.rows.messages.get(&(at.number, position)) {
            Ok(Some(message)) => message.occurred_at_ms,
            _ => return,
        };
        self.rows.unread.delete(&(at.number, read.ordinal), (sent_at_ms, position));
        if let Some(Conversation { kind: Kind::OneToOne(two), .. }) = self.rows.conversations.get_mut(&at.conversation)
            && let Some(latest_s) = two.latest_read_s.get_mut(read.ordinal as usize)
        {
            *latest_s = read.read_at_s.max(*latest_s);
        }
    }

    /// Counts a reader of a one-to-one message that an earlier up-to-time read covers.
    pub(super) fn count_one(
        &mut self,
        id: &ConversationId,
        position: Position,
        ordinal: u32,
        reader: &UserId,
        read_at_s: u32,
    ) -> Result<(), Needs> {
        let Some(at) = self.conversation(id)?.map(|conversation| Place::of(id, conversation)) else { return Ok(()) };
        let row = self.rows.messages.get(&(at.number, position));
        let mut needs = Vec::new();
        if let Some(message) = known(row, || Need::Messages(at.number, position..=position))? {
            self.prepare(&at, position, message, ordinal, &mut needs);
        }
        satisfied(needs)?;
        self.count(&at, position, InAudience { ordinal, ended: false }, reader, read_at_s);
        Ok(())
    }
}
