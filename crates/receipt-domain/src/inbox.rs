//! What one sender is to be told: each changed message once, as of its latest delta (R6, S31 to S34). Pure.

use serde::{Deserialize, Serialize};

use crate::{effects::DeltaChange, id::UserId, limits::DELTA_READERS_MAX, receipt::Receipt};

/// How far a partition of receipts.deltas is folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxProgress {
    /// The next offset to be applied.
    pub offset: u64,
    /// The highest arrival so far, in milliseconds.
    pub log_time_ms: u64,
    /// The leader epoch of the last record that was applied; `None` where the log has none.
    #[serde(skip)]
    pub epoch: Option<u32>,
}

/// A delta as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxDelta {
    /// Its offset in its partition of receipts.deltas.
    pub offset: u64,
    /// Log time at it, in milliseconds.
    pub log_time_ms: u64,
    /// What it says.
    pub change: DeltaChange,
    /// Its consistency token.
    pub token: String,
}

/// One of the latest readers of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxReader {
    /// Who.
    pub user: UserId,
    /// When, in milliseconds since 1970.
    pub read_at_ms: u64,
    /// The delta that brought them.
    pub offset: u64,
}

/// What is kept of one message's, or one peer's, deltas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxEntry {
    /// Log time at its latest delta, in milliseconds; it lives as long as a message sent then.
    pub log_time_ms: u64,
    /// All its deltas, joined.
    pub told: Told,
    /// The latest new readers, in the order they were brought; at most 100.
    pub readers: Vec<InboxReader>,
    /// The last delta that brought readers who are not, or no more, among those.
    pub unnamed_offset: Option<u64>,
    /// Of the latest delta that changed anything.
    pub token: String,
}

/// The join of all deltas of one message, or of one peer's marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// A message's receipt.
    Receipt(Receipt),
    /// A peer has read up to a time, in milliseconds since 1970 (S19).
    PeerReadMark {
        /// Where.
        conversation: crate::id::ConversationId,
        /// Who has read.
        peer: UserId,
        /// Up to when.
        up_to_ms: u64,
    },
}

impl Told {
    /// What a delta says, as it is kept.
    #[must_use]
    pub fn of(change: &DeltaChange) -> Self {
        match change {
            DeltaChange::Receipt { receipt, .. } => Self::Receipt(receipt.clone()),
            DeltaChange::PeerReadMark { conversation, peer, up_to_ms } => {
                Self::PeerReadMark { conversation: conversation.clone(), peer: peer.clone(), up_to_ms: *up_to_ms }
            }
        }
    }

    /// Whether it is of an earlier use of a message id than another: it is kept until an earlier log time (S30).
    fn is_earlier_use_than(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Receipt(a), Self::Receipt(b)) => {
                a.kept_until_ms.zip(b.kept_until_ms).is_some_and(|(kept_ms, other_ms)| kept_ms < other_ms)
            }
            _ => false,
        }
    }

    /// The join (R6): read counts the higher, unread count the lower, recalled if either, peer time the earlier, mark the
    /// later. Both are of the same use of a message id, or of the same peer.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Receipt(a), Self::Receipt(b)) => Self::Receipt(join_receipts(a, b)),
            (Self::PeerReadMark { conversation, peer, up_to_ms }, Self::PeerReadMark { up_to_ms: other_ms, .. }) => {
                Self::PeerReadMark { conversation, peer, up_to_ms: up_to_ms.max(other_ms) }
            }
            (_, other) => other,
        }
    }
}

fn join_receipts(a: Receipt, b: Receipt) -> Receipt {
    let peer = match (a.peer, b.peer) {
        (Some(mut peer), Some(other)) => {
            peer.read_at_ms = match (peer.read_at_ms, other.read_at_ms) {
                (Some(x), Some(y)) => Some(x.min(y)),
                (x, y) => x.or(y),
            };
            Some(peer)
        }
        (x, y) => x.or(y),
    };
    Receipt {
        read_count: a.read_count.max(b.read_count),
        unread_count: a.unread_count.min(b.unread_count),
        // What was written before these were counted has none.
        audience_count: a.audience_count.max(b.audience_count),
        read_left_count: a.read_left_count.max(b.read_left_count),
        kept_until_ms: a.kept_until_ms.or(b.kept_until_ms),
        recalled: a.recalled || b.recalled,
        peer,
        conversation: b.conversation,
        message: b.message,
    }
}

