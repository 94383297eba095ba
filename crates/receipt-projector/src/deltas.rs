//! Deltas on their way to receipts.deltas (S31, S32, S38).

use prost::Message;
use receipt_codec::token::{ConsistencyToken, PartitionOffsets};
use receipt_domain::effects::Delta;
use receipt_log::{Batch, Log, NewRecord, Topic};
use receipt_proto::v1;

use crate::partition::Offsets;

/// The records of deltas that a state at these offsets holds, by the partitions of their senders.
pub(crate) fn batches(log: &Log, partition: u32, holds: Offsets, deltas: &[Delta]) -> Vec<Batch> {
    let positions =
        vec![PartitionOffsets { partition, conversations_offset: holds.conversations, reads_offset: holds.reads }];
    let token = ConsistencyToken { log_id: *log.id().as_bytes(), positions }.encode();
    let mut by_partition: Vec<Vec<NewRecord>> = (0..log.partitions()).map(|_| Vec::new()).collect();
    for delta in deltas {
        let mut message = v1::ReceiptDelta::from(delta);
        message.consistency_token.clone_from(&token);
        let key = delta.sender.as_str().as_bytes().to_vec();
        let record = NewRecord::new(key, message.encode_to_vec());
        let to = log.partition_for(delta.sender.as_str().as_bytes());
        if let Some(records) = by_partition.get_mut(to as usize) {
            records.push(record);
        }
    }
    let numbered = (0..).zip(by_partition).filter(|(_, records)| !records.is_empty());
    numbered.map(|(partition, records)| (Topic::Deltas, partition, records)).collect()
}
