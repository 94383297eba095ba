//! S16, S30: what is expired goes from the files, behind the durable log time and under no view's feet.

use receipt_codec::key::Kind;
use receipt_domain::{
    event::{AudienceSpec, Change, ReadTarget},
    id::UserId,
    settings::Settings,
};
use receipt_fold_tests::logical::{logical_state, normalised};
use receipt_store::{MemberFilter, Resources, Store};
use receipt_tests::{
    dir,
    feed::identity,
    pages::List,
    scenario::{Script, id, of_message},
    whole::{kinds, whole},
};

const START_MS: u64 = 1_000_000_000;
const SECOND_MS: u64 = 1000;
const SETTINGS: Settings =
    Settings { retention_ms: 100 * SECOND_MS, early_window_ms: 30 * SECOND_MS, max_group_members: 10 };

/// A store, and the log it is folded from.
struct Partition {
    store: Store,
    script: Script,
    _dir: tempfile::TempDir,
}

impl Partition {
    /// Something of each kind: a group's message that three read and one left unread; two seconds later another, marked
    /// as read up to, a one-to-one message that is unread, and reads that wait.
    fn new() -> Self {
        let dir = dir::temporary();
        let store = Store::open(dir.path(), &Resources::new(1 << 20, 1 << 20), &identity(SETTINGS)).unwrap();
        let mut script = Script::new(SETTINGS);
        let [a, b, c, d, e]: [UserId; 5] = ["a", "b", "c", "d", "e"].map(id);
        let members = vec![a.clone(), b.clone(), c.clone(), d.clone(), e.clone()];
        script.group(START_MS, "g", members);
        script.message(START_MS, "g", "first", &a, AudienceSpec::AllMembers);
        script.change(START_MS + SECOND_MS, "g", Change::MembersRemoved(vec![e]));
        let later_ms = START_MS + 2 * SECOND_MS;
        script.message(later_ms, "g", "second", &a, AudienceSpec::AllMembers);
        script.message(later_ms, "p", "private", &a, AudienceSpec::Peer(b.clone()));
        for reader in [&b, &c, &d] {
            script.read(later_ms, "g", reader, None, of_message("first"));
        }
        script.read(later_ms, "g", &b, None, ReadTarget::UpToMessage(id("second")));
        script.read(later_ms, "g", &b, None, of_message("not there yet"));
        script.read(later_ms, "p", &b, None, ReadTarget::UpToTime(START_MS));
        let mut partition = Self { store, script, _dir: dir };
        partition.fold();
        partition
    }

    fn fold(&mut self) {
        self.script.fold_into(&self.store, 2);
        self.agrees();
    }

    /// Log time is this long after the start; not durable yet.
    fn at(&mut self, after_ms: u64) {
        self.script.tick(START_MS + after_ms);
        self.fold();
    }

    fn flush_and_compact(&self) {
        self.store.flush().unwrap();
        self.compact();
    }

    /// The logical state is the same before and after.
    fn compact(&self) {
        self.store.compact();
        self.agrees();
    }

    fn agrees(&self) {
        let state = logical_state(&whole(&self.store), &SETTINGS).unwrap();
        assert_eq!(state, normalised(self.script.model().state()));
    }

    fn count(&self, kind: Kind) -> usize {
        kinds(&self.store).get(&kind).copied().unwrap_or_default()
    }
}

/// Rows of a store with something of each kind, before anything is expired.
const ALL: [(Kind, usize); 16] = [
    (Kind::Identity, 1),
    (Kind::Progress, 1),
    (Kind::Conversation, 2),
    (Kind::Memberships, 5),
    (Kind::Member, 5),
    (Kind::Active, 1),
    (Kind::Leave, 1),
    (Kind::Sweep, 1),
    (Kind::Stub, 3),
    (Kind::Message, 3),
    (Kind::ReadChunk, 1),
    (Kind::TimeChunk, 1),
    (Kind::Cursor, 1),
    (Kind::Unread, 1),
    (Kind::Waiting, 1),
    (Kind::TimeMark, 1),
];

