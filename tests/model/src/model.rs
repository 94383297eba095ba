//! The state of a partition, as a function of two prefixes.

pub mod answers;
pub mod conversations;
#[cfg(test)]
mod properties;
mod reads;
#[cfg(test)]
mod statistics;
mod times;

use std::collections::BTreeMap;

use receipt_domain::{
    event::{Event, Policy, ReadEvent, Record},
    id::ConversationId,
    settings::Settings,
};

use self::{
    answers::{LogicalState, Outcome},
    conversations::{Conversation, EventResult, Pass},
};

/// What receipts.conversations tells, and the reads to join with it.
#[derive(Debug)]
pub struct Model<'a> {
    settings: Settings,
    log_time_ms: u64,
    policy: Policy,
    policies_applied: u64,
    conversations: BTreeMap<ConversationId, Conversation>,
    results: Vec<EventResult>,
    reads: &'a [Record<ReadEvent>],
}

impl<'a> Model<'a> {
    /// The state after these first records of the two topics.
    #[must_use]
    pub fn at(settings: &Settings, conversations: &[Record<Event>], reads: &'a [Record<ReadEvent>]) -> Self {
        let mut pass = Pass::new(*settings);
        for record in conversations {
            pass.record(record);
        }
        let Pass { settings, log_time_ms, policy, policies_applied, conversations, results } = pass;
        Self { settings, log_time_ms, policy, policies_applied, conversations, results, reads }
    }

    /// Everything that can be observed.
    #[must_use]
    pub fn state(&self) -> LogicalState {
        LogicalState {
            log_time_ms: self.log_time_ms,
            policy: self.policy.clone(),
            policies_applied: self.policies_applied,
            conversations: self
                .conversations
                .iter()
                .map(|(id, conversation)| (id.clone(), self.conversation_state(id, conversation)))
                .collect(),
        }
    }

    /// What became of each record of receipts.conversations, in order.
    #[must_use]
    pub fn results(&self) -> &[EventResult] {
        &self.results
    }

    /// What is to be answered, in this state, to the read at this index: one outcome for each id given, or the one of a
    /// mark (S13). Nothing for a record that cannot be read, or that is not in the prefix.
    #[must_use]
    pub fn outcomes(&self, read_index: usize) -> Vec<Outcome> {
        match self.reads.get(read_index) {
            Some(Record { arrival_ms, event: Ok(event), .. }) => self.outcomes_of(*arrival_ms, event),
            _ => Vec::new(),
        }
    }
}
