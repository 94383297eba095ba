//! Opening, and opening again.

use receipt_log::{EmbeddedOptions, ErrorKind, Log, LogError, LogId, Topic};

use crate::support::{open_embedded, options, read_all, records};

#[test]
fn a_log_opened_again_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("not/there/yet");
    let log = open_embedded(&dir);
    let id = log.id();
    log.append_blocking(Topic::Reads, 0, records(0..10)).unwrap();
    log.trim(Topic::Reads, 0, 4).unwrap();
    let before = read_all(&log, Topic::Reads, 0, 4).unwrap();
    drop(log);
    let log = open_embedded(&dir);
    assert_eq!((log.id(), LogId::from_bytes(*id.as_bytes()), log.partitions()), (id, id, 4));
    assert_eq!((log.start_offset(Topic::Reads, 0), log.end_offset(Topic::Reads, 0)), (4, 10));
    assert_eq!(read_all(&log, Topic::Reads, 0, 4).unwrap(), before);
    assert_eq!(log.append_blocking(Topic::Reads, 0, records(10..11)).unwrap()[0].offset, 10);
    assert!(log.disk_bytes() > 0);
}

/// An offset is never given out twice, also where nothing is left that has one.
#[test]
fn offsets_go_on_after_everything_was_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_embedded(dir.path());
    log.append_blocking(Topic::Reads, 0, records(0..10)).unwrap();
    log.trim(Topic::Reads, 0, 10).unwrap();
    log.close().unwrap();
    drop(log);
    let log = open_embedded(dir.path());
    assert_eq!((log.start_offset(Topic::Reads, 0), log.end_offset(Topic::Reads, 0)), (10, 10));
    assert_eq!(read_all(&log, Topic::Reads, 0, 10), Ok(vec![]));
    assert_eq!(log.append_blocking(Topic::Reads, 0, records(0..1)).unwrap()[0].offset, 10);
    assert_eq!(read_all(&log, Topic::Reads, 0, 10).unwrap().len(), 1);
}

#[test]
fn two_logs_have_two_identities() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_ne!(open_embedded(a.path()).id(), open_embedded(b.path()).id());
}

#[test]
fn the_partition_count_of_a_log_stays() {
    let dir = tempfile::tempdir().unwrap();
    drop(open_embedded(dir.path()));
    let error = Log::open_embedded(EmbeddedOptions { partitions: 8, ..options(dir.path()) }).unwrap_err();
    assert_eq!(error, LogError::PartitionCount { stored: 4, asked: 8 });
    assert_eq!(
        error.to_string(),
        "the log has 4 partitions, and 8 were asked for: start with 4, or with an empty directory"
    );
    for asked in [0, 1025] {
        let error = Log::open_embedded(EmbeddedOptions { partitions: asked, ..options(dir.path()) }).unwrap_err();
        assert_eq!(error, LogError::BadPartitionCount { asked, max: 1024 });
    }
}

#[test]
fn a_log_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_embedded(dir.path());
    let error = Log::open_embedded(options(dir.path())).unwrap_err();
    assert_eq!(error, LogError::Locked { dir: dir.path().to_path_buf() });
    assert_eq!(error.kind(), ErrorKind::Fatal);
    let other_handle = log.clone();
    drop(log);
    assert!(Log::open_embedded(options(dir.path())).is_err());
    drop(other_handle);
    open_embedded(dir.path());
}

#[test]
fn keys_go_to_the_partitions_that_kafka_would_choose() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open_embedded(EmbeddedOptions { partitions: 6, ..options(dir.path()) }).unwrap();
    let partitions: Vec<_> = (1..=4).map(|n| log.partition_for(format!("my_key_{n}").as_bytes())).collect();
    assert_eq!(partitions, [0, 4, 5, 2]);
}

#[test]
fn a_log_that_is_there_opens_whatever_its_number_of_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open_embedded(EmbeddedOptions { partitions: 7, ..options(dir.path()) }).unwrap();
    let id = log.id();
    log.append_blocking(Topic::Reads, 6, records(0..3)).unwrap();
    let again = Log::open_embedded_existing(dir.path()).unwrap_err();
    assert_eq!(again, LogError::Locked { dir: dir.path().to_path_buf() });
    drop(log);
    let log = Log::open_embedded_existing(dir.path()).unwrap();
    assert_eq!((log.id(), log.partitions(), log.end_offset(Topic::Reads, 6)), (id, 7, 3));
}

#[test]
fn where_there_is_no_log_none_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let error = Log::open_embedded_existing(&missing).unwrap_err();
    assert_eq!((&error, missing.exists()), (&LogError::NoLog { dir: missing.clone() }, false));
    assert_eq!(error.to_string(), format!("there is no log in {}", missing.display()));
    let empty = Log::open_embedded_existing(dir.path()).unwrap_err();
    assert_eq!(empty, LogError::NoLog { dir: dir.path().to_path_buf() });
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
