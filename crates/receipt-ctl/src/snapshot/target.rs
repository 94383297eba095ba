//! The data directory that snapshots are restored into, and its log, if there is one.

use std::{fs, path::Path};

use anyhow::bail;
use receipt_log::{KafkaOptions, Log, LogError};
use receipt_projector::DataDir;

/// A data directory that no receiptd runs on.
pub(crate) struct Target {
    pub(crate) dir: DataDir,
    /// The log that is there; without one, it is restored too.
    pub(crate) log: Option<Log>,
}

/// In the directory of a restore: all of it is right, and is being put in its place. It has the new log's identity.
pub(super) const READY: &str = "ready";

impl Target {
    /// Takes a data directory, and makes it where there is none; `kafka`: the log is there.
    pub(crate) async fn open(dir: &Path, kafka: Option<KafkaOptions>) -> anyhow::Result<Self> {
        let dir = DataDir::take(dir)?;
        let log = match kafka {
            // However short its topics keep records: that nothing is missing yet shows in where they begin.
            Some(options) => Some(Log::open_kafka(KafkaOptions { retention_ms: 1, ..options }).await?),
            None => match Log::open_embedded_existing(&dir.log()) {
                Err(LogError::NoLog { .. }) => None,
                opened => Some(opened?),
            },
        };
        let target = Self { dir, log };
        if target.log.is_none() && !target.aside().join(READY).exists() {
            for stores in [target.dir.receipts(), target.dir.inboxes()] {
                if fs::read_dir(&stores).is_ok_and(|mut entries| entries.next().is_some()) {
                    bail!(
                        "{} has state and no log: where the log is on Kafka, give --kafka as receiptd has it; to restore \
                         the embedded log too, give an empty data directory",
                        target.dir.path().display()
                    );
                }
            }
        }
        Ok(target)
    }

    /// Where snapshots are put until all are there and right.
    pub(super) fn aside(&self) -> std::path::PathBuf {
        self.dir.path().join("replay").join("restore")
    }
}
