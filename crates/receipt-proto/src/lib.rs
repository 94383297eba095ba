//! The contract `receipts.v1`: its generated types, and what stands between them and the domain.
//!
//! Every check of a request's or record's *shape* is here (S13, S20, S39), once, for the gRPC handlers and for the
//! records of the log alike: an [`InvalidField`] says which field broke which rule or limit. What depends on state is
//! the fold's business.

mod conversation;
mod delta;
mod field;
mod invalid;
mod read;
mod read_view;
mod record;
mod time;

/// The generated messages, clients and servers of the package `receipts.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("receipts.v1");
}

/// The contract's compiled descriptors, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/receipts.bin"));

pub use self::{
    conversation::{conversation_event, policy},
    delta::delta,
    field::{conversation_id, message_id, user_id},
    invalid::InvalidField,
    read::{read_event, receipt_messages},
    record::{decode_conversation_record, decode_read_record},
    time::{ms_from_timestamp, timestamp_from_ms, timestamp_from_s},
};
