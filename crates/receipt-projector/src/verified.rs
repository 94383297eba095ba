//! What became of comparing a partition's state with its log.

use receipt_proto::v1;
use receipt_store::{Comparison, Difference};

use crate::partition::Offsets;

/// What was found.
#[derive(Debug)]
pub enum Verified {
    /// Both were read; the state is `this`, the one folded aside `other`.
    Compared(Comparison),
    /// The state cannot be right, or cannot be compared; why.
    Wrong(String),
}

impl Verified {
    /// Whether the state is what its log says.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        match self {
            Self::Compared(found) => found.differences == 0 && found.this.digest == found.other.digest,
            Self::Wrong(_) => false,
        }
    }

    /// As the contract has it, of a state up to these offsets.
    #[must_use]
    pub fn told(self, partition: u32, applied: Offsets) -> v1::VerifiedPartition {
        let mut told = v1::VerifiedPartition {
            partition,
            conversations_offset: applied.conversations,
            reads_offset: applied.reads,
            equal: self.is_equal(),
            ..v1::VerifiedPartition::default()
        };
        match self {
            Self::Compared(Comparison { this, other, differences, first }) => {
                (told.state_digest, told.log_digest) = (this.digest.to_string(), other.digest.to_string());
                (told.state_rows, told.log_rows) = (this.rows, other.rows);
                told.differences = differences;
                told.first = first.into_iter().map(difference).collect();
            }
            Self::Wrong(why) => told.error = why,
        }
        told
    }
}

fn difference(difference: Difference) -> v1::StateDifference {
    let Difference { place, this, other } = difference;
    v1::StateDifference {
        row: place.row,
        conversation_id: place.conversation.unwrap_or_default(),
        message_id: place.message.unwrap_or_default(),
        user_id: place.user.unwrap_or_default(),
        more: place.more,
        state: this,
        log: other,
    }
}
