//! Consistency tokens of requests and answers (S29).

use std::collections::BTreeMap;

use receipt_codec::token::{ConsistencyToken, PartitionOffsets};
use receipt_log::Log;
use receipt_projector::Offsets;
use receipt_proto::InvalidField;
use tonic::Status;

use crate::error;

/// Tokens in one request, at most.
const CONSISTENCY_TOKENS_MAX: usize = 100;

/// Log positions by partition.
#[derive(Debug, Default)]
pub(crate) struct Positions(BTreeMap<u32, Offsets>);

impl Positions {
    /// All that the tokens of a request name.
    pub(crate) fn of_tokens(log: &Log, tokens: &[String]) -> Result<Self, Status> {
        if tokens.len() > CONSISTENCY_TOKENS_MAX {
            let too_many = InvalidField::too_many("consistency_tokens", tokens.len(), CONSISTENCY_TOKENS_MAX);
            return Err(error::invalid(too_many));
        }
        let mut positions = Self::default();
        for (i, text) in tokens.iter().enumerate() {
            let token = ConsistencyToken::decode(text)
                .map_err(|_| error::consistency_token(i, "is damaged, or no consistency token"))?;
            let ours = token.positions.iter().all(|position| position.partition < log.partitions());
            if token.log_id != *log.id().as_bytes() || !ours {
                return Err(error::consistency_token(i, "is of another log"));
            }
            for PartitionOffsets { partition, conversations_offset, reads_offset } in token.positions {
                positions.include(partition, Offsets { conversations: conversations_offset, reads: reads_offset });
            }
        }
        Ok(positions)
    }

    /// Of one partition.
    pub(crate) fn of_one(partition: u32, offsets: Offsets) -> Self {
        Self([(partition, offsets)].into())
    }

    /// A state must include these too.
    pub(crate) fn include(&mut self, partition: u32, offsets: Offsets) {
        let all = self.0.entry(partition).or_default();
        all.conversations = all.conversations.max(offsets.conversations);
        all.reads = all.reads.max(offsets.reads);
    }

    /// How far one partition must be.
    pub(crate) fn of(&self, partition: u32) -> Offsets {
        self.0.get(&partition).copied().unwrap_or_default()
    }

    /// Each partition, and how far it must be.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Offsets)> + '_ {
        self.0.iter().map(|(partition, offsets)| (*partition, *offsets))
    }

    /// As a token.
    pub(crate) fn encode(&self, log: &Log) -> String {
        let positions = self.iter().map(|(partition, offsets)| PartitionOffsets {
            partition,
            conversations_offset: offsets.conversations,
            reads_offset: offsets.reads,
        });
        ConsistencyToken { log_id: *log.id().as_bytes(), positions: positions.collect() }.encode()
    }
}
