//! What a store says of itself.

use receipt_domain::settings::Settings;
use receipt_log::LogId;
use receipt_store::Store;

/// What a store says that it was created for.
pub(super) struct StoredFor {
    pub(super) log_id: LogId,
    pub(super) partitions: u32,
    pub(super) settings: Settings,
}

impl StoredFor {
    /// Of the store in a directory, if there is one.
    pub(super) fn read(dir: &std::path::Path) -> anyhow::Result<Option<Self>> {
        Ok(Store::identity(dir)?.map(|stored| Self {
            log_id: LogId::from_bytes(stored.log_id),
            partitions: stored.partitions,
            settings: stored.settings,
        }))
    }
}