#[test]
fn s16_s30_each_row_goes_when_its_time_has_passed() {
    let mut partition = Partition::new();
    let mut expected = Vec::from(ALL);
    // The last millisecond at which these are kept, and how many are left after it.
    let steps: [(u64, &[(Kind, usize)]); 6] = [
        (32, &[(Kind::Waiting, 0), (Kind::TimeMark, 0)]),
        (100, &[(Kind::Message, 2), (Kind::ReadChunk, 0), (Kind::TimeChunk, 0)]),
        (101, &[(Kind::Memberships, 4), (Kind::Member, 4), (Kind::Leave, 0)]),
        (102, &[(Kind::Message, 0), (Kind::Cursor, 0), (Kind::Unread, 0)]),
        (200, &[(Kind::Stub, 2)]),
        (202, &[(Kind::Stub, 0)]),
    ];
    for (last_s, left) in steps {
        partition.at(last_s * SECOND_MS);
        partition.flush_and_compact();
        for (kind, rows) in &expected {
            assert_eq!(partition.count(*kind), *rows, "{kind:?} after {last_s} s");
        }
        for (kind, rows) in left {
            expected.iter_mut().find(|(k, _)| k == kind).unwrap().1 = *rows;
        }
        partition.at(last_s * SECOND_MS + 1);
        partition.flush_and_compact();
        for (kind, rows) in &expected {
            assert_eq!(partition.count(*kind), *rows, "{kind:?} a millisecond after {last_s} s");
        }
    }
    // The id is free again, and who left may come back.
    let now_ms = START_MS + 203 * SECOND_MS;
    partition.script.change(now_ms, "g", Change::MembersAdded(vec![id("e")]));
    partition.script.message(now_ms, "g", "first", &id("b"), AudienceSpec::AllMembers);
    partition.script.read(now_ms, "g", &id("e"), None, of_message("first"));
    partition.fold();
}

#[test]
fn s30_r7_nothing_goes_ahead_of_the_durable_log_time() {
    let mut partition = Partition::new();
    partition.flush_and_compact();
    partition.at(1000 * SECOND_MS);
    partition.compact();
    assert_eq!(kinds(&partition.store).into_iter().collect::<Vec<_>>(), ALL);
    partition.flush_and_compact();
    assert_eq!(partition.count(Kind::Message) + partition.count(Kind::Stub), 0);
}

#[test]
fn s30_nothing_goes_that_a_view_looks_at() {
    let mut partition = Partition::new();
    let store = partition.store.clone();
    let mut view = store.view().unwrap();
    partition.at(1000 * SECOND_MS);
    let later = store.view().unwrap();
    partition.flush_and_compact();
    assert_eq!(kinds(&store).into_iter().collect::<Vec<_>>(), ALL);
    let (conversation, message) = (id("g"), id("first"));
    for (filter, members) in [(MemberFilter::Read, 3), (MemberFilter::Unread, 0)] {
        let list =
            List { conversation: &conversation, message: &message, asker: None, filter, latest_first: true, size: 2 };
        assert_eq!(list.walk(&mut view).len(), members);
    }
    drop(view);
    partition.compact();
    assert_eq!(partition.count(Kind::Message) + partition.count(Kind::Stub), 0, "the later view sees none");
    drop(later);
}

#[test]
fn s30_a_reopened_store_expires_by_the_log_time_it_came_back_with() {
    let mut partition = Partition::new();
    let copy = dir::temporary();
    let early = copy.path().join("early");
    partition.store.checkpoint(&early).unwrap();
    partition.at(1000 * SECOND_MS);
    let late = copy.path().join("late");
    partition.store.checkpoint(&late).unwrap();
    let rows_at = |dir: &std::path::Path| {
        let store = Store::open(dir, &Resources::new(1 << 20, 1 << 20), &identity(SETTINGS)).unwrap();
        store.compact();
        kinds(&store).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(rows_at(&early), ALL);
    // The pass over the group's messages goes once a partition that serves has seen that none is kept.
    let kept = [
        Kind::Identity,
        Kind::Progress,
        Kind::Conversation,
        Kind::Memberships,
        Kind::Member,
        Kind::Active,
        Kind::Sweep,
    ];
    assert_eq!(rows_at(&late).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>(), kept);
}
