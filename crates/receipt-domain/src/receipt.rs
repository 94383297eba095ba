//! What a sender is shown of a message.

use serde::{Deserialize, Serialize};

use crate::{
    id::{ConversationId, MessageId, UserId},
    readers::Readers,
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
    /// When they read it, in seconds since 1970.
    pub read_at_s: Option<u32>,
}

impl Receipt {
    /// The receipt of a message of which `newly_left_unread` left since its own count of them.
    pub(crate) fn of(
        id: &ConversationId,
        conversation: &Conversation,
        message: &Message,
        newly_left_unread: u32,
        peer_read_at_s: impl FnOnce(u32) -> Option<u32>,
    ) -> Self {
        let read_count = message.readers.count();
        let peer = match (&conversation.kind, &message.audience) {
            (Kind::OneToOne(two), Audience::Listed(ordinals)) => {
                ordinals.first().and_then(|ordinal| Some((*ordinal, two.parties.get(*ordinal as usize)?)))
            }
            _ => None,
        };
        Self {
            conversation: id.clone(),
            message: message.id.clone(),
            read_count,
            // A damaged row is no reason to stop with a panic.
            unread_count: [read_count, message.left_unread, newly_left_unread]
                .into_iter()
                .fold(message.audience_size, u32::saturating_sub),
            recalled: message.recalled,
            peer: peer.map(|(ordinal, user)| Peer { user: user.clone(), read_at_s: peer_read_at_s(ordinal) }),
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
