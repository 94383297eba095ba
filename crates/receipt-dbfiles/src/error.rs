//! What is wrong with a file.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a database's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Its bytes are not what was written.
    #[error("{} is damaged: at byte {at}, {what}", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// Where in it, in bytes from its beginning.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// The disk could not read it.
    #[error("{} cannot be read: {source}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FileError {
    /// Which file.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::Damaged { file, .. } | Self::Unreadable { file, .. } => file,
        }
    }

    /// What is wrong with it, without its name.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Damaged { at, what, .. } => format!("at byte {at}, {what}"),
            Self::Unreadable { source, .. } => format!("it cannot be read: {source}"),
        }
    }
}
