//! The fold: what each record does to the state of its partition, and what follows from it. Pure.
//!
//! A record is taken in steps. A step first looks whether all the rows it needs are loaded, and says which are not;
//! only then does it change any. So the caller loads what was asked for and takes the step again, and the state below
//! needs no interface.

mod conversation;
mod count;
mod mark;
mod message;
mod read;
mod release;
mod sweep;
mod time_mark;

use std::collections::VecDeque;

pub use crate::outcome::Outcome;

use crate::{
    effects::Effects,
    event::{Change, ConversationEvent, Event, ReadEvent, ReadTarget, Record},
    id::{ConversationId, MessageId, UserId},
    readers::INLINE_READERS_MAX,
    settings::Settings,
    state::{Conversation, Cursor},
    working_set::{ConversationNumber, Need, Needs, Position, ReadKey, WorkingSet, known},
};

use self::time_mark::TimeExpansion;

/// How a call of [`Fold::advance`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advance {
    /// These rows must be loaded; then call again.
    Needs(Vec<Need>),
    /// A step was taken; there are more.
    Stepped,
    /// The record is folded.
    Done(Outcome),
}

/// A read of one user, from a record or released by the message it waited for.
#[derive(Debug, Clone)]
struct Read {
    conversation: ConversationId,
    reader: UserId,
    read_at_ms: u64,
    arrival_ms: u64,
    target: ReadTarget,
    /// In receipts.reads; names what is kept of it.
    offset: u64,
}

/// One stretch of messages that a mark covers, in one membership.
#[derive(Debug, Clone, Copy)]
struct Span {
    ordinal: u32,
    ended: bool,
    from: Position,
    to: Position,
}

/// Something to be done with all its rows loaded, or not at all.
#[derive(Debug, Clone)]
enum Step {
    Event(ConversationEvent, u64),
    Read(Read),
    /// Take the reads that waited for a message, which is known now.
    Release {
        conversation: ConversationId,
        message: MessageId,
    },
    /// These reads waited for a message, and are counted.
    Released {
        conversation: ConversationId,
        message: MessageId,
        keys: Vec<ReadKey>,
    },
    /// Count a reader of a one-to-one message.
    Count {
        conversation: ConversationId,
        position: Position,
        ordinal: u32,
        reader: UserId,
        read_at_s: u32,
    },
    /// Count a reader of all messages in these spans.
    Expand {
        conversation: ConversationId,
        reader: UserId,
        read_at_s: u32,
        spans: Vec<Span>,
    },
    /// Count a reader of all one-to-one messages that a mark up to a time covers.
    ExpandTime(TimeExpansion),
    /// The spans are expanded: remember it.
    MoveCursor {
        number: ConversationNumber,
        reader: UserId,
        to: Cursor,
    },
}

/// Where the record in hand comes from, and the offset after it.
#[derive(Debug, Clone, Copy)]
enum Source {
    Conversations(u64),
    Reads(u64),
}

/// The fold over one partition.
pub struct Fold {
    /// The rows in memory.
    pub rows: WorkingSet,
    /// What follows from the records folded since it was last taken.
    pub effects: Effects,
    settings: Settings,
    inline_readers_max: usize,
    notifies: bool,
    steps: VecDeque<Step>,
    in_hand: Option<(Source, Outcome)>,
}

impl Fold {
    /// A fold over these rows.
    #[must_use]
    pub fn new(settings: Settings, rows: WorkingSet) -> Self {
        Self {
            rows,
            effects: Effects::default(),
            settings,
            inline_readers_max: INLINE_READERS_MAX,
            notifies: true,
            steps: VecDeque::new(),
            in_hand: None,
        }
    }

    /// Keeps read sets in chunks from fewer readers on, so that tests need no large groups to see them.
    #[must_use]
    pub fn with_inline_readers_max(mut self, readers: usize) -> Self {
        self.inline_readers_max = readers;
        self
    }

    /// As it is, over other rows and with nothing in hand.
    #[must_use]
    pub fn with_rows(self, rows: WorkingSet) -> Self {
        Self { rows, steps: VecDeque::new(), in_hand: None, ..self }
    }

