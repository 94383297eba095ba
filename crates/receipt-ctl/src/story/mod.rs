//! What a log says of one conversation: its records folded in memory, by the fold that receiptd folds with, and watched.
//!
//! Rows of one conversation depend on no other's. What they have in common is the partition's log time and its policies,
//! so of other conversations' records only the time is taken. State does not depend on how the two topics are taken
//! (R1), so that here it is the same as receiptd's at the same offsets.

mod answer;
mod conversation;
mod membership;
mod message;

use receipt_domain::{
    answer::Queries,
    effects::Effects,
    event::{ConversationEvent, Event, Policy, ReadEvent, Record, Rejection},
    fold::{Advance, Fold, Outcome},
    id::ConversationId,
    settings::Settings,
    working_set::WorkingSet,
};

pub use self::{
    answer::{Answer, MessageNow, ReaderNow, Waiting},
    conversation::{ConversationLife, ConversationNow, Entry, KindNow, MemberNow, MessageLine},
    membership::{Ended, MembershipLife, Named, Stay, StayMessages},
    message::{Asks, Happening, MessageLife, What},
};

/// Which of the two topics that are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// receipts.conversations.
    Conversations,
    /// receipts.reads.
    Reads,
}

/// A record of the partition, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// In which topic.
    pub side: Side,
    /// Its offset.
    pub offset: u64,
    /// Its arrival.
    pub arrival_ms: u64,
    /// Log time, once it was taken.
    pub log_time_ms: u64,
}

/// The conversation at some moment.
#[derive(Clone, Copy)]
pub struct Now<'a> {
    /// Which.
    pub id: &'a ConversationId,
    /// Its rows, all of them.
    pub rows: &'a WorkingSet,
    /// By which it is folded.
    pub settings: &'a Settings,
    /// What came of the record in hand.
    pub effects: &'a Effects,
    /// The fold had every event of the conversation: it began with the log's first record, or with a state that did not
    /// have the conversation.
    pub is_whole: bool,
}

impl<'a> Now<'a> {
    /// Questions to it.
    #[must_use]
    pub fn queries(&self) -> Queries<'a> {
        Queries::new(self.rows, self.settings)
    }

    /// Log time.
    #[must_use]
    pub fn log_time_ms(&self) -> u64 {
        self.rows.progress.log_time_ms
    }
}