/// The entry after a delta; `None` where it changes nothing. `before` is the entry there was, unless it has expired. A
/// later use of a message id replaces an earlier one, and a delta of an earlier use is dropped (S30).
#[must_use]
pub fn join(before: Option<InboxEntry>, delta: InboxDelta) -> Option<InboxEntry> {
    let told = Told::of(&delta.change);
    let (told, mut changed, mut readers, mut unnamed_offset) = match before {
        Some(before) if told.is_earlier_use_than(&before.told) => return None,
        Some(before) if !before.told.is_earlier_use_than(&told) => {
            let joined = before.told.clone().join(told);
            let changed = joined != before.told;
            (joined, changed, before.readers, before.unnamed_offset)
        }
        _ => (told, true, Vec::new(), None),
    };
    if let DeltaChange::Receipt { new_readers, more_readers, .. } = delta.change {
        // Of two folds that saw the topics in another order, each may name readers that the other did not, with the same
        // counts: whoever is named or is one of more is new to the entry (S32).
        if more_readers {
            unnamed_offset = Some(delta.offset);
            changed = true;
        }
        for (user, read_at_ms) in new_readers {
            match readers.iter_mut().find(|reader| reader.user == user) {
                Some(named) => named.read_at_ms = named.read_at_ms.min(read_at_ms),
                None => {
                    readers.push(InboxReader { user, read_at_ms, offset: delta.offset });
                    changed = true;
                }
            }
        }
    }
    if !changed {
        return None;
    }
    let over = readers.len().saturating_sub(DELTA_READERS_MAX);
    let dropped = readers.drain(..over).map(|reader| reader.offset).max();
    unnamed_offset = unnamed_offset.max(dropped);
    Some(InboxEntry { log_time_ms: delta.log_time_ms, told, readers, unnamed_offset, token: delta.token })
}

