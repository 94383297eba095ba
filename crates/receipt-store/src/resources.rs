//! Memory that stores share, and that is taken while one is folded.

use rocksdb::{Cache, WriteBufferManager};

const MIB: usize = 1 << 20;

/// Bytes of a batch, where nothing else is said.
const BATCH_BYTES: usize = 32 * MIB;

/// Memory that all partitions of a process share, and how much each of them may take for a batch.
#[derive(Clone)]
pub struct Resources {
    pub(crate) batch_bytes: usize,
    /// `None`: all.
    pub(crate) open_tables: Option<i32>,
    pub(crate) cache: Cache,
    pub(crate) write_buffers: WriteBufferManager,
}

impl Resources {
    /// A block cache and a write-buffer budget of these sizes. A batch may have 32 MiB.
    #[must_use]
    pub fn new(block_cache_bytes: usize, write_buffer_bytes: usize) -> Self {
        Self {
            batch_bytes: BATCH_BYTES,
            open_tables: None,
            cache: Cache::new_lru_cache(block_cache_bytes),
            write_buffers: WriteBufferManager::new_write_buffer_manager(write_buffer_bytes, false),
        }
    }

    /// With so many bytes at which whoever folds into a store closes a batch (R8).
    #[must_use]
    pub fn with_batch_bytes(self, batch_bytes: usize) -> Self {
        Self { batch_bytes, ..self }
    }

    /// With so many table files, at most, that each store keeps open; otherwise it keeps all of them.
    #[must_use]
    pub fn with_open_tables(self, tables: u64) -> Self {
        Self { open_tables: Some(i32::try_from(tables).unwrap_or(i32::MAX)), ..self }
    }
}

impl Default for Resources {
    /// 256 MiB of cache, and 256 MiB of write buffers.
    fn default() -> Self {
        Self::new(256 * MIB, 256 * MIB)
    }
}
