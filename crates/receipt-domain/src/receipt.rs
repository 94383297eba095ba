//! What a sender is shown of a message.

use serde::{Deserialize, Serialize};

use crate::{
    audience::NewlyLeft,
    id::{ConversationId, MessageId, UserId},
    readers::Readers,
    settings::Settings,
    state::{Audience, Conversation, Kind, Message},
};

/// The counts of one message at one moment (R3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Where.
    pub conversation: ConversationId,
    /// Which.
    pub message: MessageId,
    /// Members of the audience who have read it.
    pub read_count: u32,
    /// Members of the audience who have not, and whose membership has not ended.
    pub unread_count: u32,
    /// Members of the audience, fixed when it was sent. Those who are neither read nor unread left without reading it.
    pub audience_count: u32,
    /// Of those who have read it, how many have left since (S4).
    pub read_left_count: u32,
    /// Up to which log time it is kept, in milliseconds; `None`: indefinitely (S30). Tells one use of its id from another
    /// (R6).
    pub kept_until_ms: Option<u64>,
    /// Taken back (S23).
    pub recalled: bool,
    /// One-to-one: the other party.
    pub peer: Option<Peer>,
}

/// The other party of a one-to-one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Who.
    pub user: UserId,
    /// When they read it, in milliseconds since 1970; not before the message (S20).
    pub read_at_ms: Option<u64>,
}

impl Receipt {
    /// The receipt of a message of whose audience these have left since its own counts of them.
    pub(crate) fn of(
        id: &ConversationId,
        conversation: &Conversation,
        message: &Message,
        settings: &Settings,
        left: NewlyLeft,
        peer_read_at_s: impl FnOnce(u32) -> Option<u32>,
    ) -> Self {
        let read_count = message.readers.count();
        let peer = match (&conversation.kind, &message.audience) {
            (Kind::OneToOne(two), Audience::Listed(ordinals)) => Some(match ordinals.first() {
                Some(ordinal) => (Some(*ordinal), two.parties.get(*ordinal as usize)),
                // A note to oneself.
                None => (None, two.parties.first()),
            }),
            _ => None,
        };
        let peer = peer.and_then(|(ordinal, user)| {
            let read_at_ms = ordinal.and_then(peer_read_at_s).map(|read_at_s| message.answered_ms(read_at_s));
            Some(Peer { user: user?.clone(), read_at_ms })
        });
        Self {
            conversation: id.clone(),
            message: message.id.clone(),
            read_count,
            // A damaged row is no reason to stop with a panic.
            unread_count: [read_count, message.left_unread, left.unread]
                .into_iter()
                .fold(message.audience_size, u32::saturating_sub),
            audience_count: message.audience_size,
            read_left_count: message.read_left.unwrap_or_default().saturating_add(left.read),
            kept_until_ms: message.kept_until_ms(settings),
            recalled: message.recalled,
            peer,
        }
    }
}

impl Message {
    /// The readers in time order, where the set is small.
    #[must_use]
    pub fn inline_readers(&self) -> Option<&[crate::readers::Reader]> {
        match &self.readers {
            Readers::Inline(list) => Some(list),
            Readers::Chunked(_) => None,
        }
    }
}
