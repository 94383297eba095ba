//! The data directory of a receiptd that is stopped, and its log.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use receipt_log::{KafkaOptions, Log, LogError};
use receipt_projector::{DataDir, Durables, Offsets, identity};
use receipt_store::{InboxStore, Resources, Store, StoreError};

const MIB: usize = 1 << 20;

/// State and log of a receiptd that is not running: nobody else has them as long as this is held.
pub(crate) struct Site {
    dir: DataDir,
    pub(crate) log: Log,
    pub(crate) resources: Resources,
}

impl Site {
    /// Takes a data directory; `kafka`: the log is there.
    pub(crate) async fn open(dir: &Path, kafka: Option<KafkaOptions>) -> anyhow::Result<Self> {
        if !dir.join("receipts").is_dir() {
            bail!("there is no state in {}: it is not the data directory of a receiptd", dir.display());
        }
        let dir = DataDir::take(dir)?;
        let log = match kafka {
            // However short its topics keep records: that nothing is missing yet shows in where they begin.
            Some(options) => Log::open_kafka(KafkaOptions { retention_ms: 1, ..options }).await?,
            None => match Log::open_embedded_existing(&dir.log()) {
                Err(error @ LogError::NoLog { .. }) => {
                    bail!("{error}: where the log is on Kafka, give --kafka as receiptd has it")
                }
                opened => opened?,
            },
        };
        let resources = Resources::new(256 * MIB, 256 * MIB);
        Ok(Self { dir, log, resources })
    }

    /// Where the stores of the receipt projection are.
    pub(crate) fn receipts(&self) -> PathBuf {
        self.dir.receipts()
    }

    /// A partition's live store.
    pub(crate) fn live(&self, partition: u32) -> PathBuf {
        self.receipts().join(partition.to_string())
    }

    /// A partition's live store, to be read only, and up to where it is folded; or what is wrong with it.
    pub(crate) fn open_live(&self, partition: u32) -> Result<(Store, Offsets), String> {
        let dir = self.live(partition);
        let store = || -> Result<_, StoreError> {
            let Some(stored) = Store::identity(&dir)? else { return Ok(None) };
            let identity = identity(&self.log, partition, stored.settings);
            Store::open_read_only(&dir, &self.resources, &identity).map(Some)
        };
        match store() {
            Ok(Some(store)) => {
                let applied = Offsets::of(store.durable());
                Ok((store, applied))
            }
            Ok(None) => Err(format!("there is no store in {}: receiptd folds one when it starts", dir.display())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Up to where a partition's stores need nothing of the log any more. What cannot be read needs all of it.
    pub(crate) fn durable(&self, partition: u32) -> Durables {
        let receipts = self.open_live(partition).map(|(_, applied)| applied).unwrap_or_default();
        let dir = self.inboxes().join(partition.to_string());
        let inboxes = || -> Result<_, StoreError> {
            let Some(stored) = Store::identity(&dir)? else { return Ok(0) };
            let identity = identity(&self.log, partition, stored.settings);
            Ok(InboxStore::open(&dir, &self.resources, &identity)?.durable_offset())
        };
        Durables { receipts, deltas: inboxes().unwrap_or_default() }
    }

    /// Where the stores of the inbox projection are.
    pub(crate) fn inboxes(&self) -> PathBuf {
        self.dir.inboxes()
    }

    /// Where a command folds aside: beside the live stores, or in another directory. A place of its own in either, as
    /// what it finds there may be deleted.
    pub(crate) fn aside(&self, command: &str, other: Option<&Path>) -> PathBuf {
        other.map_or_else(|| self.dir.replay(), |other| other.join("replay")).join(command)
    }

    /// The partitions to work on: one, or all.
    pub(crate) fn partitions(&self, only: Option<u32>) -> anyhow::Result<Vec<u32>> {
        let all = self.log.partitions();
        match only {
            None => Ok((0..all).collect()),
            Some(partition) if partition < all => Ok(vec![partition]),
            Some(partition) => {
                Err(LogError::NoSuchPartition { partition, last: all.saturating_sub(1) }).context("--partition")
            }
        }
    }

    /// Takes away a directory of [`Site::aside`] that is empty, and what it is in likewise.
    pub(crate) fn tidy(aside: &Path) {
        // Not empty, or there is none: both are fine.
        for dir in aside.ancestors().take(2) {
            let _ = fs::remove_dir(dir);
        }
    }
}
