//! Logs that something else than the log has written to.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use receipt_log::{ErrorKind, Log, LogError, Topic};
use rocksdb::DB;

use crate::support::{open_embedded, options, read_all, records};

/// The key of a record of receipts.reads, partition 0.
fn key(offset: u8) -> [u8; 13] {
    [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, offset]
}

/// A log of ten records in receipts.reads, partition 0, closed and then changed.
fn damaged(dir: &Path, damage: impl FnOnce(&DB)) {
    let log = open_embedded(dir);
    log.append_blocking(Topic::Reads, 0, records(0..10)).unwrap();
    drop(log);
    damage(&DB::open_default(dir).unwrap());
}

#[test]
fn a_damaged_record_is_named_and_those_before_it_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    damaged(dir.path(), |db| {
        let mut value = db.get(key(4)).unwrap().unwrap();
        *value.last_mut().unwrap() ^= 1;
        db.put(key(4), value).unwrap();
    });
    let log = open_embedded(dir.path());
    let error = read_all(&log, Topic::Reads, 0, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "receipts.reads/0 is damaged at offset 4: its checksum is wrong; restore the log from a copy, an embedded one \
         by `receiptctl snapshot restore` into an empty data directory; without a snapshot, `receiptctl log export \
         --until-damage` writes what is whole of an embedded one"
    );
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(log.read(Topic::Reads, 0, 0, 4, usize::MAX).unwrap().len(), 4);
    assert_eq!(read_all(&log, Topic::Reads, 0, 5).unwrap().len(), 5);
}

#[test]
fn a_record_that_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    damaged(dir.path(), |db| db.delete(key(4)).unwrap());
    let log = open_embedded(dir.path());
    for from in [0, 4] {
        let error = LogError::Corrupt { topic: Topic::Reads, partition: 0, offset: 4, detail: "it is missing" };
        assert_eq!(read_all(&log, Topic::Reads, 0, from), Err(error));
    }
}

#[test]
fn a_log_that_lost_its_first_or_last_record_stays_closed() {
    for lost in [0, 9] {
        let dir = tempfile::tempdir().unwrap();
        damaged(dir.path(), |db| db.delete(key(lost)).unwrap());
        let error = Log::open_embedded(options(dir.path())).unwrap_err();
        assert!(error.to_string().contains("receipts.reads/0 should hold the offsets 0 to 10"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn rows_of_the_wrong_size_keep_the_log_closed() {
    for row in [&b"\0f"[..], b"\0p", b"\0i", b"\0a", b"\0e\x02\0\0\0\0"] {
        let dir = tempfile::tempdir().unwrap();
        damaged(dir.path(), |db| db.put(row, b"abc").unwrap());
        let error = Log::open_embedded(options(dir.path())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

#[test]
fn a_database_that_is_no_log_and_a_log_of_the_future_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    DB::open_default(dir.path()).unwrap().put("key", "value").unwrap();
    let error = Log::open_embedded(options(dir.path())).unwrap_err();
    assert!(error.to_string().ends_with("it holds something else than a log"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    damaged(dir.path(), |db| db.put(b"\0f", 2u32.to_be_bytes()).unwrap());
    let error = Log::open_embedded(options(dir.path())).unwrap_err();
    assert!(error.to_string().ends_with("its format is 2, and this version knows 1 only"), "{error}");
}

/// The files of RocksDB's WAL that hold anything.
fn wal_files(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .filter(|path| path.metadata().unwrap().len() > 0)
        .collect()
}

/// A log of ten records, each of a write of its own, all in the WAL; copied as a crash leaves it.
fn crashed(dir: &Path, copy: &Path) {
    let log = open_embedded(dir);
    for n in 0..10 {
        log.append_blocking(Topic::Reads, 0, records(n..n + 1)).unwrap();
    }
    for file in fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
}

/// Whatever follows the damage was acknowledged: to go on without it would be to lose it silently.
#[test]
fn a_wal_damaged_in_its_middle_keeps_the_log_closed() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    crashed(dir.path(), copy.path());
    let wal = wal_files(copy.path());
    let mut bytes = fs::read(&wal[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&wal[0], bytes).unwrap();
    let error = Log::open_embedded(options(copy.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

/// A crash cut a write short: nobody was told that it was there.
#[test]
fn a_wal_cut_short_in_its_last_write_opens_without_it() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    crashed(dir.path(), copy.path());
    let wal = OpenOptions::new().write(true).open(&wal_files(copy.path())[0]).unwrap();
    wal.set_len(wal.metadata().unwrap().len() - 3).unwrap();
    let log = open_embedded(copy.path());
    assert_eq!(read_all(&log, Topic::Reads, 0, 0).unwrap().len(), 9);
    assert_eq!(log.append_blocking(Topic::Reads, 0, records(9..10)).unwrap()[0].offset, 9);
}
