//! Finds damage in the files that RocksDB reads when it opens a database: CURRENT, the MANIFEST, and the write-ahead log
//! (WAL). It links no RocksDB.
//!
//! RocksDB checks these files too, but not all damage ends well there. It reads a record whose type became a recyclable one
//! over and over, and never returns. And it takes a last record whose length grew for one that a crash cut short, and drops
//! it silently, although it was acknowledged. So every database is checked here first.

mod check;
mod error;
mod pass_over;
mod records;

pub use check::{check_before_open, check_closed, check_manifest, wal_files};
pub use error::FileError;
pub use pass_over::pass_over_damage;
