//! S3, S30, S32, R6: what a subscriber who was there from the start is notified of, by one fold, or by two of the same topics
//! that take them in another order; both crash.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, option, prelude::*};
use receipt_domain::{
    effects::{Delta, DeltaChange},
    id::{ConversationId, MessageId, UserId},
    inbox::{InboxDelta, InboxEntry, Told, join, tell},
    receipt::Receipt,
};
use receipt_fold_tests::{
    in_memory::{fold, step, sweep},
    runner::{check, histories_wanted},
};
use receipt_model::{History, LogicalState, Model, Status, histories, history::Action};

/// A history, two ways through it, and how their deltas stand in the log: true for the next of the second fold.
#[derive(Debug, Clone)]
struct Case {
    history: History,
    /// `None`: one fold alone has to notify of everything, as no other makes up for what it leaves out.
    other: Option<History>,
    second: Vec<bool>,
    /// Deltas that the subscriber lets come before it reads.
    reads_after: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    (histories(), option::of(histories()), vec(any::<bool>(), 1..40), 1..6_usize).prop_map(
        |(history, other, second, reads_after)| {
            let other = other.map(|other| History { schedule: other.schedule, ..history.clone() });
            Case { history, other, second, reads_after }
        },
    )
}

/// The deltas of each write of a fold, with log time at it. What a crash takes back was sent all the same.
fn writes(history: &History) -> Vec<(u64, Vec<Delta>)> {
    let mut rows = vec![fold(history.settings).rows];
    let mut writes = Vec::new();
    for (index, stage) in history.stages().iter().enumerate() {
        let mut fold = fold(history.settings);
        match &stage.action {
            Action::Restore(after) => fold.rows = rows[*after].clone(),
            Action::Batch(picks) => {
                fold.rows = rows[index].clone();
                for pick in picks {
                    step(&mut fold, history, *pick);
                }
                writes.push(write(history, &mut fold));
                if index % 2 == 0 {
                    sweep(&mut fold, 1 + index % 4);
                    writes.push(write(history, &mut fold));
                }
            }
        }
        rows.push(fold.rows);
    }
    let mut fold = fold(history.settings).with_rows(rows.pop().unwrap_or_else(|| unreachable!("the first")));
    sweep(&mut fold, 3);
    writes.push(write(history, &mut fold));
    writes
}

fn write(history: &History, fold: &mut receipt_domain::fold::Fold) -> (u64, Vec<Delta>) {
    let effects = std::mem::take(&mut fold.effects);
    let deltas = effects.deltas(&fold.rows, &history.settings, 0);
    fold.rows.settle();
    (fold.rows.progress.log_time_ms, deltas)
}

type Key = (UserId, ConversationId, Option<MessageId>);

/// What a subscriber has been notified of, of each message.
#[derive(Default)]
struct Subscriber {
    receipts: BTreeMap<(ConversationId, MessageId), (Receipt, BTreeSet<UserId>, bool)>,
}

impl Subscriber {
    /// As S38 has it.
    fn hear(&mut self, change: DeltaChange) {
        let DeltaChange::Receipt { receipt, new_readers, more_readers } = change else { return };
        let key = (receipt.conversation.clone(), receipt.message.clone());
        let known = self.receipts.entry(key).or_insert_with(|| (receipt.clone(), BTreeSet::new(), false));
        match known.0.kept_until_ms.cmp(&receipt.kept_until_ms) {
            std::cmp::Ordering::Less => *known = (receipt.clone(), BTreeSet::new(), false),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => return,
        }
        known.0.read_count = known.0.read_count.max(receipt.read_count);
        known.0.unread_count = known.0.unread_count.min(receipt.unread_count);
        known.0.read_left_count = known.0.read_left_count.max(receipt.read_left_count);
        known.0.recalled |= receipt.recalled;
        known.1.extend(new_readers.into_iter().map(|(user, _)| user));
        known.2 |= more_readers;
    }
}

