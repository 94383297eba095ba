//! Arrivals, and clocks that are wrong.

use std::sync::atomic::Ordering;

use receipt_log::{Clock, CopiedRecord, EmbeddedOptions, ErrorKind, Log, LogError, Topic};

use crate::support::{DAY, options, read_all, record, records};

fn arrival(log: &Log) -> Result<u64, LogError> {
    log.append_blocking(Topic::Reads, 0, records(0..1)).map(|appended| appended[0].timestamp_ms)
}

#[test]
fn a_clock_that_runs_backwards_takes_no_arrival_back_nor_does_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual(50);
    let options = EmbeddedOptions { clock, ..options(dir.path()) };
    let log = Log::open_embedded(options.clone()).unwrap();
    assert_eq!(arrival(&log), Ok(50));
    hand.store(20, Ordering::SeqCst);
    assert_eq!(arrival(&log), Ok(50));
    drop(log);
    let log = Log::open_embedded(options).unwrap();
    assert_eq!(log.append_blocking(Topic::Deltas, 3, records(0..1)).unwrap()[0].timestamp_ms, 50);
    hand.store(60, Ordering::SeqCst);
    assert_eq!(arrival(&log), Ok(60));
    let stored: Vec<_> = read_all(&log, Topic::Reads, 0, 0).unwrap().iter().map(|r| r.timestamp_ms).collect();
    assert_eq!(stored, [Some(50), Some(50), Some(60)]);
}

#[test]
fn a_clock_that_jumps_is_refused_until_the_operator_accepts_it() {
    let dir = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual(1_000 * DAY);
    let options = EmbeddedOptions { clock, retention_ms: 30 * DAY, ..options(dir.path()) };
    let log = Log::open_embedded(options.clone()).unwrap();
    assert_eq!(arrival(&log), Ok(1_000 * DAY));
    hand.store(1_031 * DAY, Ordering::SeqCst);
    let error = arrival(&log).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry);
    for part in ["1972-09-27 00:00:00 UTC", "1972-10-28 00:00:00 UTC", "31 d 0 h", "--accept-clock-jump"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(log.end_offset(Topic::Reads, 0), 1);
    drop(log);

    let log = Log::open_embedded(EmbeddedOptions { accept_clock_jump: true, ..options.clone() }).unwrap();
    assert_eq!(arrival(&log), Ok(1_031 * DAY));
    drop(log);
    let log = Log::open_embedded(options).unwrap();
    assert_eq!(arrival(&log), Ok(1_031 * DAY));
    hand.store(1_061 * DAY, Ordering::SeqCst);
    assert_eq!(arrival(&log), Ok(1_061 * DAY));
}

#[test]
fn copied_records_keep_their_arrivals_or_the_lack_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let (clock, _) = Clock::manual(89 * DAY);
    let log = Log::open_embedded(EmbeddedOptions { retention_ms: DAY, clock, ..options(dir.path()) }).unwrap();
    let times = [Some(90 * DAY), None, Some(3)];
    let copied = times.map(|timestamp_ms| CopiedRecord { record: record(0), timestamp_ms });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(log.append_copied(Topic::Reads, 0, copied.to_vec())), Ok(vec![0, 1, 2]));
    let stored: Vec<_> = read_all(&log, Topic::Reads, 0, 0).unwrap().iter().map(|r| r.timestamp_ms).collect();
    assert_eq!(stored, times);
    assert_eq!(arrival(&log), Ok(90 * DAY));
}

/// On either engine.
#[tokio::test]
async fn s42_a_copied_record_far_ahead_of_the_clock_is_refused_with_its_whole_request() {
    let dir = tempfile::tempdir().unwrap();
    let log = crate::support::open(dir.path()).await;
    for far in [2 * DAY, u64::MAX] {
        let times = [Some(1_000), Some(far)];
        let copied = times.map(|timestamp_ms| CopiedRecord { record: record(0), timestamp_ms });
        let refused = log.append_copied(Topic::Reads, 0, copied.to_vec()).await.unwrap_err();
        assert_eq!(refused, LogError::ArrivalAhead { index: 1, timestamp_ms: far, now_ms: 1_000 });
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
    assert_eq!(log.end_offset(Topic::Reads, 0), 0);
    assert_eq!(log.append(Topic::Reads, 0, records(0..1)).await.unwrap()[0].timestamp_ms, 1_000);
}

#[test]
fn s42_a_log_far_ahead_of_the_clock_takes_nothing_until_the_operator_accepts_it() {
    let dir = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual(100 * DAY);
    let options = EmbeddedOptions { clock, ..options(dir.path()) };
    let log = Log::open_embedded(options.clone()).unwrap();
    assert_eq!((log.last_arrival_ms(), arrival(&log)), (Some(0), Ok(100 * DAY)));
    // The clock was 20 days ahead for one record.
    hand.store(80 * DAY, Ordering::SeqCst);
    let refused = arrival(&log).unwrap_err();
    assert_eq!(
        (&refused, refused.kind()),
        (&LogError::LastArrivalAhead { last_ms: 100 * DAY, now_ms: 80 * DAY }, ErrorKind::Retry)
    );
    for part in ["1970-04-11 00:00:00 UTC", "20 d 0 h ahead", "--timestamps-not-after", "--accept-clock-jump"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    assert_eq!(log.end_offset(Topic::Reads, 0), 1);
    drop(log);
    let log = Log::open_embedded(EmbeddedOptions { accept_clock_jump: true, ..options.clone() }).unwrap();
    assert_eq!((log.last_arrival_ms(), arrival(&log)), (Some(100 * DAY), Ok(100 * DAY)));
    drop(log);
    let log = Log::open_embedded(options).unwrap();
    assert!(arrival(&log).is_err());
    hand.store(99 * DAY, Ordering::SeqCst);
    assert_eq!(arrival(&log), Ok(100 * DAY), "it goes away by itself");
}
