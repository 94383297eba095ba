//! Somebody's stays in a conversation.

use receipt_domain::{
    answer::ReaderState,
    event::{Change, ConversationEvent, ReadEvent},
    fold::Outcome,
    id::UserId,
    state::Kind,
};

use super::{At, Now, Watcher, message::conversation_number};

/// One stay: a membership (S5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stay {
    /// Its number in the group.
    pub ordinal: u32,
    /// By which record it began; `None`: by one of those before the state that the fold began with.
    pub joined: Option<At>,
    /// The position of the first message sent in it.
    pub joined_position: u64,
    /// Set once it has ended.
    pub left: Option<Ended>,
}

/// The end of a stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// By which record; `None`: by one of those before the state that the fold began with.
    pub at: Option<At>,
    /// Log time at it.
    pub log_time_ms: u64,
    /// The position of the first message sent after it.
    pub position: u64,
}

/// An event that named the user, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Where it stands.
    pub at: At,
    /// What it was to do.
    pub what: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it began or ended a stay.
    pub changed: bool,
}

/// The messages that are kept which are for the user by one stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StayMessages {
    /// How many were read.
    pub read: u64,
    /// How many are unread; of an ended stay, how many were left unread.
    pub unread: u64,
}

/// Watches a user in a conversation.
#[derive(Debug)]
pub struct MembershipLife {
    user: UserId,
    /// Each stay, by ordinal.
    pub stays: Vec<Stay>,
    /// The state that the fold began with had the conversation: it may have forgotten stays that ended before.
    pub was_there: bool,
    /// Each member change that named the user.
    pub named: Vec<Named>,
    /// Read events of the user in the conversation, and the last one.
    pub reads: u64,
    /// The last of them.
    pub last_read: Option<At>,
}

impl MembershipLife {
    /// Of this user.
    #[must_use]
    pub fn new(user: UserId) -> Self {
        Self { user, stays: Vec::new(), was_there: false, named: Vec::new(), reads: 0, last_read: None }
    }

    /// What is kept for the user by a stay.
    #[must_use]
    pub fn messages(&self, now: Now<'_>, stay: &Stay) -> StayMessages {
        let mut messages = StayMessages::default();
        let Some(number) = conversation_number(now) else { return messages };
        let to = stay.left.as_ref().map_or(u64::MAX, |left| left.position);
        for ((_, position), message) in now.rows.messages.rows().filter(|((of, _), _)| *of == number) {
            if !(stay.joined_position..to).contains(position) || !message.addresses(stay.ordinal) {
                continue;
            }
            let queries = now.queries();
            let Ok(Ok(found)) = queries.find(now.id, &message.id, None) else { continue };
            match queries.reader_state(&found, &self.user) {
                Ok(ReaderState::Read(_)) => messages.read += 1,
                Ok(ReaderState::Unread | ReaderState::LeftUnread) => messages.unread += 1,
                Ok(ReaderState::NotInAudience) | Err(_) => {}
            }
        }
        messages
    }

    /// Takes over what has changed, by this record; whether anything has.
    fn look(&mut self, now: Now<'_>, at: Option<At>) -> bool {
        let Ok(Some(conversation)) = now.rows.conversations.get(now.id) else { return false };
        if let Kind::OneToOne(two) = &conversation.kind {
            let Some(ordinal) = two.ordinal(&self.user).filter(|_| self.stays.is_empty()) else { return false };
            self.stays.push(Stay { ordinal, joined: at, joined_position: 1, left: None });
            return true;
        }
        let stays = now.rows.memberships.get(&(conversation.number, self.user.clone())).ok().flatten();
        let mut changed = false;
        for stay in stays.into_iter().flatten() {
            let left = stay.left.as_ref().map(|left| {
                let (log_time_ms, position) = (left.log_time_ms, left.position);
                Ended { at, log_time_ms, position }
            });
            match self.stays.iter_mut().find(|known| known.ordinal == stay.ordinal) {
                None => {
                    let (ordinal, joined_position) = (stay.ordinal, stay.joined_position);
                    self.stays.push(Stay { ordinal, joined: at, joined_position, left });
                    changed = true;
                }
                Some(known) if known.left.is_none() && left.is_some() => {
                    known.left = left;
                    changed = true;
                }
                Some(_) => {}
            }
        }
        changed
    }
}

impl Watcher for MembershipLife {
    fn begins(&mut self, now: Now<'_>) {
        self.was_there = conversation_number(now).is_some();
        self.look(now, None);
    }

    fn before_event(&mut self, _: Now<'_>, _: &ConversationEvent) {}

    fn after_event(&mut self, now: Now<'_>, at: At, event: &ConversationEvent, outcome: &Outcome) {
        let changed = self.look(now, Some(at));
        let (what, users) = match &event.change {
            Change::GroupCreated { members, .. } => ("join, as the group was created", members),
            Change::MembersAdded(users) => ("join", users),
            Change::MembersRemoved(users) => ("leave", users),
            _ => return,
        };
        if users.contains(&self.user) {
            self.named.push(Named { at, what, outcome: outcome.clone(), changed });
        }
    }

    fn before_read(&mut self, _: Now<'_>, _: &ReadEvent) {}

    fn after_read(&mut self, _: Now<'_>, at: At, read: &ReadEvent) {
        if read.reader == self.user {
            self.reads += 1;
            self.last_read = Some(at);
        }
    }
}
