//! What a history is drawn as. Small numbers name users, messages and conversations; times are spans of the settings.

use receipt_domain::{limits::TIME_AHEAD_MAX_MS, settings::Settings};

/// A span of time at which, or just past which, some rule changes its mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// None.
    Zero,
    /// One millisecond.
    Millisecond,
    /// Less than a second.
    Small,
    /// The grain of read times.
    Second,
    /// `early_window` less a millisecond, itself, and a millisecond more (S16).
    Early(i8),
    /// `retention`, likewise (S16, S30).
    Retention(i8),
    /// Twice the `retention`, likewise (S30).
    TwiceRetention(i8),
    /// What a time may be ahead of its record, likewise (S20).
    Ahead(i8),
}

impl Span {
    /// Its length in milliseconds.
    #[must_use]
    pub fn ms(self, settings: &Settings) -> u64 {
        match self {
            Self::Zero => 0,
            Self::Millisecond => 1,
            Self::Small => 300,
            Self::Second => 1000,
            Self::Early(more) => settings.early_window_ms.saturating_add_signed(more.into()),
            Self::Retention(more) => settings.retention_ms.saturating_add_signed(more.into()),
            Self::TwiceRetention(more) => settings.retention_ms.saturating_mul(2).saturating_add_signed(more.into()),
            Self::Ahead(more) => TIME_AHEAD_MAX_MS.saturating_add_signed(more.into()),
        }
    }
}

/// A time relative to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// So much after.
    After(Span),
    /// So much before, but not before 1970.
    Before(Span),
}

impl Shift {
    /// The time shifted from this one.
    #[must_use]
    pub fn from_ms(self, settings: &Settings, ms: u64) -> u64 {
        match self {
            Self::After(span) => ms.saturating_add(span.ms(settings)),
            Self::Before(span) => ms.saturating_sub(span.ms(settings)),
        }
    }
}

/// A record's timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// By the history's clock.
    Clock(Shift),
    /// By the log time at the message that is named, or last, in the conversation; by the clock where there is none.
    Message(Shift),
    /// None, so 0.
    Missing,
}

/// A time inside an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Left out. For an `up_to_time`, the arrival.
    Absent,
    /// By the record's arrival.
    Arrival(Shift),
    /// By when the message that is named, or last, in the conversation was sent; by the arrival where there is none.
    Sent(Shift),
}

/// One record, and how far the clock goes on before it.
#[derive(Debug, Clone)]
pub struct Op {
    /// How far.
    pub step: Span,
    /// Its timestamp.
    pub arrival: Arrival,
    /// What stands in it.
    pub what: What,
}

/// One record of one of the two topics.
#[derive(Debug, Clone)]
pub enum What {
    /// Of receipts.conversations.
    Conversations(Content),
    /// Of receipts.reads.
    Reads(ReadContent),
}

/// What stands in a record of receipts.conversations.
#[derive(Debug, Clone)]
pub enum Content {
    /// Time passes.
    Tick,
    /// The policy: any type where `None`, else those of the given numbers.
    Policy(Option<Vec<u8>>),
    /// Something in a conversation.
    Change {
        /// Which.
        conversation: u8,
        /// Its version.
        version: VersionOp,
        /// Its `occurred_at`.
        occurred_at: Moment,
        /// What happened.
        change: ChangeOp,
    },
    /// The event that many records ago once more, as a producer that tries again writes it.
    Again(u8),
    /// Nothing that can be read.
    Unreadable,
}

/// An event's version, by the last one written for its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionOp {
    /// Not given.
    None,
    /// One more.
    Next,
    /// The same.
    Same,
    /// One less.
    Behind,
}

/// A change in a conversation.
#[derive(Debug, Clone)]
pub enum ChangeOp {
    /// `GroupCreated`.
    Create {
        /// Number of its type.
        group_type: u8,
        /// Users.
        members: Vec<u8>,
    },
    /// `MembersAdded`.
    Add(Vec<u8>),
    /// `MembersRemoved`.
    Remove(Vec<u8>),
    /// `GroupDismissed`.
    Dismiss,
    /// `MessageSent`.
    Send {
        /// Its id.
        message: MessageOp,
        /// A user.
        sender: u8,
        /// `need_read_receipt`.
        asks: bool,
        /// To whom.
        audience: AudienceOp,
    },
    /// `MessageRecalled`.
    Recall(MessageOp),
}

/// Who is to read a message.
#[derive(Debug, Clone)]
pub enum AudienceOp {
    /// All members.
    All,
    /// One-to-one.
    Peer(u8),
    /// These.
    Listed(Vec<u8>),
}

/// A message id of a conversation. There are few, so that they are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageOp {
    /// The one that was written that many messages ago; the next one, where there are fewer.
    Recent(u8),
    /// The one whose turn is next: a new message's, or that of a message that a read comes before.
    Next,
    /// This one.
    Any(u8),
}

/// What stands in a record of receipts.reads.
#[derive(Debug, Clone)]
pub enum ReadContent {
    /// A read.
    Read {
        /// Where; one number more than conversations there are, for one that is unknown.
        conversation: u8,
        /// A user.
        reader: u8,
        /// Its `read_at`.
        read_at: Moment,
        /// What it covers.
        target: TargetOp,
    },
    /// The event that many records ago once more.
    Again(u8),
    /// Nothing that can be read.
    Unreadable,
}

/// What a read covers.
#[derive(Debug, Clone)]
pub enum TargetOp {
    /// These; not always distinct.
    Messages(Vec<MessageOp>),
    /// Up to this one.
    UpTo(MessageOp),
    /// Up to this time.
    UpToTime(Moment),
}
