//! The rows that one batch touches, and the names of those it still needs.

use std::{
    collections::{BTreeSet, HashMap},
    ops::RangeInclusive,
};

use rustc_hash::FxBuildHasher;

use crate::{
    event::Policy,
    id::{ConversationId, GroupType, MessageId, UserId},
    memory::HeapBytes as _,
    readers::{ActiveChunk, ReadChunk},
    state::{
        Conversation, Cursor, LeaveEntry, Member, Membership, Message, Progress, Stub, Sweep, TimeMark, WaitingRead,
    },
    table::{RangeTable, Table, Unloaded},
};

/// A number of a conversation in its partition.
pub type ConversationNumber = u64;
/// A message's position in its conversation, from 1.
pub type Position = u64;

/// Rows that must be loaded before a step can be taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Need {
    /// A conversation, by its id.
    Conversation(ConversationId),
    /// A user's memberships.
    Memberships(ConversationNumber, UserId),
    /// Whose an ordinal is.
    Member(ConversationNumber, u32),
    /// A chunk of a group's active memberships.
    Active(ConversationNumber, u32),
    /// What is known of a message's id.
    Stub(ConversationNumber, MessageId),
    /// The messages that ask for receipts in a range of positions.
    Messages(ConversationNumber, RangeInclusive<Position>),
    /// A chunk of a large read set.
    Reads(ConversationNumber, Position, u32),
    /// How far a user's up-to reads are expanded.
    Cursor(ConversationNumber, UserId),
    /// A group's pass over its messages.
    Sweep(ConversationNumber),
    /// A group's leave log from an index on.
    Leaves(ConversationNumber, u32),
    /// The reads that wait for a message.
    Waiting(ConversationId, MessageId),
    /// A user's up-to-time reads of a conversation with a time at or after this, in milliseconds.
    TimeMarks(ConversationId, UserId, u64),
    /// The unread one-to-one messages for the party with this ordinal, sent at or before this time, in milliseconds.
    Unread(ConversationNumber, u32, u64),
}

/// Needs, as an error: load these and come again.
pub type Needs = Vec<Need>;

/// The row, or the need for it.
pub fn known<T>(row: Result<T, Unloaded>, need: impl FnOnce() -> Need) -> Result<T, Needs> {
    row.map_err(|Unloaded| vec![need()])
}

/// Nothing, or the needs.
pub fn satisfied(needs: Needs) -> Result<(), Needs> {
    if needs.is_empty() { Ok(()) } else { Err(needs) }
}

/// A read time of a large read set that was set or moved, for the store's index by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeChange {
    /// Which membership.
    pub ordinal: u32,
    /// Its read time before, in seconds.
    pub before_s: Option<u32>,
    /// Its read time now, in seconds.
    pub now_s: u32,
}

/// The changes of large read sets that a batch has made.
#[derive(Debug, Clone, Default)]
pub struct TimeChanges {
    by_message: HashMap<(ConversationNumber, Position), Vec<TimeChange>, FxBuildHasher>,
    /// About.
    bytes: usize,
}

impl TimeChanges {
    /// Adds one to those of a message.
    pub fn push(&mut self, message: (ConversationNumber, Position), change: TimeChange) {
        // In a list that grows by doubling, and once more in the write.
        self.bytes += 3 * size_of::<TimeChange>();
        self.by_message.entry(message).or_default().push(change);
    }

    /// Those of each message, in the order they were made.
    pub fn iter(&self) -> impl Iterator<Item = (&(ConversationNumber, Position), &Vec<TimeChange>)> {
        self.by_message.iter()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.by_message.clear();
        self.bytes = 0;
    }
}

/// The policy in force, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyInForce {
    /// Any group's messages may ask.
    EveryGroupType,
    /// Those of groups of these types.
    GroupTypes(BTreeSet<GroupType>),
}

impl PolicyInForce {
    /// Whether messages of such a group may ask for receipts (S11).
    #[must_use]
    pub fn allows(&self, group_type: &GroupType) -> bool {
        match self {
            Self::EveryGroupType => true,
            Self::GroupTypes(types) => types.contains(group_type),
        }
    }
}

impl From<&Policy> for PolicyInForce {
    fn from(policy: &Policy) -> Self {
        match policy {
            Policy::EveryGroupType => Self::EveryGroupType,
            Policy::GroupTypes(types) => Self::GroupTypes(types.iter().cloned().collect()),
        }
    }
}

/// Keys of waiting reads and time marks below their prefix: the read's offset, and its place in the record or the time.
pub type ReadKey = (u64, u64);

