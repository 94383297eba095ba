//! What can be observed of a state, as plain data.

use std::collections::BTreeMap;

use receipt_domain::{
    event::{Policy, ReadEvent, ReadTarget},
    id::{ConversationId, GroupType, MessageId, UserId},
};

use super::{
    Model,
    conversations::{Conversation, Kind, Message},
    reads::{self, Read},
    times::{Age, age, counts},
};

/// Everything that can be observed of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalState {
    /// The highest arrival in receipts.conversations; 0 before the first record.
    pub log_time_ms: u64,
    /// The policy in force (S11).
    pub policy: Policy,
    /// How many policy events were applied.
    pub policies_applied: u64,
    /// Those in which an event was applied.
    pub conversations: BTreeMap<ConversationId, ConversationState>,
}

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConversationState {
    /// Its kind, and what only that kind has.
    pub kind: KindState,
    /// The last version that was used up; 0: none was (S12).
    pub last_version: u64,
    /// Those known, kept or expired (S30), by id.
    pub messages: BTreeMap<MessageId, MessageState>,
}

/// What only one of the two kinds of conversation has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KindState {
    /// A group.
    Group(GroupState),
    /// The first sender, then the first peer.
    OneToOne([PartyState; 2]),
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupState {
    /// As it was created.
    pub group_type: GroupType,
    /// Whether it was (S22).
    pub dismissed: bool,
    /// The present ones, in the order of their memberships.
    pub members: Vec<UserId>,
}

/// One of the two of a one-to-one conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartyState {
    /// Who.
    pub user: UserId,
    /// The highest time this party has marked, as the other's `PeerReadMark` tells it (S19).
    pub highest_mark_ms: Option<u64>,
}

/// One message that is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageState {
    /// Who sent it: who may ask (S25).
    pub sender: UserId,
    /// What is answered.
    pub status: Status,
}

/// What is answered for a message that is known, in the order of S25.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Its receipt.
    Kept(Receipt),
    /// It does not ask (S10), kept or expired.
    NotRequested,
    /// It asked, and its retention is over (S30).
    Expired,
}

/// The receipt of one message, with its lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt {
    /// How many of the audience have read it.
    pub read_count: usize,
    /// How many have not, and have not left (S3).
    pub unread_count: usize,
    /// How many of the audience there are, fixed when it was sent (S24).
    pub audience_count: usize,
    /// Of those who have read, how many have left since (S4, S24).
    pub read_left_count: usize,
    /// Up to which log time it is kept; `None`: indefinitely (S30).
    pub kept_until_ms: Option<u64>,
    /// Whether it was recalled (S23).
    pub recalled: bool,
    /// One-to-one only.
    pub peer: Option<PeerRead>,
    /// Earliest first, and by membership within a second (S26).
    pub read: Vec<Reader>,
    /// By membership.
    pub unread: Vec<UserId>,
    /// Those of the audience who left without reading, by membership (S3, S28).
    pub left_unread: Vec<UserId>,
}

/// What only a one-to-one message's receipt has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerRead {
    /// The other party.
    pub peer: UserId,
    /// Whether they have read it.
    pub is_peer_read: bool,
    /// When, in milliseconds since 1970.
    pub peer_read_at_ms: Option<u64>,
}

/// One reader of one message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// Who.
    pub user: UserId,
    /// When, in milliseconds since 1970 (S20).
    pub read_at_ms: u64,
    /// Whether the membership that was in the audience has ended (S4, S5).
    pub left: bool,
}

/// What became of a receipt, for one of its messages (S13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// No such message yet.
    Pending,
    /// It does not ask.
    NotRequested,
    /// It is expired, or the receipt is too late, or too early, for it.
    Expired,
    /// The reader is not in its audience.
    NotInAudience,
    /// The reader is among its readers.
    Read,
}

