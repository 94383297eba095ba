//! Bytes of everything that is stored or handed out: a partition's rows, and tokens. Links no RocksDB.
//!
//! A row's key is `[kind u8][...]`, big-endian, fixed width where order matters. A value begins with a version byte.

mod codec;
mod error;
pub mod expiry;
mod format1;
pub mod key;
pub mod read_set;
pub mod row;
pub mod token;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod proof;

pub use error::{Corrupt, InvalidToken};