/// The rows of a partition that are in memory.
#[derive(Clone)]
pub struct WorkingSet {
    /// How far the input is folded; always loaded.
    pub progress: Progress,
    /// The policy in force; always loaded.
    pub policy: PolicyInForce,
    /// Policy events of this batch, each with its number from 0.
    pub new_policies: Vec<(u64, Policy)>,
    /// By id.
    pub conversations: Table<ConversationId, Conversation>,
    /// A user's memberships of a group, rising by ordinal.
    pub memberships: Table<(ConversationNumber, UserId), Vec<Membership>>,
    /// By ordinal.
    pub members: Table<(ConversationNumber, u32), Member, FxBuildHasher>,
    /// By chunk.
    pub active: Table<(ConversationNumber, u32), ActiveChunk, FxBuildHasher>,
    /// By message id.
    pub stubs: Table<(ConversationNumber, MessageId), Stub>,
    /// By position; only those that ask.
    pub messages: Table<(ConversationNumber, Position), Message, FxBuildHasher>,
    /// By position and chunk.
    pub reads: Table<(ConversationNumber, Position, u32), ReadChunk, FxBuildHasher>,
    /// By user.
    pub cursors: Table<(ConversationNumber, UserId), Cursor>,
    /// By group; those that are not done.
    pub sweeps: Table<ConversationNumber, Sweep, FxBuildHasher>,
    /// By index.
    pub leaves: RangeTable<ConversationNumber, u32, LeaveEntry, FxBuildHasher>,
    /// By offset in receipts.reads and place in the record.
    pub waiting: RangeTable<(ConversationId, MessageId), ReadKey, WaitingRead>,
    /// By up-to time in milliseconds and offset in receipts.reads.
    pub time_marks: RangeTable<(ConversationId, UserId), ReadKey, TimeMark>,
    /// By the time they were sent, in milliseconds, and position: the log time at them.
    pub unread: RangeTable<(ConversationNumber, u32), (u64, Position), u64, FxBuildHasher>,
    /// Changes of large read sets, in the order they were made.
    pub time_changes: TimeChanges,
    /// Bytes of `new_policies`, about.
    policies_bytes: usize,
}

impl WorkingSet {
    /// A working set over a store that has come this far.
    #[must_use]
    pub fn over_store(progress: Progress, policy: PolicyInForce) -> Self {
        Self::new(false, progress, policy)
    }

    /// A whole partition in memory, with no store below it.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(true, Progress::default(), PolicyInForce::EveryGroupType)
    }

    fn new(complete: bool, progress: Progress, policy: PolicyInForce) -> Self {
        Self {
            progress,
            policy,
            new_policies: Vec::new(),
            conversations: Table::new(complete),
            memberships: Table::new(complete),
            members: Table::new(complete),
            active: Table::new(complete),
            stubs: Table::new(complete),
            messages: Table::new(complete),
            reads: Table::new(complete),
            cursors: Table::new(complete),
            sweeps: Table::new(complete),
            leaves: RangeTable::new(complete),
            waiting: RangeTable::new(complete),
            time_marks: RangeTable::new(complete),
            unread: RangeTable::new(complete),
            time_changes: TimeChanges::default(),
            policies_bytes: 0,
        }
    }

    /// Everything written is in the store now: forgets it, but for progress and policy.
    pub fn settle(&mut self) {
        self.new_policies.clear();
        self.conversations.settle();
        self.memberships.settle();
        self.members.settle();
        self.active.settle();
        self.stubs.settle();
        self.messages.settle();
        self.reads.settle();
        self.cursors.settle();
        self.sweeps.settle();
        self.leaves.settle();
        self.waiting.settle();
        self.time_marks.settle();
        self.unread.settle();
        self.time_changes.clear();
        self.policies_bytes = 0;
    }

    /// Notes a policy event, which is the next one.
    pub fn add_policy(&mut self, policy: Policy) {
        self.policies_bytes += size_of::<(u64, Policy)>() + policy.heap_bytes();
        self.new_policies.push((self.progress.policies, policy));
    }

    /// Bytes of the rows in memory, about (R8).
    #[must_use]
    pub fn bytes(&self) -> usize {
        let points = self.conversations.bytes()
            + self.memberships.bytes()
            + self.members.bytes()
            + self.active.bytes()
            + self.stubs.bytes()
            + self.messages.bytes()
            + self.reads.bytes()
            + self.cursors.bytes()
            + self.sweeps.bytes();
        let ranges = self.leaves.bytes() + self.waiting.bytes() + self.time_marks.bytes() + self.unread.bytes();
        points + ranges + self.policies_bytes + self.time_changes.bytes
    }
}