/// All senders' inboxes, and one subscriber who reads them now and then.
struct Inboxes<'a> {
    case: &'a Case,
    offset: u64,
    log_time_ms: u64,
    entries: BTreeMap<Key, (u64, InboxEntry)>,
    cursor: u64,
    subscriber: Subscriber,
}

impl Inboxes<'_> {
    fn delta(&mut self, log_time_ms: u64, delta: &Delta) {
        self.log_time_ms = self.log_time_ms.max(log_time_ms);
        let key = match Told::of(&delta.change) {
            Told::Receipt(receipt) => (delta.sender.clone(), receipt.conversation, Some(receipt.message)),
            Told::PeerReadMark { conversation, .. } => (delta.sender.clone(), conversation, None),
        };
        let settings = &self.case.history.settings;
        let before = self.entries.get(&key).map(|(_, entry)| entry.clone());
        let before = before.filter(|entry| settings.keeps(entry.log_time_ms, self.log_time_ms));
        let (offset, change) = (self.offset, delta.change.clone());
        self.offset += 1;
        let delta = InboxDelta { offset, log_time_ms: self.log_time_ms, change, token: String::new() };
        if let Some(entry) = join(before, delta) {
            self.entries.insert(key, (offset, entry));
        }
        if self.offset.is_multiple_of(self.case.reads_after as u64) {
            self.read();
        }
    }

    fn read(&mut self) {
        for (_, entry) in self.entries.values().filter(|(offset, _)| *offset >= self.cursor) {
            self.subscriber.hear(tell(entry, self.cursor));
        }
        self.cursor = self.offset;
    }
}

/// The deltas of both folds in one log, each fold's in its order.
fn subscribed(case: &Case) -> Subscriber {
    let mut first = writes(&case.history).into_iter();
    let mut second = case.other.as_ref().map(writes).unwrap_or_default().into_iter();
    let (entries, subscriber) = (BTreeMap::new(), Subscriber::default());
    let mut inboxes = Inboxes { case, offset: 0, log_time_ms: 0, entries, cursor: 0, subscriber };
    for turn in case.second.iter().cycle() {
        let next = if *turn { second.next().or_else(|| first.next()) } else { first.next().or_else(|| second.next()) };
        let Some((log_time_ms, deltas)) = next else { break };
        deltas.iter().for_each(|delta| inboxes.delta(log_time_ms, delta));
    }
    inboxes.read();
    inboxes.subscriber
}

fn last_words_are_the_state(case: &Case) -> Result<(), TestCaseError> {
    let Case { history, .. } = case;
    let subscriber = subscribed(case);
    let state: LogicalState = Model::at(&history.settings, &history.conversations, &history.reads).state();
    for (id, conversation) in &state.conversations {
        for (message, known) in &conversation.messages {
            let Status::Kept(kept) = &known.status else { continue };
            let heard = subscriber.receipts.get(&(id.clone(), message.clone()));
            let heard = heard.filter(|(receipt, ..)| receipt.kept_until_ms == kept.kept_until_ms);
            let Some((receipt, named, more)) = heard else {
                let changed = kept.read_count > 0 || kept.unread_count < kept.audience_count || kept.recalled;
                prop_assert!(!changed, "{} {}: never notified, in the model {:?}", id, message, kept);
                continue;
            };
            let counts = (receipt.read_count, receipt.unread_count, receipt.read_left_count, receipt.recalled);
            let counts = (counts.0 as usize, counts.1 as usize, counts.2 as usize, counts.3);
            let expected = (kept.read_count, kept.unread_count, kept.read_left_count, kept.recalled);
            prop_assert_eq!(counts, expected, "S3: the last word on {} {}", id, message);
            for reader in &kept.read {
                prop_assert!(*more || named.contains(&reader.user), "S32: {} of {} {}", reader.user, id, message);
            }
        }
    }
    Ok(())
}

#[test]
fn s3_s30_s32_r6_the_last_word_of_a_stream_is_the_state_and_every_reader_is_named() {
    check("one fold, or two in other orders", histories_wanted(5_000), &cases(), |case| {
        last_words_are_the_state(&case)
    });
}
