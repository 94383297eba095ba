//! The data directory, and the lock that keeps a second receiptd off it.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// A data directory that this process has for itself.
pub(crate) struct DataDir {
    dir: PathBuf,
    /// Released by the system when the process ends, however it ends.
    _lock: File,
}

impl DataDir {
    /// Takes the directory, and makes it where there is none.
    ///
    /// # Errors
    /// If another process has it.
    pub(crate) fn take(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("making the data directory {}", dir.display()))?;
        let path = dir.join("LOCK");
        let lock = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "the data directory {} is in use by another receiptd: stop that one, or give this one another --data-dir",
                dir.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
        }
    }

    /// Where the embedded log is.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Where the receipt projection's stores are.
    pub(crate) fn receipts(&self) -> PathBuf {
        self.dir.join("receipts")
    }

    /// Where the inbox projection's stores are.
    pub(crate) fn inboxes(&self) -> PathBuf {
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
        assert!(second.contains("is in use by another receiptd"), "{second}");
        drop(first);
        assert!(DataDir::take(dir.path()).is_ok());
    }
}
