//! R6, S32 to S34: whatever deltas come in whatever order, each subscriber is told all of it from wherever they stand.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};
use receipt_domain::{
    effects::DeltaChange,
    id::UserId,
    inbox::{InboxDelta, InboxProgress},
    receipt::Receipt,
    settings::Settings,
};
use receipt_fold_tests::runner::{check, histories_wanted};
use receipt_notifier::Cursor;
use receipt_store::{InboxStore, Resources};
use receipt_tests::{dir, feed::identity, scenario::id};

const SENDERS: u8 = 3;
const MESSAGES: u8 = 6;
const RETENTION_MS: u64 = 1_000;

/// One delta: of one message, whose readers are then the first so many users.
#[derive(Debug, Clone)]
struct Step {
    sender: u8,
    message: u8,
    /// More readers than before, or an old delta again where it is none.
    more: Option<u8>,
    recalled: bool,
    later_ms: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let more = prop_oneof![4 => (1..4_u8).prop_map(Some), 1 => (60..130_u8).prop_map(Some), 2 => Just(None)];
    let later = prop_oneof![20 => 0..20_u64, 1 => Just(RETENTION_MS + 1)];
    (0..SENDERS, 0..MESSAGES, more, proptest::bool::weighted(0.1), later)
        .prop_map(|(sender, message, more, recalled, later_ms)| Step { sender, message, more, recalled, later_ms })
}

/// What the log holds, and what it comes to.
#[derive(Default)]
struct World {
    deltas: Vec<(UserId, InboxDelta)>,
    /// By sender and message.
    readers: BTreeMap<(u8, u8), u32>,
    recalled: BTreeSet<(u8, u8)>,
    now_ms: u64,
}

impl World {
    fn step(&mut self, step: &Step) {
        self.now_ms += step.later_ms;
        let (key, offset) = ((step.sender, step.message), self.deltas.len() as u64);
        let sender: UserId = id(&format!("s{}", step.sender));
        let again = self.deltas.iter().filter(|(of, delta)| *of == sender && message_of(delta) == name(step.message));
        // Twice, or late; not by more than anything is kept.
        let again: Vec<_> = again.filter(|(_, delta)| delta.log_time_ms + RETENTION_MS >= self.now_ms).collect();
        let again = again
            .get(usize::try_from(step.later_ms).unwrap() % again.len().max(1))
            .map(|(_, delta)| delta.change.clone());
        let change = match (step.more, again) {
            (None, Some(again)) => again,
            (more, _) => {
                let before = self.readers.get(&key).copied().unwrap_or(0);
                let now = before + u32::from(more.unwrap_or(1));
                self.readers.insert(key, now);
                if step.recalled {
                    self.recalled.insert(key);
                }
                let named = (before..now).take(100).map(|n| (id(&format!("u{n}")), n.into())).collect();
                DeltaChange::Receipt {
                    receipt: receipt(step.message, now, self.recalled.contains(&key)),
                    new_readers: named,
                    more_readers: now - before > 100,
                }
            }
        };
        let token = offset.to_string();
        self.deltas.push((sender, InboxDelta { offset, log_time_ms: self.now_ms, change, token }));
    }
}

fn name(message: u8) -> String {
    format!("m{message}")
}

fn receipt(message: u8, read_count: u32, recalled: bool) -> Receipt {
    let unread_count = 100_000 - read_count;
    Receipt {
        conversation: id("c"),
        message: id(&name(message)),
        read_count,
        unread_count,
        audience_count: 100_000,
        read_left_count: 0,
        kept_until_ms: Some(1),
        recalled,
        peer: None,
    }
}

fn message_of(delta: &InboxDelta) -> String {
    match &delta.change {
        DeltaChange::Receipt { receipt, .. } => receipt.message.as_str().to_owned(),
        DeltaChange::PeerReadMark { .. } => String::new(),
    }
}

/// A subscriber of one sender, who is told a few entries at a time.
#[derive(Clone, Default)]
struct Subscriber {
    cursor: Cursor,
    log_time_ms: u64,
    /// What has changed since is no more kept: they are to pull again (S34).
    reset: bool,
    /// By message: its receipt, who is named, and whether somebody is not.
    told: BTreeMap<String, (Receipt, BTreeSet<UserId>, bool)>,
}

