//! Deltas on their way to receipts.deltas (S31, S32, S38).

use prost::Message;
use receipt_codec::token::{ConsistencyToken, PartitionOffsets};
use receipt_domain::effects::Delta;
use receipt_log::{Log, NewRecord, Topic};
use receipt_proto::v1;

use crate::{append::Appending, error::ProjectorError, partition::Offsets};

/// Appends deltas that a state at these offsets holds, each in its sender's partition.
pub(crate) fn append(
    to: &mut Appending<'_>,
    log: &Log,
    partition: u32,
    holds: Offsets,
    deltas: Vec<Delta>,
) -> Result<(), ProjectorError> {
    let positions =
        vec![PartitionOffsets { partition, conversations_offset: holds.conversations, reads_offset: holds.reads }];
    let token = ConsistencyToken { log_id: *log.id().as_bytes(), positions }.encode();
    for delta in deltas {
        let mut message = v1::ReceiptDelta::from(&delta);
        message.consistency_token.clone_from(&token);
        let sender = delta.sender.as_str().as_bytes();
        let record = NewRecord::new(sender.to_vec(), message.encode_to_vec());
        to.add(Topic::Deltas, log.partition_for(sender), record)?;
    }
    Ok(())
}
