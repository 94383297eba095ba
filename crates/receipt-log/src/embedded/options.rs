//! How the embedded log's RocksDB is set up.

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options, ReadOptions, WriteOptions,
};

const MIB: usize = 1024 * 1024;

/// Options of the database.
pub(super) fn database() -> Options {
    let mut table = BlockBasedOptions::default();
    // Records are read in order: larger blocks compress better and cost nothing.
    table.set_block_size(32 * 1024);
    // Only random reads fill it; whoever reads on and on does not.
    table.set_block_cache(&Cache::new_lru_cache(16 * MIB));

    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    // Never lose what was acknowledged. A write that a crash cut short was acknowledged to nobody, so it may end the
    // WAL; whatever else is wrong with the WAL keeps the log closed, where the default would drop all that follows it.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // A WAL file that is missing or shorter than it was when closed keeps the log closed too.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_write_buffer_size(64 * MIB);
    options.set_max_write_buffer_number(3);
    options.set_compression_type(DBCompressionType::Lz4);
    // Each partition's keys only rise, so that below the first level little overlaps: fewer, larger files.
    options.set_target_file_size_base(64 * MIB as u64);
    options.set_max_bytes_for_level_base(512 * MIB as u64);
    options.set_compaction_readahead_size(2 * MIB);
    options.set_bytes_per_sync(MIB as u64);
    options.set_max_background_jobs(2);
    options.set_max_open_files(512);
    // RocksDB's own log files.
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 * MIB);
    options
}

/// Options of every write: on the disk when it returns.
pub(super) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

/// Options of a read of keys below `end`. A read that is one of many in a row leaves the block cache to others.
pub(super) fn read_below(end: &[u8], in_a_row: bool) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(end);
    options.fill_cache(!in_a_row);
    options
}