impl Model<'_> {
    pub(super) fn conversation_state(&self, id: &ConversationId, conversation: &Conversation) -> ConversationState {
        let reads = reads::of(&self.settings, id, conversation, self.reads);
        let mut messages = BTreeMap::new();
        for (place, message) in conversation.messages.iter().enumerate() {
            // S30: the last one with an id is the one that is known; all before it are forgotten.
            if self.age(message) != Age::Forgotten {
                messages.insert(message.id.clone(), self.message_state(conversation, &reads, place, message));
            }
        }
        ConversationState {
            kind: self.kind_state(conversation, &reads),
            last_version: conversation.last_version,
            messages,
        }
    }

    fn age(&self, message: &Message) -> Age {
        age(&self.settings, message.log_time_ms, self.log_time_ms)
    }

    fn kind_state(&self, conversation: &Conversation, reads: &[Read<'_>]) -> KindState {
        match &conversation.kind {
            Kind::OneToOne { parties } => KindState::OneToOne(parties.each_ref().map(|user| PartyState {
                user: user.clone(),
                highest_mark_ms: reads::highest_mark_ms(&self.settings, conversation, reads, user),
            })),
            Kind::Group { group_type, dismissed } => {
                let present = conversation.memberships.iter().filter(|stay| !stay.ended);
                KindState::Group(GroupState {
                    group_type: group_type.clone(),
                    dismissed: *dismissed,
                    members: present.map(|stay| stay.user.clone()).collect(),
                })
            }
        }
    }

    fn message_state(
        &self,
        conversation: &Conversation,
        reads: &[Read<'_>],
        place: usize,
        message: &Message,
    ) -> MessageState {
        // S25: NOT_REQUESTED stands before EXPIRED.
        let status = if !message.asks {
            Status::NotRequested
        } else if self.age(message) != Age::Kept {
            Status::Expired
        } else {
            Status::Kept(self.receipt(conversation, reads, place, message))
        };
        MessageState { sender: message.sender.clone(), status }
    }

    fn receipt(&self, conversation: &Conversation, reads: &[Read<'_>], place: usize, message: &Message) -> Receipt {
        let (mut read, mut unread, mut left_unread) = (Vec::new(), Vec::new(), Vec::new());
        // The audience is in the order of memberships. S2, S15: nobody else is looked at.
        for stay in message.audience.iter().filter_map(|number| conversation.memberships.get(*number)) {
            let user = stay.user.clone();
            match reads::read_at_ms(&self.settings, reads, place, message, &stay.user) {
                // S4, S5: who has left is a reader all the same, as the membership that ended.
                Some(read_at_ms) => read.push(Reader { user, read_at_ms, left: stay.ended }),
                // S3: who left without reading is not unread.
                None if stay.ended => left_unread.push(user),
                None => unread.push(user),
            }
        }
        // S26: by time; the sort is stable, so by membership within a second.
        read.sort_by_key(|reader| reader.read_at_ms);
        let peer = message.peer.clone().map(|peer| PeerRead {
            peer,
            // S19: what a read or mark covers, and the earliest time of those.
            is_peer_read: !read.is_empty(),
            peer_read_at_ms: read.first().map(|reader| reader.read_at_ms),
        });
        Receipt {
            read_count: read.len(),
            unread_count: unread.len(),
            audience_count: message.audience.len(),
            read_left_count: read.iter().filter(|reader: &&Reader| reader.left).count(),
            kept_until_ms: match self.settings.retention_ms {
                0 => None,
                retention_ms => Some(message.log_time_ms.saturating_add(retention_ms)),
            },
            recalled: message.recalled,
            peer,
            read,
            unread,
            left_unread,
        }
    }

    /// S13.
    pub(super) fn outcomes_of(&self, arrival_ms: u64, event: &ReadEvent) -> Vec<Outcome> {
        let conversation = self.conversations.get(&event.conversation);
        // S30: the one that is known by this id.
        let known = |id: &MessageId| {
            let conversation = conversation?;
            let (_, message) = conversation.last_message(id)?;
            (self.age(message) != Age::Forgotten).then_some((conversation, message))
        };
        match &event.target {
            ReadTarget::Messages(ids) => {
                ids.iter().map(|id| self.receipt_outcome(known(id), arrival_ms, &event.reader)).collect()
            }
            ReadTarget::UpToMessage(id) => vec![match known(id) {
                None => Outcome::Pending,
                Some((_, message)) if self.over(message, arrival_ms) => Outcome::Expired,
                Some(_) => Outcome::Read,
            }],
            ReadTarget::UpToTime(_) => vec![Outcome::Read],
        }
    }

    /// The first that holds.
    fn receipt_outcome(&self, known: Option<(&Conversation, &Message)>, arrival_ms: u64, reader: &UserId) -> Outcome {
        let Some((conversation, message)) = known else { return Outcome::Pending };
        let stays = || message.audience.iter().filter_map(|number| conversation.memberships.get(*number));
        if !message.asks {
            Outcome::NotRequested
        } else if self.over(message, arrival_ms) {
            Outcome::Expired
        } else if !stays().any(|stay| stay.user == *reader) {
            Outcome::NotInAudience
        } else {
            Outcome::Read
        }
    }

    /// Whether the message is expired, or the windows of S16 do not hold between it and this arrival.
    fn over(&self, message: &Message, arrival_ms: u64) -> bool {
        self.age(message) != Age::Kept || !counts(&self.settings, arrival_ms, message.log_time_ms)
    }
}
