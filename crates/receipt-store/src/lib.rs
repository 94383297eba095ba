//! Receipt state in RocksDB: one database a partition, one column family, no WAL.
//!
//! The log is the WAL: after a crash a store comes back at its last flush, with the offsets of that flush, and its tail
//! is folded again (R2).

mod batch;
mod compare;
mod consistent;
mod describe;
mod digest;
mod error;
mod horizon;
mod inbox;
mod inspect;
mod load;
mod logical;
mod one_conversation;
mod open;
mod query;
mod resources;
mod store;
mod sweep;
mod table_file;
mod time_index;
mod view;

pub use compare::{CompareError, Compared, Comparison, Difference, Side};
pub use describe::Place;
pub use digest::Digest;
pub use error::StoreError;
pub use inbox::InboxStore;
pub use inspect::{Rows, ShownRow};
pub use one_conversation::in_memory;
pub use query::{Member, MemberFilter, Page, PageError, PageRequest, States};
pub use resources::Resources;
pub use store::{Durable, Row, Store};
pub use view::View;
