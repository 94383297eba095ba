//! The data directory, and the lock that keeps a second receiptd, or a receiptctl beside it, off it.

use std::{
    fs::{File, TryLockError},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use receipt_log::create_dir_durably;

/// What a mode lets the group and everybody else do.
const OTHERS: u32 = 0o077;

/// Why a data directory can't be had.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error(
        "the data directory {} is in use by a receiptd, or by a receiptctl: stop that one, or give another --data-dir",
        dir.display()
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// It can't be made, or its lock can't be opened.
    #[error("the data directory {}: {source}", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A data directory that this process has for itself.
pub struct DataDir {
    dir: PathBuf,
    /// Released by the system when the process ends, however it ends.
    _lock: File,
}

impl DataDir {
    /// Takes the directory, and makes it where there is none.
    ///
    /// # Errors
    /// If another process has it.
    pub fn take(dir: &Path) -> Result<Self, DataDirError> {
        let dir = dir.to_owned();
        let lock = create_dir_durably(&dir).and_then(|()| File::create(dir.join("LOCK")));
        let lock = match lock {
            Ok(lock) => lock,
            Err(source) => return Err(DataDirError::Io { dir, source }),
        };
        match lock.try_lock() {
            Ok(()) => {
                if let Ok(metadata) = dir.metadata()
                    && metadata.permissions().mode() & OTHERS != 0
                {
                    let dir = dir.display();
                    tracing::warn!(%dir, "the data directory is open to other users, and who reads what is in it: chmod 700");
                }
                Ok(Self { dir, _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { dir }),
            Err(TryLockError::Error(source)) => Err(DataDirError::Io { dir, source }),
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Where the embedded log is.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Where the receipt projection's stores are.
    #[must_use]
    pub fn receipts(&self) -> PathBuf {
        self.dir.join("receipts")
    }

    /// Where partitions are folded aside.
    #[must_use]
    pub fn replay(&self) -> PathBuf {
        self.dir.join("replay")
    }

    /// Where the inbox projection's stores are.
    #[must_use]
    pub fn inboxes(&self) -> PathBuf {
        self.dir.join("inboxes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_kept_off() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::take(dir.path()).unwrap();
        let second = DataDir::take(dir.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(second.contains("is in use by a receiptd"), "{second}");
        drop(first);
        assert!(DataDir::take(dir.path()).is_ok());
    }
}
