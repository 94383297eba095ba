//! What a query answers from the rows of one moment (S13, S24 to S28). Like the fold, it says which rows it still needs.

mod unread;

use crate::{
    audience::InAudience,
    id::{ConversationId, MessageId, UserId},
    readers::{Reader, Readers},
    receipt::Receipt,
    settings::Settings,
    state::{Audience, Conversation, Kind, Message, Stub},
    time::Arrival,
    working_set::{Need, Needs, Position, WorkingSet, known, satisfied},
};

/// Why there is no answer about a message; looked at in this order (S25).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unanswerable {
    /// Unknown, or forgotten.
    NotFound,
    /// Asked by someone who is neither its sender nor a service.
    PermissionDenied,
    /// It does not ask for receipts (S10).
    NotRequested,
    /// Its retention has ended (S30).
    Expired,
}

/// What one user did with one message (S28).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReaderState {
    /// Read it at this time, in milliseconds since 1970; not before the message (S20).
    Read(u64),
    /// Has not read it, and is still a member.
    Unread,
    /// Left without having read it.
    LeftUnread,
    /// It was never theirs to read.
    NotInAudience,
}

/// What became of a receipt (S13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReceiptOutcome {
    /// The message is not known; kept aside.
    Pending,
    /// The message does not ask.
    NotRequested,
    /// The message is expired, or the read is out of its window (S16).
    Expired,
    /// The reader is not in the audience.
    NotInAudience,
    /// Counted, now or before.
    Read,
}

/// A message that can be asked about.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    id: &'a ConversationId,
    /// Its conversation.
    pub conversation: &'a Conversation,
    /// Its position.
    pub position: Position,
    /// Itself.
    pub message: &'a Message,
}

/// Queries over the rows of one moment.
#[derive(Clone, Copy)]
pub struct Queries<'a> {
    rows: &'a WorkingSet,
    settings: &'a Settings,
}

impl<'a> Queries<'a> {
    /// Over these rows, of a state folded by these settings.
    #[must_use]
    pub fn new(rows: &'a WorkingSet, settings: &'a Settings) -> Self {
        Self { rows, settings }
    }

