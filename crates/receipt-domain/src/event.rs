//! What stands in the two input topics, once its shape has been checked (S13, S20, S39).

use crate::id::{ConversationId, GroupType, MessageId, UserId};

/// One record of receipts.conversations or receipts.reads, as the fold takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<E> {
    /// Its offset in its topic's partition.
    pub offset: u64,
    /// Its timestamp in the log, in milliseconds since 1970; 0 where it has none.
    pub arrival_ms: u64,
    /// The event, or why the record holds none: it goes to the dead letters, but its arrival still moves log time.
    pub event: Result<E, Rejection>,
}

/// What happened, as receipts.conversations tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something in one conversation.
    Conversation(ConversationEvent),
    /// Which group types may ask for receipts, from here on in this partition (S11).
    PolicyChanged(Policy),
    /// Time passed in this partition.
    Tick,
}

/// Something other than a read that happened in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationEvent {
    /// Where.
    pub conversation: ConversationId,
    /// When, by the producer's clock, in milliseconds since 1970; `None`: at the record's arrival (S20).
    pub occurred_at_ms: Option<u64>,
    /// Rises with each event of the conversation; 0: not given (S12).
    pub version: u64,
    /// What.
    pub change: Change,
}

/// What happened in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A group begins, with these members.
    GroupCreated {
        /// Its type, for the policy.
        group_type: GroupType,
        /// At most 10,000; the same user twice counts once.
        members: Vec<UserId>,
    },
    /// These joined.
    MembersAdded(Vec<UserId>),
    /// These left.
    MembersRemoved(Vec<UserId>),
    /// Nothing more is sent in the group (S22).
    GroupDismissed,
    /// A message was sent.
    MessageSent {
        /// Its id.
        message: MessageId,
        /// Who sent it; need not be a member.
        sender: UserId,
        /// Whether the sender asks for receipts (S10).
        need_read_receipt: bool,
        /// Who is to read it.
        audience: AudienceSpec,
    },
    /// A message was taken back (S23).
    MessageRecalled {
        /// Its id.
        message: MessageId,
    },
}

/// Who is to read a message, as its producer says it. The sender never is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudienceSpec {
    /// One-to-one: the other party.
    Peer(UserId),
    /// The group's members at the message's position in the log (S1).
    AllMembers,
    /// Those of the group's members who are listed (S7).
    Listed(Vec<UserId>),
}

/// Which group types may ask for receipts (S11).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Policy {
    /// Any. So it is before the first policy event.
    EveryGroupType,
    /// These; none, where empty.
    GroupTypes(Vec<GroupType>),
}

/// One user read something in one conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadEvent {
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub reader: UserId,
    /// When, by the producer's clock, in milliseconds since 1970; `None`: at the record's arrival (S20).
    pub read_at_ms: Option<u64>,
    /// What.
    pub target: ReadTarget,
}

/// What a read covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadTarget {
    /// These messages; 1 to 100 (S13).
    Messages(Vec<MessageId>),
    /// Every message up to and including this one, in the order of receipts.conversations (S17).
    UpToMessage(MessageId),
    /// One-to-one: all that the peer sent at or before this time, in milliseconds since 1970 (S19).
    UpToTime(u64),
}

/// Why a record is a dead letter. Its text says what broke which rule or limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejection(pub String);
