//! The rows of a partition's state, as plain data. `receipt-codec` gives them bytes.

use serde::{Deserialize, Serialize};

use crate::{
    id::{ConversationId, GroupType, MessageId, UserId},
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
    /// The offset of a record of receipts.conversations that is applied, but for the reads that waited for its message and
    /// are still to be counted. Its offset has not moved.
    pub releasing: Option<u64>,
    /// The leader epoch of the last record of receipts.conversations that was applied; `None` where the log has none.
    pub conversations_epoch: Option<u32>,
    /// The leader epoch of the last record of receipts.reads that was applied; `None` where the log has none.
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
            releasing: None,
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

/// A one-to-one conversation: a group of two, whose ordinals are 0 and 1. In a note to oneself both parties are the same
/// user, who has the ordinal 0 (S8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneToOne {
    /// The first message's sender, and its peer; twice the same user in a note to oneself.
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
    /// Whether it is a note to oneself, in which nobody else may send (S8).
    #[must_use]
    pub fn is_note(&self) -> bool {
        let [first, second] = &self.parties;
        first == second
    }

    /// Whether these two are its parties, in either order (S8).
    #[must_use]
    pub fn is_between(&self, sender: &UserId, peer: &UserId) -> bool {
        let [first, second] = &self.parties;
        (sender, peer) == (first, second) || (sender, peer) == (second, first)
    }

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
    /// Of the audience, by the entries applied: those who read it and have left. `None` in a row that was written before
    /// this was counted and has not been brought up to date since.
    pub read_left: Option<u32>,
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
    /// Entries that the group's leave log had at the message, at least: no entry before them changes it. Each ordinal
    /// below the group's next one was a member at the message or has its entry before it.
    #[must_use]
    pub fn leaves_before(&self) -> u32 {
        match &self.audience {
            Audience::Members { next_ordinal, sender } => {
                next_ordinal.saturating_sub(self.audience_size).saturating_sub(u32::from(sender.is_some()))
            }
            Audience::Listed(_) => 0,
        }
    }

    /// The first entry of the group's leave log that is still to be looked at for it.
    #[must_use]
    pub fn leaves_from(&self) -> u32 {
        if self.read_left.is_some() { self.leaves_applied } else { self.leaves_before().min(self.leaves_applied) }
    }

    /// Whether entries of a leave log of this length are still to be looked at for it.
    #[must_use]
    pub fn is_behind(&self, leaves: u32) -> bool {
        self.leaves_applied < leaves || (self.read_left.is_none() && self.leaves_from() < leaves)
    }

    /// A read time as it is answered, in milliseconds: the second it is kept in, but never earlier than the message
    /// itself (S20).
    #[must_use]
    pub fn answered_ms(&self, read_at_s: u32) -> u64 {
        (u64::from(read_at_s) * 1000).max(self.occurred_at_ms)
    }

    /// Up to which log time it is kept, in milliseconds; `None`: indefinitely (S30).
    #[must_use]
    pub fn kept_until_ms(&self, settings: &Settings) -> Option<u64> {
        (settings.retention_ms != 0).then(|| self.log_time_ms.saturating_add(settings.retention_ms))
    }

    /// Whether a membership that had not ended at the message is in its audience.
    #[must_use]
    pub fn addresses(&self, ordinal: u32) -> bool {
        match &self.audience {
            Audience::Members { next_ordinal, sender } => ordinal < *next_ordinal && *sender != Some(ordinal),
            Audience::Listed(ordinals) => ordinals.binary_search(&ordinal).is_ok(),
        }
    }
}

/// A pass over a group's messages, newest first, that brings them up to date with the group's leave log and notifies
/// their senders (S3). It is work still to be done, and not part of the logical state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// The group.
    pub conversation: ConversationId,
    /// Messages at and below this position are still to be looked at.
    pub next: u64,
    /// Entries of the leave log when the pass began: where there are more when it ends, another pass follows.
    pub leaves: u32,
    /// Messages that the pass has looked at.
    pub looked_at: u64,
    /// No sender is notified, as all were when the state was first folded.
    pub quiet: bool,
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

impl TimeMark {
    /// Whether a message with this log time and this time of its own was in the log, or was sent, by the time the mark
    /// arrived: it covers no other, as nobody has read what came later (S19).
    #[must_use]
    pub fn reaches(&self, log_time_ms: u64, occurred_at_ms: u64) -> bool {
        log_time_ms.min(occurred_at_ms) <= self.arrival_ms
    }

    /// What the other side is notified of, of a mark up to this time: at most its arrival (S19).
    #[must_use]
    pub fn reported_ms(&self, up_to_ms: u64) -> u64 {
        up_to_ms.min(self.arrival_ms)
    }
}

/// An up-to-time read that may cover a message that is yet to come (S19).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeMark {
    /// Its time (S20), in milliseconds.
    pub read_at_ms: u64,
    /// Its record's arrival, in milliseconds.
    pub arrival_ms: u64,
}
