//! The log: four topics, each in the same number of partitions, each partition a row of records with rising offsets.
//!
//! The log is the truth, and every state is a fold of it. [`Log`] is what the rest of the service sees; behind it stands
//! an engine. The embedded one keeps the log in this process, durably, with nothing to install; the other one is Apache
//! Kafka. Topics, keys and partitioner are the same, so that a log can be copied from one engine to the other, partition
//! by partition.
//!
//! What holds for every engine:
//! - An append that returned is durable. One that failed with [`ErrorKind::Fatal`] or [`LogError::Unavailable`] may or
//!   may not be in the log.
//! - Offsets of a partition rise, and none is ever given out twice. Only the embedded engine's are dense.
//! - A reader sees nothing that is not durable, so it never passes over an offset that turns up later.

mod clock;
mod directory;
mod embedded;
mod error;
pub mod human;
mod id;
mod kafka;
mod log;
mod murmur2;
mod reader;
mod record;
mod topic;
mod writes;

pub use clock::{ARRIVAL_AHEAD_MAX_MS, Clock, is_far_ahead};
pub use directory::create_dir_durably;
pub use embedded::{Copied, EmbeddedOptions, Extent, Known, PARTITIONS_MAX, Salvage, Whole};
pub use error::{ErrorKind, LogError};
pub use id::LogId;
pub use kafka::{CreatedTopic, KafkaOptions, create_topics};
pub use log::Log;
pub use murmur2::{murmur2, partition as partition_for};
pub use reader::Reader;
pub use record::{
    Appended, Batch, CopiedRecord, NewRecord, RECORD_HEADERS_MAX, RECORD_KEY_AND_HEADERS_MAX_BYTES,
    RECORD_VALUE_MAX_BYTES, StoredRecord, check_limits, headers_bytes,
};
pub use topic::Topic;
pub use writes::Writes;
