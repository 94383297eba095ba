//! Memory that stores share.

use rocksdb::{Cache, WriteBufferManager};

const MIB: usize = 1 << 20;

/// Memory that all partitions of a process share.
#[derive(Clone)]
pub struct Resources {
    pub(crate) cache: Cache,
    pub(crate) write_buffers: WriteBufferManager,
}

impl Resources {
    /// A block cache and a write-buffer budget of these sizes.
    #[must_use]
    pub fn new(block_cache_bytes: usize, write_buffer_bytes: usize) -> Self {
        Self {
            cache: Cache::new_lru_cache(block_cache_bytes),
            write_buffers: WriteBufferManager::new_write_buffer_manager(write_buffer_bytes, false),
        }
    }
}

impl Default for Resources {
    /// 256 MiB of cache, and 256 MiB of write buffers.
    fn default() -> Self {
        Self::new(256 * MIB, 256 * MIB)
    }
}
