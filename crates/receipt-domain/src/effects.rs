//! What follows from folding a batch, beside the rows: deltas for senders, and counters for operators.

use std::collections::BTreeMap;

use crate::{
    audience::NewlyLeft,
    id::{ConversationId, UserId},
    limits::DELTA_READERS_MAX,
    memory::HeapBytes as _,
    outcome::Outcome,
    readers::Reader,
    receipt::Receipt,
    settings::Settings,
    working_set::{ConversationNumber, Position, WorkingSet},
};

/// What changed for one sender (S31, S32). Absolute, and a join: twice or out of turn is right (R6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// Who is to be told.
    pub sender: UserId,
    /// What.
    pub change: DeltaChange,
}

/// What a delta says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeltaChange {
    /// A message's receipt.
    Receipt {
        /// Its counts.
        receipt: Receipt,
        /// Who is new in this batch, with read times in milliseconds, earliest first; at most 100.
        new_readers: Vec<(UserId, u64)>,
        /// There are more than are named.
        more_readers: bool,
    },
    /// One-to-one: the peer has read everything up to a time (S19).
    PeerReadMark {
        /// Where.
        conversation: ConversationId,
        /// Who has read.
        peer: UserId,
        /// Up to when, in milliseconds since 1970.
        up_to_ms: u64,
    },
}

/// How often something happened that an operator wants to see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records that are part of the state.
    pub applied: u64,
    /// Repeated events (S12).
    pub repeated: u64,
    /// Dead letters (S8, R8).
    pub rejected: u64,
    /// Group messages that asked where the policy does not let them (S11).
    pub not_allowed_by_policy: u64,
    /// Up-to-time reads of a group, ignored (S19).
    pub up_to_time_on_group: u64,
}

#[derive(Debug, Clone)]
struct Touched {
    conversation: ConversationId,
    /// Read time in seconds, membership and user.
    new_readers: Vec<(u32, u32, UserId)>,
    /// Memberships of readers whose time has moved back to this second (S18); perhaps of those above.
    earlier: Vec<(u32, u32)>,
}

impl Touched {
    /// Those who are new, each at the earliest of its times.
    fn new_readers(&self) -> Vec<(u32, &UserId)> {
        let mut earliest = BTreeMap::new();
        for (ordinal, read_at_s) in &self.earlier {
            let time = earliest.entry(*ordinal).or_insert(*read_at_s);
            *time = (*read_at_s).min(*time);
        }
        let time = |ordinal, read_at_s: u32| earliest.get(ordinal).map_or(read_at_s, |time| read_at_s.min(*time));
        let mut readers: Vec<_> =
            self.new_readers.iter().map(|(read_at_s, ordinal, user)| (time(ordinal, *read_at_s), user)).collect();
        readers.sort_unstable();
        readers
    }
}

/// Bytes of a message that changed, and of its delta, about, beside its new readers.
const TOUCHED_BYTES: usize = 512;

/// What follows from a batch.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    bytes: usize,
    /// For metrics.
    pub counters: Counters,
    touched: BTreeMap<(ConversationNumber, Position), Touched>,
    marks: BTreeMap<(ConversationId, UserId), (UserId, u64)>,
}

impl Effects {
    pub(crate) fn count_outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Applied => self.counters.applied += 1,
            Outcome::Repeated => self.counters.repeated += 1,
            Outcome::Rejected(_) => self.counters.rejected += 1,
            Outcome::Skipped => {}
        }
    }

    fn touch(&mut self, id: &ConversationId, key: (ConversationNumber, Position)) -> &mut Touched {
        let bytes = &mut self.bytes;
        self.touched.entry(key).or_insert_with(|| {
            *bytes += TOUCHED_BYTES;
            Touched { conversation: id.clone(), new_readers: Vec::new(), earlier: Vec::new() }
        })
    }

    pub(crate) fn read(
        &mut self,
        id: &ConversationId,
        key: (ConversationNumber, Position),
        reader: &UserId,
        read: Reader,
    ) {
        // In a list that grows by doubling, and once more while the deltas are made.
        self.bytes += 3 * size_of::<(u32, u32, UserId)>() + reader.heap_bytes();
        self.touch(id, key).new_readers.push((read.read_at_s, read.ordinal, reader.clone()));
    }

    /// A reader's time moved back: that alone notifies nobody (S18, S32), but whoever is new is named with it.
    pub(crate) fn read_earlier(&mut self, key: (ConversationNumber, Position), read: Reader) {
        if let Some(touched) = self.touched.get_mut(&key)
            && !touched.new_readers.is_empty()
        {
            touched.earlier.push((read.ordinal, read.read_at_s));
        }
    }

    /// A message's counts changed otherwise: it was recalled, or members of its audience left.
    pub(crate) fn changed(&mut self, id: &ConversationId, key: (ConversationNumber, Position)) {
        self.touch(id, key);
    }

    pub(crate) fn peer_marked(&mut self, id: &ConversationId, to: &UserId, peer: &UserId, up_to_ms: u64) {
        let bytes = &mut self.bytes;
        let mark = self.marks.entry((id.clone(), peer.clone())).or_insert_with(|| {
            *bytes += TOUCHED_BYTES;
            (to.clone(), up_to_ms)
        });
        mark.1 = mark.1.max(up_to_ms);
    }

    /// Bytes of what follows, and of the deltas that are made of it, about (R8).
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many messages changed for their senders.
    #[must_use]
    pub fn touched_messages(&self) -> usize {
        self.touched.len()
    }

    /// The batch's deltas, one a message, in the order of conversation and position. `rows` is the working set that the
    /// batch was folded in, not yet settled. None is of a message that is forgotten at log time `log_time_at_end_ms`,
    /// the log's own at its end as far as it is known: its id may be in its next use there already (S30).
    #[must_use]
    pub fn deltas(&self, rows: &WorkingSet, settings: &Settings, log_time_at_end_ms: u64) -> Vec<Delta> {
        let receipts = self.touched.iter().filter_map(|(key, touched)| {
            let conversation = rows.conversations.get(&touched.conversation).ok()??;
            let message = rows.messages.get(key).ok()??;
            if !settings.knows(message.log_time_ms, log_time_at_end_ms) {
                return None;
            }
            let peer_read = |ordinal| rows.read_at_s(key.0, key.1, &message.readers, ordinal);
            let left = NewlyLeft::default();
            let receipt = Receipt::of(&touched.conversation, conversation, message, settings, left, peer_read);
            let mut readers = touched.new_readers();
            let more_readers = readers.len() > DELTA_READERS_MAX;
            readers.truncate(DELTA_READERS_MAX);
            let named = |(read_at_s, user): (u32, &UserId)| (user.clone(), message.answered_ms(read_at_s));
            let new_readers = readers.into_iter().map(named).collect();
            let change = DeltaChange::Receipt { receipt, new_readers, more_readers };
            Some(Delta { sender: message.sender.clone(), change })
        });
        let marks = self.marks.iter().map(|((conversation, peer), (to, up_to_ms))| Delta {
            sender: to.clone(),
            change: DeltaChange::PeerReadMark {
                conversation: conversation.clone(),
                peer: peer.clone(),
                up_to_ms: *up_to_ms,
            },
        });
        receipts.chain(marks).collect()
    }
}
