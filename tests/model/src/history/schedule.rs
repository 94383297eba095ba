//! A way through the two topics: in what order, in what batches, and where it goes back (R1, R2).

use proptest::{collection::vec, prelude::*};

/// One step of a schedule, drawn without knowing how long the topics are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// One batch of the next records.
    Take {
        /// Of receipts.conversations, as many as there are.
        conversations: u8,
        /// Of receipts.reads, likewise.
        reads: u8,
        /// From the lowest bit on: 1 for a record of receipts.reads, where both have one.
        order: u64,
    },
    /// What comes next is read again from that many records back, into the state as it is.
    Again {
        /// Of receipts.conversations.
        conversations: u8,
        /// Of receipts.reads.
        reads: u8,
    },
    /// The store goes back to an earlier stage, as after a crash, and goes on from there.
    Restore {
        /// How many stages back, as many as there are.
        stages: u8,
    },
}

/// One of the two input topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// receipts.conversations.
    Conversations,
    /// receipts.reads.
    Reads,
}

/// One record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Its topic.
    pub topic: Topic,
    /// Its index there.
    pub index: usize,
}

/// What is to be done to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Fold these records as one batch. Those of one topic follow each other; some may have been folded before.
    Batch(Vec<Pick>),
    /// Take the store as it was after this many stages; 0: a new one.
    Restore(usize),
}

/// One action, and what is in the state after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The action.
    pub action: Action,
    /// So many records of receipts.conversations are in the state.
    pub conversations: usize,
    /// So many records of receipts.reads are.
    pub reads: usize,
}

/// Schedules of a few or of many steps, with small or with large batches.
pub(super) fn schedule() -> impl Strategy<Value = Vec<Step>> {
    // One topic runs far ahead of the other, sometimes.
    let count = || prop_oneof![4 => 0..3_u8, 3 => 0..10_u8, 1 => Just(60_u8)];
    let step = prop_oneof![
        8 => (count(), count(), any::<u64>()).prop_map(|(conversations, reads, order)| Step::Take {
            conversations,
            reads,
            order
        }),
        2 => (0..12_u8, 0..12_u8).prop_map(|(conversations, reads)| Step::Again { conversations, reads }),
        1 => (1..6_u8).prop_map(|stages| Step::Restore { stages }),
    ];
    vec(step, 0..30)
}

struct Walk {
    ends: [usize; 2],
    /// The next record to be read of each topic.
    next: [usize; 2],
    /// What is in the state.
    folded: [usize; 2],
    stages: Vec<Stage>,
}

/// Writes a schedule out for topics of these lengths. What the schedule leaves is the last batch, so that the last stage
/// has all of both.
#[must_use]
pub fn stages(schedule: &[Step], conversations: usize, reads: usize) -> Vec<Stage> {
    let mut walk = Walk { ends: [conversations, reads], next: [0, 0], folded: [0, 0], stages: Vec::new() };
    for step in schedule {
        match *step {
            Step::Take { conversations, reads, order } => walk.take([conversations.into(), reads.into()], order),
            Step::Again { conversations, reads } => {
                walk.next[0] = walk.next[0].saturating_sub(conversations.into());
                walk.next[1] = walk.next[1].saturating_sub(reads.into());
            }
            Step::Restore { stages } => walk.restore(stages.into()),
        }
    }
    walk.take(walk.ends, 0);
    walk.stages
}

impl Walk {
    fn take(&mut self, counts: [usize; 2], mut order: u64) {
        let until = [0, 1].map(|topic| self.next[topic].saturating_add(counts[topic]).min(self.ends[topic]));
        let mut picks = Vec::new();
        while self.next != until {
            let topic = match [0, 1].map(|topic| self.next[topic] < until[topic]) {
                [true, true] => usize::from(order & 1 == 1),
                [_, reads] => usize::from(reads),
            };
            order = order.rotate_right(1);
            let name = if topic == 0 { Topic::Conversations } else { Topic::Reads };
            picks.push(Pick { topic: name, index: self.next[topic] });
            self.next[topic] += 1;
        }
        if !picks.is_empty() {
            self.folded = [0, 1].map(|topic| self.folded[topic].max(self.next[topic]));
            self.push(Action::Batch(picks));
        }
    }

    fn restore(&mut self, back: usize) {
        let after = self.stages.len().saturating_sub(back);
        let at = after.checked_sub(1).and_then(|last| self.stages.get(last));
        self.folded = at.map_or([0, 0], |stage| [stage.conversations, stage.reads]);
        // Offsets are in the store (R2), so it reads on from what it holds.
        self.next = self.folded;
        self.push(Action::Restore(after));
    }

    fn push(&mut self, action: Action) {
        let [conversations, reads] = self.folded;
        self.stages.push(Stage { action, conversations, reads });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(picks: &[(Topic, usize)]) -> Action {
        Action::Batch(picks.iter().map(|(topic, index)| Pick { topic: *topic, index: *index }).collect())
    }

    #[test]
    fn a_schedule_is_written_out_with_all_that_is_left_at_its_end() {
        use Topic::{Conversations, Reads};
        let steps = [
            Step::Take { conversations: 2, reads: 1, order: 0b10 },
            Step::Again { conversations: 1, reads: 0 },
            Step::Take { conversations: 1, reads: 0, order: 0 },
            Step::Restore { stages: 1 },
            Step::Restore { stages: 9 },
        ];
        let stage = |action, conversations, reads| Stage { action, conversations, reads };
        assert_eq!(
            stages(&steps, 2, 2),
            [
                stage(batch(&[(Conversations, 0), (Reads, 0), (Conversations, 1)]), 2, 1),
                stage(batch(&[(Conversations, 1)]), 2, 1),
                stage(Action::Restore(1), 2, 1),
                stage(Action::Restore(0), 0, 0),
                stage(batch(&[(Conversations, 0), (Conversations, 1), (Reads, 0), (Reads, 1)]), 2, 2),
            ]
        );
        assert_eq!(stages(&[], 0, 0), []);
    }
}