/// Sees each record of the conversation before and after it is folded.
pub trait Watcher {
    /// The fold begins with a state, which holds what came of earlier records, but not which these were.
    fn begins(&mut self, now: Now<'_>);
    /// An event is going to be folded.
    fn before_event(&mut self, now: Now<'_>, event: &ConversationEvent);
    /// It was.
    fn after_event(&mut self, now: Now<'_>, at: At, event: &ConversationEvent, outcome: &Outcome);
    /// A read is going to be folded.
    fn before_read(&mut self, now: Now<'_>, read: &ReadEvent);
    /// It was.
    fn after_read(&mut self, now: Now<'_>, at: At, read: &ReadEvent);
    /// The partition has another policy.
    fn policy(&mut self, _now: Now<'_>, _at: At, _policy: &Policy) {}
    /// A record with the conversation's key cannot be read.
    fn rejected(&mut self, _now: Now<'_>, _at: At, _why: &Rejection) {}
    /// A record of receipts.conversations was taken, whatever it was: log time may have passed something.
    fn time(&mut self, _now: Now<'_>, _at: At) {}
}

/// A conversation that is folded and watched.
pub struct Story<W> {
    id: ConversationId,
    fold: Fold,
    is_whole: bool,
    /// What it has seen.
    pub watcher: W,
}

impl<W: Watcher> Story<W> {
    /// Before its first record.
    #[must_use]
    pub fn new(settings: Settings, id: ConversationId, watcher: W) -> Self {
        Self { id, fold: Fold::new(settings, WorkingSet::in_memory()), is_whole: true, watcher }
    }

    /// After the records that came to a state, of which these are the rows of the conversation, all in memory.
    #[must_use]
    pub fn after(settings: Settings, id: ConversationId, mut rows: WorkingSet, watcher: W) -> Self {
        // Those of the whole partition: from here on they count what is folded.
        (rows.progress.messages, rows.progress.receipts) = (0, 0);
        let is_whole = matches!(rows.conversations.get(&id), Ok(None));
        let mut story = Self { id, fold: Fold::new(settings, rows), is_whole, watcher };
        let (now, watcher) = story.parts();
        watcher.begins(now);
        story
    }

    /// Keeps read sets in chunks from fewer readers on, so that tests need no large groups to see them.
    #[must_use]
    pub fn with_inline_readers_max(mut self, readers: usize) -> Self {
        self.fold = self.fold.with_inline_readers_max(readers);
        self
    }

    /// Whether a record with this key may be of the conversation. A record without a key may be of all of them.
    #[must_use]
    pub fn is_about(&self, key: Option<&[u8]>) -> bool {
        key.is_some_and(|key| key == self.id.as_str().as_bytes())
    }

    /// As it is now.
    #[must_use]
    pub fn now(&self) -> Now<'_> {
        let Self { id, fold, is_whole, .. } = self;
        Now { id, rows: &fold.rows, settings: fold.settings(), effects: &fold.effects, is_whole: *is_whole }
    }

    /// Takes the time of a record of receipts.conversations that is of no interest otherwise.
    pub fn time(&mut self, offset: u64, arrival_ms: u64) {
        self.fold.take_conversations(Record { offset, arrival_ms, event: Ok(Event::Tick) });
        self.advance();
        self.time_passed(offset, arrival_ms);
    }

    /// Takes a record of receipts.conversations. One of another conversation has its time taken only.
    pub fn event(&mut self, record: Record<Event>) {
        let Record { offset, arrival_ms, .. } = record;
        match &record.event {
            Ok(Event::Conversation(event)) if event.conversation == self.id => {
                let event = event.clone();
                let (now, watcher) = self.parts();
                watcher.before_event(now, &event);
                self.fold.take_conversations(record);
                let outcome = self.advance();
                let at = self.at(Side::Conversations, offset, arrival_ms);
                let (now, watcher) = self.parts();
                watcher.time(now, at);
                watcher.after_event(now, at, &event, &outcome);
            }
            Ok(Event::PolicyChanged(policy)) => {
                let policy = policy.clone();
                self.fold.take_conversations(record);
                self.advance();
                let at = self.at(Side::Conversations, offset, arrival_ms);
                let (now, watcher) = self.parts();
                watcher.time(now, at);
                watcher.policy(now, at, &policy);
            }
            Ok(Event::Conversation(_) | Event::Tick) => self.time(offset, arrival_ms),
            Err(why) => {
                let why = why.clone();
                self.time(offset, arrival_ms);
                let at = self.at(Side::Conversations, offset, arrival_ms);
                let (now, watcher) = self.parts();
                watcher.rejected(now, at, &why);
            }
        }
        self.forget();
    }

    /// Takes a record of receipts.reads; one of another conversation is passed over.
    pub fn read(&mut self, record: Record<ReadEvent>) {
        let Record { offset, arrival_ms, .. } = record;
        let at = self.at(Side::Reads, offset, arrival_ms);
        match &record.event {
            Ok(read) if read.conversation == self.id => {
                let read = read.clone();
                let (now, watcher) = self.parts();
                watcher.before_read(now, &read);
                self.fold.take_reads(record);
                self.advance();
                let (now, watcher) = self.parts();
                watcher.after_read(now, at, &read);
            }
            Ok(_) => {}
            Err(why) => {
                let why = why.clone();
                let (now, watcher) = self.parts();
                watcher.rejected(now, at, &why);
            }
        }
        self.forget();
    }

    fn at(&self, side: Side, offset: u64, arrival_ms: u64) -> At {
        At { side, offset, arrival_ms, log_time_ms: self.fold.rows.progress.log_time_ms }
    }

    fn time_passed(&mut self, offset: u64, arrival_ms: u64) {
        let at = self.at(Side::Conversations, offset, arrival_ms);
        let (now, watcher) = self.parts();
        watcher.time(now, at);
    }

    fn parts(&mut self) -> (Now<'_>, &mut W) {
        let Self { id, fold, is_whole, watcher } = self;
        let is_whole = *is_whole;
        (Now { id, rows: &fold.rows, settings: fold.settings(), effects: &fold.effects, is_whole }, watcher)
    }

    fn advance(&mut self) -> Outcome {
        loop {
            match self.fold.advance() {
                Advance::Done(outcome) => return outcome,
                Advance::Stepped => {}
                // Never: all rows are in memory.
                Advance::Needs(_) => return Outcome::Skipped,
            }
        }
    }

    /// What is kept for a store, which there is none of.
    fn forget(&mut self) {
        self.fold.effects = Effects::default();
        self.fold.rows.new_policies.clear();
        self.fold.rows.time_changes.clear();
    }
}
