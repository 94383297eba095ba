//! Histories to try the specification on: both topics of one partition, and a way through them.
//!
//! A history is drawn as a list of small [`Op`]s, which shrink by leaving ops out and by making their numbers smaller,
//! and are written out as records from first to last: offsets, versions and times come of what is before, so that what
//! is left after shrinking still makes sense.

mod build;
mod draw;
mod op;
mod schedule;

use proptest::prelude::*;
use receipt_domain::{
    event::{Event, ReadEvent, Record},
    settings::Settings,
};

pub use self::{
    build::build,
    op::{
        Arrival, AudienceOp, ChangeOp, Content, MessageOp, Moment, Op, ReadContent, Shift, Span, TargetOp, VersionOp,
        What,
    },
    schedule::{Action, Pick, Stage, Step, Topic, stages},
};

/// Ops of a history, at most, with those that begin its conversations.
pub const OPS_MAX: usize = 60;

/// One partition's two topics, and a way through them.
#[derive(Debug, Clone)]
pub struct History {
    /// The fold's.
    pub settings: Settings,
    /// receipts.conversations, with offsets from 0.
    pub conversations: Vec<Record<Event>>,
    /// receipts.reads, with offsets from 0.
    pub reads: Vec<Record<ReadEvent>>,
    /// How the two are consumed.
    pub schedule: Vec<Step>,
}

impl History {
    /// The schedule written out for this history: batches, and what is in the state after each.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        stages(&self.schedule, self.conversations.len(), self.reads.len())
    }
}

/// Histories of 5 to 60 events.
pub fn histories() -> impl Strategy<Value = History> {
    (draw::settings(), draw::start_ms(), draw::beginnings(), draw::ops(OPS_MAX - 2), schedule::schedule()).prop_map(
        |(settings, start_ms, beginnings, ops, schedule)| {
            let (conversations, reads) = build(&settings, start_ms, beginnings.iter().chain(&ops));
            History { settings, conversations, reads, schedule }
        },
    )
}