/// What a subscriber who has been told everything before `offset` is told of an entry.
#[must_use]
pub fn tell(entry: &InboxEntry, offset: u64) -> DeltaChange {
    match &entry.told {
        Told::PeerReadMark { conversation, peer, up_to_ms } => {
            DeltaChange::PeerReadMark { conversation: conversation.clone(), peer: peer.clone(), up_to_ms: *up_to_ms }
        }
        Told::Receipt(receipt) => {
            let new = entry.readers.iter().filter(|reader| reader.offset >= offset);
            let mut new_readers: Vec<(UserId, u64)> = new.map(|r| (r.user.clone(), r.read_at_ms)).collect();
            new_readers.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
            let more_readers = entry.unnamed_offset.is_some_and(|unnamed| unnamed >= offset);
            DeltaChange::Receipt { receipt: receipt.clone(), new_readers, more_readers }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ConversationId, MessageId};

    fn receipt(read: u32, unread: u32) -> Receipt {
        Receipt {
            conversation: ConversationId::new("c").unwrap(),
            message: MessageId::new("m").unwrap(),
            read_count: read,
            unread_count: unread,
            audience_count: read + unread,
            read_left_count: 0,
            kept_until_ms: None,
            recalled: false,
            peer: None,
        }
    }

    fn delta(offset: u64, read: u32, unread: u32, readers: &[u32], more_readers: bool) -> InboxDelta {
        let named = |n: &u32| (UserId::new(&format!("u{n}")).unwrap(), u64::from(*n));
        let new_readers = readers.iter().map(named).collect();
        let change = DeltaChange::Receipt { receipt: receipt(read, unread), new_readers, more_readers };
        InboxDelta { offset, log_time_ms: offset, change, token: String::new() }
    }

    fn told(entry: &InboxEntry, offset: u64) -> (u32, u32, Vec<u64>, bool) {
        match tell(entry, offset) {
            DeltaChange::Receipt { receipt, new_readers, more_readers } => {
                let times = new_readers.into_iter().map(|(_, time)| time).collect();
                (receipt.read_count, receipt.unread_count, times, more_readers)
            }
            DeltaChange::PeerReadMark { .. } => panic!("no receipt"),
        }
    }

    #[test]
    fn r6_a_delta_twice_or_out_of_turn_changes_nothing() {
        let first = join(None, delta(5, 1, 9, &[1], false)).unwrap();
        let second = join(Some(first.clone()), delta(6, 3, 7, &[2, 3], false)).unwrap();
        assert_eq!(join(Some(second.clone()), delta(7, 3, 7, &[2, 3], false)), None, "twice");
        assert_eq!(join(Some(second.clone()), delta(8, 1, 9, &[1], false)), None, "late");
        let later = join(Some(first), delta(6, 2, 8, &[2], false)).unwrap();
        let mixed = join(Some(second), delta(9, 2, 6, &[], false)).unwrap();
        assert_eq!(told(&mixed, 9), (3, 6, vec![], false), "each count by itself");
        assert_eq!(told(&later, 0), (2, 8, vec![1, 2], false));
    }

    /// The delta of a use of a message id that is kept until a log time.
    fn of_use(kept_until_ms: u64, mut delta: InboxDelta) -> InboxDelta {
        if let DeltaChange::Receipt { receipt, .. } = &mut delta.change {
            receipt.kept_until_ms = Some(kept_until_ms);
        }
        delta
    }

    #[test]
    fn s30_a_later_use_of_an_id_replaces_an_earlier_one() {
        let first = join(None, of_use(100, delta(0, 5, 4, &[1, 2, 3, 4, 5], false))).unwrap();
        let second = join(Some(first.clone()), of_use(300, delta(1, 1, 8, &[6], false))).unwrap();
        assert_eq!(told(&second, 0), (1, 8, vec![6], false), "nothing of the earlier use is left");
        assert_eq!(join(Some(second.clone()), of_use(100, delta(2, 6, 3, &[7], false))), None, "an earlier use, late");
        let third = join(Some(second), of_use(300, delta(3, 2, 7, &[8], false))).unwrap();
        assert_eq!(told(&third, 0), (2, 7, vec![6, 8], false));
        let unknown = join(Some(first), delta(4, 6, 3, &[6], false)).unwrap();
        assert_eq!(told(&unknown, 4), (6, 3, vec![6], false), "from a time when no use was named: the same");
    }

    #[test]
    fn s32_a_reader_whom_the_entry_does_not_name_changes_it_with_the_same_counts() {
        let entry = join(None, delta(0, 1, 9, &[1], false)).unwrap();
        let entry = join(Some(entry), delta(1, 1, 9, &[2], false)).unwrap();
        assert_eq!(told(&entry, 1), (1, 9, vec![2], false), "from a fold that saw the other one first");
        assert_eq!(join(Some(entry.clone()), delta(2, 1, 9, &[1, 2], false)), None, "both are named");
        let entry = join(Some(entry), delta(3, 1, 9, &[1], true)).unwrap();
        assert_eq!(told(&entry, 3), (1, 9, vec![], true), "nobody knows who the others are");
    }

    #[test]
    fn s32_nobody_new_is_left_out_without_more_readers() {
        let mut entry = join(None, delta(0, 60, 940, &(0..60).collect::<Vec<_>>(), false)).unwrap();
        entry = join(Some(entry), delta(1, 120, 880, &(60..120).collect::<Vec<_>>(), false)).unwrap();
        assert_eq!(
            told(&entry, 1),
            (120, 880, (60..120).collect::<Vec<u64>>(), false),
            "whoever saw the first gets the rest"
        );
        assert_eq!(told(&entry, 0), (120, 880, (20..120).collect(), true), "20 are no more named");
        assert_eq!(told(&entry, 2), (120, 880, vec![], false));
        entry = join(Some(entry), delta(2, 400, 600, &(120..220).collect::<Vec<_>>(), true)).unwrap();
        assert_eq!(told(&entry, 2), (400, 600, (120..220).collect(), true));
        entry = join(Some(entry), delta(3, 401, 599, &[999], false)).unwrap();
        assert_eq!(told(&entry, 3), (401, 599, vec![999], false));
    }
}
