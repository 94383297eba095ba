//! The rows of a partition's state, as plain data. `receipt-codec` gives them bytes.

use serde::{Deserialize, Serialize};

use crate::{
    id::{GroupType, MessageId, UserId},
    readers::Readers,
    settings::Settings,
};

/// How far the partition's input topics are folded, and what goes with that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The next offset of receipts.conversations to be applied.
    pub conversations_offset: u64,
    /// The next offset of receipts.reads to be applied.
    pub reads_offset: u64,
    /// The highest arrival in receipts.conversations so far, in milliseconds.
    pub log_time_ms: u64,
    /// The number that the next new conversation gets.
    pub next_conversation: u64,
    /// Policy events applied.
    pub policies: u64,
    /// Messages applied, whether they ask for receipts or not; also those that have expired since.
    pub messages: u64,
    /// Receipts counted, also of messages that have expired since.
    pub receipts: u64,
    /// The leader epoch of the last record of receipts.conversations that was applied; `None` where the log has none.
    #[serde(skip)]
    pub conversations_epoch: Option<u32>,
    /// The leader epoch of the last record of receipts.reads that was applied; `None` where the log has none.
    #[serde(skip)]
    pub reads_epoch: Option<u32>,
}

impl Progress {
    /// What two folds of the same records have in common, in whatever order: without the offsets and leader epochs, which
    /// another log may have otherwise, and without the receipts of messages that had expired.
    #[must_use]
    pub fn logical(&self) -> Self {
        Self {
            conversations_offset: 0,
            reads_offset: 0,
            receipts: 0,
            conversations_epoch: None,
            reads_epoch: None,
            ..self.clone()
        }
    }
}

/// One conversation. It begins with its first applied event and is kept for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Dense in its partition.
    pub number: u64,
    /// The last version applied (S12); 0: none.
    pub version: u64,
    /// The position of its next message; the first has 1.
    pub next_position: u64,
    /// What it is, for good.
    pub kind: Kind,
}

/// Group or one-to-one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A group.
    Group(Group),
    /// Two people.
    OneToOne(OneToOne),
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// For the policy (S11).
    pub group_type: GroupType,
    /// Nothing more is sent (S22).
    pub dismissed: bool,
    /// The ordinal that the next membership gets; never used again.
    pub next_ordinal: u32,
    /// Memberships that have not ended.
    pub members: u32,
    /// Entries in the group's leave log.
    pub leaves: u32,
}

/// A one-to-one conversation: a group of two, whose ordinals are 0 and 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneToOne {
    /// The first message's sender, and its peer.
    pub parties: [UserId; 2],
    /// Log time at the first message.
    pub first_log_time_ms: u64,
    /// The highest time up to which each party has said to have read (S19).
    pub marked_ms: [Option<u64>; 2],
    /// At least the latest read time that any message to each party has. Where a new mark is not earlier, only unread
    /// messages can change. Not part of the logical state.
    pub latest_read_s: [u32; 2],
}

impl OneToOne {
    /// The party's ordinal.
    #[must_use]
    pub fn ordinal(&self, user: &UserId) -> Option<u32> {
        (0..).zip(&self.parties).find(|(_, party)| *party == user).map(|(ordinal, _)| ordinal)
    }
}

/// One stay of one user in a group (S5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Dense in the group.
    pub ordinal: u32,
    /// The position of the first message sent in it.
    pub joined_position: u64,
    /// Set once it has ended.
    pub left: Option<Leave>,
}

/// The end of a membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// The position of the first message sent after it.
    pub position: u64,
    /// Its log time, in milliseconds.
    pub log_time_ms: u64,
}

impl Membership {
    /// Whether a message at this position was sent during it.
    #[must_use]
    pub fn covers(&self, position: u64) -> bool {
        self.joined_position <= position && self.left.as_ref().is_none_or(|left| position < left.position)
    }

    /// Whether a message that was sent during it may be kept at this log time (S30).
    #[must_use]
    pub fn is_kept(&self, settings: &Settings, now_ms: u64) -> bool {
        self.left.as_ref().is_none_or(|left| settings.keeps(left.log_time_ms, now_ms))
    }
}

/// Whose membership an ordinal is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The user.
    pub user: UserId,
    /// When it ended, in log time.
    pub left_log_time_ms: Option<u64>,
}

/// One entry of a group's leave log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveEntry {
    /// Which membership ended.
    pub ordinal: u32,
    /// When, in log time.
    pub log_time_ms: u64,
}

/// What a conversation knows of a message by its id, for twice the retention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stub {
    /// Its position in the conversation.
    pub position: u64,
    /// Log time at it.
    pub log_time_ms: u64,
    /// Whether receipts are tracked.
    pub asks: bool,
    /// Who sent it.
    pub sender: UserId,
}

/// A message that asks for receipts, kept for the retention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Who sent it.
    pub sender: UserId,
    /// Log time at it.
    pub log_time_ms: u64,
    /// When it was sent (S20).
    pub occurred_at_ms: u64,
    /// Whose it is to read, fixed for good (R4).
    pub audience: Audience,
    /// How many those are.
    pub audience_size: u32,
    /// Taken back (S23).
    pub recalled: bool,
    /// How many entries of the group's leave log have been applied to it.
    pub leaves_applied: u32,
    /// Of the audience, by the entries applied: those who left and have not read it.
    pub left_unread: u32,
    /// Who has read it.
    pub readers: Readers,
}

/// The ordinals of a message's audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    /// All who were members at the message's position: the ordinals below `next_ordinal` that had not left, less the
    /// sender's.
    Members {
        /// The group's next ordinal at the message.
        next_ordinal: u32,
        /// The sender's membership, if it had one.
        sender: Option<u32>,
    },
    /// These, rising. Also the peer of a one-to-one message.
    Listed(Vec<u32>),
}

impl Message {
    /// Whether a membership that had not ended at the message is in its audience.
    #[must_use]
    pub fn addresses(&self, ordinal: u32) -> bool {
        match &self.audience {
            Audience::Members { next_ordinal, sender } => ordinal < *next_ordinal && *sender != Some(ordinal),
            Audience::Listed(ordinals) => ordinals.binary_search(&ordinal).is_ok(),
        }
    }
}

/// How far a user's up-to reads are expanded in a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Every message up to this position whose audience holds the user is read...
    pub position: u64,
    /// ... at this time, in seconds, or earlier.
    pub latest_read_s: u32,
    /// Log time at the message at the position, in milliseconds.
    pub log_time_ms: u64,
}

/// A read that waits for its message (S16).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRead {
    /// Whose.
    pub reader: UserId,
    /// Its time (S20), in milliseconds.
    pub read_at_ms: u64,
    /// Its record's arrival, in milliseconds.
    pub arrival_ms: u64,
    /// Whether it covers everything up to the message.
    pub up_to: bool,
}

/// An up-to-time read that may cover a message that is yet to come (S19).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeMark {
    /// Its time (S20), in milliseconds.
    pub read_at_ms: u64,
    /// Its record's arrival, in milliseconds.
    pub arrival_ms: u64,
}