    fn conversation(&self, id: &ConversationId) -> Result<Option<&'a Conversation>, Needs> {
        known(self.rows.conversations.get(id), || Need::Conversation(id.clone()))
    }

    fn stub(&self, conversation: &Conversation, message: &MessageId) -> Result<Option<&'a Stub>, Needs> {
        let number = conversation.number;
        let row = self.rows.stubs.get(&(number, message.clone()));
        let stub = known(row, || Need::Stub(number, message.clone()))?;
        Ok(stub.filter(|stub| self.settings.knows(stub.log_time_ms, self.rows.progress.log_time_ms)))
    }

    fn keeps(&self, stub: &Stub) -> bool {
        self.settings.keeps(stub.log_time_ms, self.rows.progress.log_time_ms)
    }

    /// The message, if this user, or a service (`None`), may ask about it.
    pub fn find(
        &self,
        id: &'a ConversationId,
        message: &MessageId,
        asker: Option<&UserId>,
    ) -> Result<Result<Found<'a>, Unanswerable>, Needs> {
        let Some(conversation) = self.conversation(id)? else { return Ok(Err(Unanswerable::NotFound)) };
        let Some(stub) = self.stub(conversation, message)? else { return Ok(Err(Unanswerable::NotFound)) };
        if asker.is_some_and(|asker| *asker != stub.sender) {
            return Ok(Err(Unanswerable::PermissionDenied));
        }
        if !stub.asks {
            return Ok(Err(Unanswerable::NotRequested));
        }
        if !self.keeps(stub) {
            return Ok(Err(Unanswerable::Expired));
        }
        let (number, position) = (conversation.number, stub.position);
        let row = self.rows.messages.get(&(number, position));
        let message = known(row, || Need::Messages(number, position..=position))?;
        Ok(message.map(|message| Found { id, conversation, position, message }).ok_or(Unanswerable::NotFound))
    }

    /// Its counts (R3).
    pub fn receipt(&self, found: &Found<'_>) -> Result<Receipt, Needs> {
        let Found { id, conversation, position, message } = *found;
        let number = conversation.number;
        let mut needs = Vec::new();
        if let Kind::Group(group) = &conversation.kind {
            self.rows.need_leaves(number, position, message, group.leaves, &mut needs);
        } else if let (Readers::Chunked(_), Audience::Listed(peer)) = (&message.readers, &message.audience) {
            peer.iter().for_each(|ordinal| self.rows.need_chunk(number, position, *ordinal, &mut needs));
        }
        satisfied(needs)?;
        let left = self.rows.newly_left(number, position, message);
        let peer_read = |ordinal| self.rows.read_at_s(number, position, &message.readers, ordinal);
        Ok(Receipt::of(id, conversation, message, self.settings, left, peer_read))
    }

    /// What a user did with it.
    pub fn reader_state(&self, found: &Found<'_>, user: &UserId) -> Result<ReaderState, Needs> {
        let Found { conversation, position, message, .. } = *found;
        let who = self.rows.in_audience(conversation, position, message, user, self.settings)?;
        let Some(InAudience { ordinal, ended }) = who else { return Ok(ReaderState::NotInAudience) };
        Ok(match self.read_at_s(found, ordinal)? {
            Some(read_at_s) => ReaderState::Read(message.answered_ms(read_at_s)),
            None if ended => ReaderState::LeftUnread,
            None => ReaderState::Unread,
        })
    }

    fn read_at_s(&self, found: &Found<'_>, ordinal: u32) -> Result<Option<u32>, Needs> {
        let (number, position) = (found.conversation.number, found.position);
        let mut needs = Vec::new();
        if matches!(found.message.readers, Readers::Chunked(_)) {
            self.rows.need_chunk(number, position, ordinal, &mut needs);
        }
        satisfied(needs)?;
        Ok(self.rows.read_at_s(number, position, &found.message.readers, ordinal))
    }

    /// What became of a receipt for one message that arrived at `arrival_ms`.
    pub fn outcome(
        &self,
        id: &ConversationId,
        message: &MessageId,
        reader: &UserId,
        arrival_ms: u64,
    ) -> Result<ReceiptOutcome, Needs> {
        let Some(conversation) = self.conversation(id)? else { return Ok(ReceiptOutcome::Pending) };
        let Some(stub) = self.stub(conversation, message)? else { return Ok(ReceiptOutcome::Pending) };
        if !stub.asks {
            return Ok(ReceiptOutcome::NotRequested);
        }
        if !self.keeps(stub) || self.settings.arrival(arrival_ms, stub.log_time_ms) != Arrival::InTime {
            return Ok(ReceiptOutcome::Expired);
        }
        let (number, position) = (conversation.number, stub.position);
        let row = self.rows.messages.get(&(number, position));
        let Some(row) = known(row, || Need::Messages(number, position..=position))? else {
            return Ok(ReceiptOutcome::Expired);
        };
        let who = self.rows.in_audience(conversation, position, row, reader, self.settings)?;
        Ok(if who.is_some() { ReceiptOutcome::Read } else { ReceiptOutcome::NotInAudience })
    }

    /// What became of a mark up to a message that arrived at `arrival_ms`: pending, expired or read.
    pub fn mark_outcome(
        &self,
        id: &ConversationId,
        message: &MessageId,
        arrival_ms: u64,
    ) -> Result<ReceiptOutcome, Needs> {
        let Some(conversation) = self.conversation(id)? else { return Ok(ReceiptOutcome::Pending) };
        let Some(stub) = self.stub(conversation, message)? else { return Ok(ReceiptOutcome::Pending) };
        let counts = self.keeps(stub) && self.settings.arrival(arrival_ms, stub.log_time_ms) == Arrival::InTime;
        Ok(if counts { ReceiptOutcome::Read } else { ReceiptOutcome::Expired })
    }

    /// Whether a conversation is known to be a group.
    pub fn is_group(&self, id: &ConversationId) -> Result<bool, Needs> {
        Ok(self.conversation(id)?.is_some_and(|c| matches!(c.kind, Kind::Group(_))))
    }

    /// The first `limit` readers of a small read set by time, from `from` on, or down from it (S26). `None`: the set is
    /// large, and the store's index by time has them.
    #[must_use]
    pub fn inline_readers(
        &self,
        found: &Found<'_>,
        from: Option<Reader>,
        latest_first: bool,
        limit: usize,
    ) -> Option<Vec<Reader>> {
        let list = found.message.inline_readers()?;
        Some(if latest_first {
            let end = from.map_or(list.len(), |from| list.partition_point(|r| *r <= from));
            list[..end].iter().rev().take(limit).copied().collect()
        } else {
            let start = from.map_or(0, |from| list.partition_point(|r| *r < from));
            list[start..].iter().take(limit).copied().collect()
        })
    }

    /// Whose an ordinal is, and whether that membership has ended.
    pub fn member(&self, found: &Found<'_>, ordinal: u32) -> Result<Option<(&'a UserId, bool)>, Needs> {
        let conversation = found.conversation;
        if let Kind::OneToOne(_) = conversation.kind {
            let conversation = self.conversation(found.id)?;
            return Ok(match conversation.map(|c| &c.kind) {
                Some(Kind::OneToOne(two)) => two.parties.get(ordinal as usize).map(|user| (user, false)),
                _ => None,
            });
        }
        let number = conversation.number;
        let row = known(self.rows.members.get(&(number, ordinal)), || Need::Member(number, ordinal))?;
        Ok(row.map(|row| (&row.user, row.left_log_time_ms.is_some())))
    }
}
