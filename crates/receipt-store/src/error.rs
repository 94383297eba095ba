//! What can go wrong with a store.

use receipt_codec::Corrupt;
use receipt_dbfiles::FileError;

/// Why a store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{dir} is in use by another process")]
    Locked {
        /// The store's directory.
        dir: String,
    },
    /// It was created for something else: folding on would be wrong (R7).
    #[error("the store was created with {what} {stored}, and is opened with {asked}; {cure}")]
    Mismatch {
        /// Which setting or identity.
        what: &'static str,
        /// What stands in the store.
        stored: String,
        /// What was asked for.
        asked: String,
        /// What mends it.
        cure: String,
    },
    /// Its bytes are damaged (R7).
    #[error("the store is damaged: {0}")]
    Corrupt(#[from] Corrupt),
    /// A file of it is damaged.
    #[error("the store's file {file} is damaged: {why}")]
    File {
        /// Which file.
        file: String,
        /// What of it.
        why: String,
    },
    /// The fold asked for the same rows twice: a defect of this program.
    #[error("rows that were loaded are missing: {0}")]
    Unsatisfied(String),
    /// RocksDB failed.
    #[error("RocksDB: {0}")]
    RocksDb(#[from] rocksdb::Error),
}

impl From<FileError> for StoreError {
    fn from(error: FileError) -> Self {
        Self::File { file: error.file().display().to_string(), why: error.why() }
    }
}

impl StoreError {
    /// Whether the store's own content is at fault, so that the partition must be sealed.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        match self {
            Self::Corrupt(_) | Self::File { .. } => true,
            Self::RocksDb(error) => error.kind() == rocksdb::ErrorKind::Corruption,
            _ => false,
        }
    }
}
