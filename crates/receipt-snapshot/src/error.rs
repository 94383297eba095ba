//! What can go wrong with snapshots.

use std::{io, path::PathBuf};

/// Why something could not be done with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The place does not answer, or refuses: a retry may help.
    #[error("{place}: {what}: {detail}; the same command goes on from here")]
    Unavailable {
        /// The place.
        place: String,
        /// What was being done.
        what: String,
        /// What it says.
        detail: String,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The folder that snapshots are read from does not exist.
    #[error("there is no folder {}: give the folder or the s3://BUCKET/PREFIX that the snapshots are in", folder.display())]
    NoFolder {
        /// Which one.
        folder: PathBuf,
    },
    /// A snapshot is not what its manifest says.
    #[error(
        "the snapshot {snapshot} is damaged: {what}: restore another one (`receiptctl snapshot list` names them), and \
         delete this one"
    )]
    Corrupt {
        /// Which one.
        snapshot: String,
        /// What is wrong with which of its files.
        what: String,
    },
    /// A snapshot does not fit what it is to be used for, or there is none.
    #[error("{0}")]
    Refused(String),
    /// A file or directory of this machine.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Whoever asked wants no more.
    #[error("stopped; the same command goes on from here")]
    Stopped,
}

impl SnapshotError {
    /// Whether the error is about one snapshot, which is damaged, of a newer format or gone: other snapshots of the same
    /// place may be usable. All other errors are about the place or the machine.
    #[must_use]
    pub fn is_of_one_snapshot(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Refused(_))
    }
}

/// For `map_err`: what happened to a file.
pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> SnapshotError + '_ {
    |source| SnapshotError::Io { path: path.to_owned(), source }
}

/// Whether to go on, as whoever is told of progress says.
pub(crate) fn go_on(go_on: bool) -> Result<(), SnapshotError> {
    if go_on { Ok(()) } else { Err(SnapshotError::Stopped) }
}
