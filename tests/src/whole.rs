//! A store's rows, all of them, in memory; and what must hold between them.

mod groups;
mod messages;

use std::collections::BTreeMap;

use receipt_codec::{
    key::Kind,
    row::{
        active, conversation, cursor, leave, member, memberships, message, policy, progress, read_chunk, stub, sweep,
        time_chunk, time_mark, unread, waiting,
    },
};
use receipt_domain::{
    id::ConversationId,
    readers::Reader,
    settings::Settings,
    state::{Conversation, LeaveEntry},
    working_set::WorkingSet,
};
use receipt_store::Store;

/// A stretch of a large read set by time: its key, and its readers.
pub(crate) type Stretch = (Reader, Vec<Reader>);

/// A store's rows as they were read.
pub(crate) struct Rows {
    pub(crate) settings: Settings,
    pub(crate) set: WorkingSet,
    /// By number.
    pub(crate) conversations: BTreeMap<u64, (ConversationId, Conversation)>,
    pub(crate) leaves: BTreeMap<(u64, u32), LeaveEntry>,
    /// Stretches of readers by time, each with its key, by message.
    pub(crate) stretches: BTreeMap<(u64, u64), Vec<Stretch>>,
    /// Log time at the message as the rows of its read set have it.
    pub(crate) read_set_times: Vec<((u64, u64), u64)>,
    /// One-to-one messages that are not read: number, ordinal, time sent and position.
    pub(crate) unread: Vec<(u64, u32, (u64, u64))>,
}

/// All rows of a store, from which the logical state can be told without it.
///
/// # Panics
/// If a row can't be decoded, or if rows that belong together don't agree.
#[must_use]
pub fn whole(store: &Store) -> WorkingSet {
    let rows = Rows::read(store);
    groups::check(&rows);
    messages::check(&rows);
    rows.set
}

/// How many rows of each kind there are.
///
/// # Panics
/// If a row can't be read.
#[must_use]
pub fn kinds(store: &Store) -> BTreeMap<Kind, usize> {
    let mut kinds = BTreeMap::new();
    for row in store.rows() {
        let (key, _) = row.expect("a row");
        *kinds.entry(Kind::of(&key).expect("a kind")).or_default() += 1;
    }
    kinds
}

impl Rows {
    fn read(store: &Store) -> Self {
        let mut rows = Self {
            settings: *store.settings(),
            set: WorkingSet::in_memory(),
            conversations: BTreeMap::new(),
            leaves: BTreeMap::new(),
            stretches: BTreeMap::new(),
            read_set_times: Vec::new(),
            unread: Vec::new(),
        };
        let mut before: Box<[u8]> = Box::default();
        for row in store.rows() {
            let (key, value) = row.expect("a row");
            assert!(before < key, "keys rise: {before:?}, {key:?}");
            rows.take(&key, &value);
            before = key;
        }
        let policies = rows.set.progress.policies;
        assert_eq!(rows.set.new_policies.len() as u64, policies, "policies are numbered from 0");
        if let Some((_, policy)) = rows.set.new_policies.last() {
            rows.set.policy = policy.into();
        }
        let numbers: Vec<u64> = rows.conversations.keys().copied().collect();
        assert_eq!(numbers, (0..rows.set.progress.next_conversation).collect::<Vec<_>>(), "numbers are dense");
        rows.set.settle();
        rows
    }

    fn take(&mut self, key: &[u8], value: &[u8]) {
        let kind = Kind::of(key).expect("a kind");
        let set = &mut self.set;
        match kind {
            Kind::Identity => {}
            Kind::Progress => set.progress = progress::decode(value).unwrap(),
            Kind::Policy => {
                let number = policy::decode_key(key).unwrap();
                assert_eq!(number, set.new_policies.len() as u64);
                set.new_policies.push((number, policy::decode(value).unwrap()));
            }
            Kind::Conversation => {
                let (id, row) = (conversation::decode_key(key).unwrap(), conversation::decode(value).unwrap());
                assert!(self.conversations.insert(row.number, (id.clone(), row.clone())).is_none(), "a number twice");
                set.conversations.load(id, Some(row));
            }
            Kind::Memberships => {
                set.memberships.load(memberships::decode_key(key).unwrap(), Some(memberships::decode(value).unwrap()));
            }
            Kind::Member => set.members.load(member::decode_key(key).unwrap(), Some(member::decode(value).unwrap())),
            Kind::Active => set.active.load(active::decode_key(key).unwrap(), Some(active::decode(value).unwrap())),
            Kind::Leave => {
                let ((number, index), row) = (leave::decode_key(key).unwrap(), leave::decode(value).unwrap());
                self.leaves.insert((number, index), row);
                set.leaves.load(&number, index..=index, [(index, row)]);
            }
            Kind::Sweep => set.sweeps.load(sweep::decode_key(key).unwrap(), Some(sweep::decode(value).unwrap())),
            Kind::Stub => set.stubs.load(stub::decode_key(key).unwrap(), Some(stub::decode(value).unwrap())),
            Kind::Message => {
                set.messages.load(message::decode_key(key).unwrap(), Some(message::decode(value).unwrap()));
            }
            Kind::Cursor => set.cursors.load(cursor::decode_key(key).unwrap(), Some(cursor::decode(value).unwrap())),
            Kind::ReadChunk | Kind::TimeChunk => self.take_read_set(kind, key, value),
            Kind::Unread | Kind::Waiting | Kind::TimeMark => self.take_pending(kind, key, value),
            Kind::InboxProgress | Kind::InboxIndex | Kind::InboxEntry => panic!("{kind:?} in a receipt store"),
        }
    }

    fn take_read_set(&mut self, kind: Kind, key: &[u8], value: &[u8]) {
        let message = if kind == Kind::ReadChunk {
            let key = read_chunk::decode_key(key).unwrap();
            self.set.reads.load(key, Some(read_chunk::decode(value).unwrap()));
            (key.0, key.1)
        } else {
            let (number, position, first) = time_chunk::decode_key(key).unwrap();
            let stretch = (first, time_chunk::decode(value).unwrap());
            self.stretches.entry((number, position)).or_default().push(stretch);
            (number, position)
        };
        // A version byte, then the log time.
        let log_time_ms = value[1..9].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        self.read_set_times.push((message, log_time_ms));
    }

    fn take_pending(&mut self, kind: Kind, key: &[u8], value: &[u8]) {
        let set = &mut self.set;
        match kind {
            Kind::Unread => {
                let (number, ordinal, at) = unread::decode_key(key).unwrap();
                self.unread.push((number, ordinal, at));
                set.unread.load(&(number, ordinal), at..=at, [(at, unread::decode(value).unwrap())]);
            }
            Kind::Waiting => {
                let (id, message, read) = waiting::decode_key(key).unwrap();
                set.waiting.load(&(id, message), read..=read, [(read, waiting::decode(value).unwrap())]);
            }
            _ => {
                let (id, reader, read) = time_mark::decode_key(key).unwrap();
                set.time_marks.load(&(id, reader), read..=read, [(read, time_mark::decode(value).unwrap())]);
            }
        }
    }

    /// Whether something of this log time may be gone.
    pub(crate) fn is_expired(&self, log_time_ms: u64) -> bool {
        !self.settings.keeps(log_time_ms, self.set.progress.log_time_ms)
    }
}