    /// Nobody is notified of what follows from it, as in an offline fold of what was folded before.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.notifies = false;
        self
    }

    /// The settings it folds by.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes a record of receipts.conversations in hand; [`Fold::advance`] folds it.
    pub fn take_conversations(&mut self, record: Record<Event>) {
        if record.offset < self.rows.progress.conversations_offset {
            self.in_hand = Some((Source::Conversations(self.rows.progress.conversations_offset), Outcome::Skipped));
            return;
        }
        // Log time moves with every record, also with one that cannot be read.
        let progress = &mut self.rows.progress;
        progress.log_time_ms = progress.log_time_ms.max(record.arrival_ms);
        let outcome = match record.event {
            Ok(Event::Conversation(event)) => {
                self.steps.push_back(match event {
                    // It was applied, and the reads that waited for it were counted in part, when this state was written.
                    ConversationEvent { conversation, change: Change::MessageSent { message, .. }, .. }
                        if progress.releasing == Some(record.offset) =>
                    {
                        Step::Release { conversation, message }
                    }
                    event => Step::Event(event, record.arrival_ms),
                });
                Outcome::Applied
            }
            Ok(Event::PolicyChanged(policy)) => {
                self.rows.policy = (&policy).into();
                self.rows.add_policy(policy);
                self.rows.progress.policies += 1;
                Outcome::Applied
            }
            Ok(Event::Tick) => Outcome::Applied,
            Err(rejection) => Outcome::Rejected(rejection),
        };
        self.in_hand = Some((Source::Conversations(record.offset + 1), outcome));
    }

    /// Takes a record of receipts.reads in hand; [`Fold::advance`] folds it.
    pub fn take_reads(&mut self, record: Record<ReadEvent>) {
        if record.offset < self.rows.progress.reads_offset {
            self.in_hand = Some((Source::Reads(self.rows.progress.reads_offset), Outcome::Skipped));
            return;
        }
        let outcome = match record.event {
            Ok(event) => {
                self.steps.push_back(Step::Read(Read::new(event, record.arrival_ms, record.offset)));
                Outcome::Applied
            }
            Err(rejection) => Outcome::Rejected(rejection),
        };
        self.in_hand = Some((Source::Reads(record.offset + 1), outcome));
    }

    /// Whether the rows may be written although the record in hand is not folded to its end: what is left of it is
    /// joins, and its offset has not moved. So after a crash a read is folded again from its beginning, and a message
    /// from where it releases the reads that waited for it.
    #[must_use]
    pub fn may_pause(&self) -> bool {
        match self.in_hand {
            None | Some((Source::Reads(_), _)) => true,
            Some((Source::Conversations(_), _)) => self.rows.progress.releasing.is_some(),
        }
    }

    /// The offsets of receipts.conversations and receipts.reads up to which records are folded, the one in hand included
    /// even where some of its steps are still to be taken.
    #[must_use]
    pub fn taken(&self) -> (u64, u64) {
        let progress = &self.rows.progress;
        match self.in_hand {
            None => (progress.conversations_offset, progress.reads_offset),
            Some((Source::Conversations(next), _)) => (next, progress.reads_offset),
            Some((Source::Reads(next), _)) => (progress.conversations_offset, next),
        }
    }

    /// Takes the next step of the record in hand. Without one, it is done.
    pub fn advance(&mut self) -> Advance {
        if let Some(step) = self.steps.pop_front() {
            if let Err(needs) = self.step(&step) {
                self.steps.push_front(step);
                return Advance::Needs(needs);
            }
            if !self.steps.is_empty() {
                return Advance::Stepped;
            }
        }
        let Some((source, outcome)) = self.in_hand.take() else {
            return Advance::Done(Outcome::Skipped);
        };
        match source {
            Source::Conversations(next) => {
                self.rows.progress.conversations_offset = next;
                self.rows.progress.releasing = None;
            }
            Source::Reads(next) => self.rows.progress.reads_offset = next,
        }
        self.effects.count_outcome(&outcome);
        Advance::Done(outcome)
    }

    fn step(&mut self, step: &Step) -> Result<(), Needs> {
        match step {
            Step::Event(event, arrival_ms) => {
                let outcome = self.conversation_event(event, *arrival_ms)?;
                if let Some((source, in_hand)) = &mut self.in_hand {
                    if let (Source::Conversations(next), false) = (source, self.steps.is_empty()) {
                        self.rows.progress.releasing = Some(*next - 1);
                    }
                    *in_hand = outcome;
                }
                Ok(())
            }
            Step::Read(read) => self.read(read),
            Step::Release { conversation, message } => self.release(conversation, message),
            Step::Released { conversation, message, keys } => {
                let prefix = (conversation.clone(), message.clone());
                keys.iter().for_each(|key| self.rows.waiting.delete(&prefix, *key));
                Ok(())
            }
            Step::ExpandTime(expansion) => self.expand_time(expansion),
            Step::Count { conversation, position, ordinal, reader, read_at_s } => {
                self.count_one(conversation, *position, *ordinal, reader, *read_at_s)
            }
            Step::Expand { conversation, reader, read_at_s, spans } => {
                self.expand(conversation, reader, *read_at_s, spans)
            }
            Step::MoveCursor { number, reader, to } => self.move_cursor(*number, reader, *to),
        }
    }

    fn conversation(&self, id: &ConversationId) -> Result<Option<&Conversation>, Needs> {
        known(self.rows.conversations.get(id), || Need::Conversation(id.clone()))
    }

    fn now_ms(&self) -> u64 {
        self.rows.progress.log_time_ms
    }
}