impl Subscriber {
    fn hear(&mut self, store: &InboxStore, sender: u8, limit: usize) -> Result<bool, TestCaseError> {
        let now = store.progress().unwrap();
        self.reset |= self.log_time_ms + RETENTION_MS < now.log_time_ms && self.cursor.next < now.offset;
        if self.reset {
            return Ok(false);
        }
        let (entries, progress) = store.after(&id(&format!("s{sender}")), self.cursor.next, limit).unwrap();
        let full = entries.len() == limit;
        for (_, entry) in &entries {
            let DeltaChange::Receipt { receipt, new_readers, more_readers } =
                receipt_domain::inbox::tell(entry, self.cursor.since)
            else {
                continue;
            };
            let fresh = (receipt.clone(), BTreeSet::new(), false);
            let (last, named, more) = self.told.entry(receipt.message.as_str().to_owned()).or_insert(fresh);
            prop_assert!(receipt.read_count >= last.read_count && receipt.unread_count <= last.unread_count);
            prop_assert!(receipt.recalled >= last.recalled);
            *more |= more_readers;
            named.extend(new_readers.into_iter().map(|(user, _)| user));
            *last = receipt;
            prop_assert!(*more || named.len() == last.read_count as usize, "{} named of {last:?}", named.len());
        }
        let last = entries.last().filter(|_| full);
        self.cursor = self.cursor.after(last.map(|(offset, _)| *offset), progress.offset);
        self.log_time_ms = last.map_or(progress.log_time_ms, |(_, entry)| entry.log_time_ms);
        Ok(full)
    }
}

#[derive(Debug, Clone)]
struct Case {
    steps: Vec<Step>,
    /// Deltas of one write, and of one response.
    batch: usize,
    limit: usize,
    /// The store is opened again, and has to take its last deltas again, before this write.
    reopen: usize,
}

fn case() -> impl Strategy<Value = Case> {
    (vec(step(), 1..120), 1..20_usize, 1..5_usize, 0..12_usize).prop_map(|(steps, batch, limit, reopen)| Case {
        steps,
        batch,
        limit,
        reopen,
    })
}

fn all_is_told(case: &Case) -> Result<(), TestCaseError> {
    let dir = dir::temporary();
    let settings = Settings { retention_ms: RETENTION_MS, early_window_ms: RETENTION_MS, ..Settings::default() };
    let open = || InboxStore::open(dir.path(), &Resources::new(1 << 20, 1 << 20), &identity(settings)).unwrap();
    let mut world = World::default();
    case.steps.iter().for_each(|step| world.step(step));
    let mut store = open();
    // Each with their sender: one who hears after each write, and those who come with a token they were given.
    let mut live: Vec<Subscriber> = (0..SENDERS).map(|_| Subscriber::default()).collect();
    let mut resumed: Vec<(u8, Subscriber)> = Vec::new();
    for (number, deltas) in world.deltas.chunks(case.batch).enumerate() {
        let log_time_ms = deltas.last().unwrap().1.log_time_ms;
        let progress = InboxProgress { offset: deltas.last().unwrap().1.offset + 1, log_time_ms, epoch: None };
        if number == case.reopen {
            drop(store);
            store = open();
        }
        store.apply(deltas.to_vec(), &progress).unwrap();
        if number.is_multiple_of(3) {
            // What was written and lost is written again.
            store.apply(deltas.to_vec(), &progress).unwrap();
        }
        if number.is_multiple_of(4) {
            store.flush().unwrap();
        }
        for (sender, subscriber) in (0..).zip(&mut live) {
            // One response only: whoever is slow is left behind in the middle of what there is.
            subscriber.hear(&store, sender, case.limit)?;
            resumed.push((sender, subscriber.clone()));
        }
    }
    resumed.extend((0..).zip(live));
    for (sender, mut subscriber) in resumed {
        while subscriber.hear(&store, sender, case.limit)? {}
        if subscriber.reset {
            continue;
        }
        for ((_, message), read) in world.readers.range((sender, 0)..(sender + 1, 0)) {
            let wanted = receipt(*message, *read, world.recalled.contains(&(sender, *message)));
            let told = subscriber.told.get(&name(*message)).map(|(receipt, ..)| receipt.clone());
            prop_assert_eq!(told, Some(wanted), "sender {} from {:?}", sender, subscriber.cursor);
        }
    }
    Ok(())
}

#[test]
fn s34_whoever_comes_with_a_token_is_told_all_that_changed_since() {
    check("inboxes", histories_wanted(1000) / 2, &case(), |case| all_is_told(&case));
}
