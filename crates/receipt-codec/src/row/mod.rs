//! The rows of a partition's store, one file a kind.

pub mod active;
pub mod conversation;
pub mod cursor;
pub mod identity;
pub mod inbox_entry;
pub mod inbox_index;
pub mod inbox_progress;
pub mod leave;
pub mod member;
pub mod memberships;
pub mod message;
pub mod policy;
pub mod progress;
pub mod read_chunk;
pub mod stub;
pub mod sweep;
pub mod time_chunk;
pub mod time_mark;
pub mod unread;
pub mod waiting;
