//! Snapshots of state and log in a folder or an object store: created once, never changed, verified by a hash a file.
//!
//! ```text
//! PLACE/<log id>/<unit>/<name>/<file>-<hash>     a file of the directory that was snapshot
//! PLACE/<log id>/<unit>/<name>/manifest.json     written last: without it there is no snapshot
//! ```
//!
//! A unit is the embedded log, or a partition's store of either projection; a name says how far it is. Where the
//! directory comes from, and what becomes of it, others know: this crate links no RocksDB.

mod bucket;
mod create;
mod error;
mod find;
mod fit;
mod folder;
mod keep;
mod manifest;
mod missing;
mod objects;
mod restore;

pub use create::{Created, create};
pub use error::SnapshotError;
pub use find::{Snapshot, list, newest_created_ms};
pub use fit::{Bounds, LogBounds, Misfit};
pub use keep::{Kept, keep};
pub use manifest::{Facts, FileEntry, Manifest, Position, Unit};
pub use missing::missing;
pub use objects::Place;
pub use restore::{Restored, restore, verify};
