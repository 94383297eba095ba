//! What was acknowledged survives `kill -9`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use receipt_log::{Clock, EmbeddedOptions, Log, NewRecord, Topic};

use crate::support::{options, read_all, text};

/// Tells the child its directory.
const DIR: &str = "RECEIPT_LOG_KILL_DIR";
const ROUNDS: u64 = 10;
const WRITERS: u32 = 4;

fn open(dir: &Path) -> Log {
    Log::open_embedded(EmbeddedOptions { clock: Clock::System, ..options(dir) }).unwrap()
}

/// Not a test of its own: the process that [`nothing_acknowledged_is_lost`] kills. Each writer appends to its partition
/// and says what was acknowledged; the value names its offset.
#[test]
fn child() {
    let Some(dir) = env::var_os(DIR) else { return };
    let log = open(&PathBuf::from(dir));
    let writers: Vec<_> = (0..WRITERS)
        .map(|partition| {
            let log = log.clone();
            std::thread::spawn(move || {
                for size in 1.. {
                    let end = log.end_offset(Topic::Reads, partition);
                    let batch = (end..).take(size % 5 + 1).map(|n| NewRecord::new("key", n.to_string())).collect();
                    for appended in log.append_blocking(Topic::Reads, partition, batch).unwrap() {
                        writeln!(io::stdout(), "acknowledged {partition} {}", appended.offset).unwrap();
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
}

/// Runs the child, kills it once it has acknowledged so many records, and returns the end of what it acknowledged in
/// each partition. What it acknowledged after that, but before it died, counts as well.
fn run_and_kill(dir: &Path, after: u64) -> [u64; WRITERS as usize] {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture", "--test-threads", "1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ends = [0; WRITERS as usize];
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The last line may be cut short, and what the test runner prints is none.
        let Some((_, acknowledged)) = line.split_once("acknowledged ") else { continue };
        let Some((partition, offset)) = acknowledged.split_once(' ') else { continue };
        let (Ok(partition), Ok(offset)) = (partition.parse::<usize>(), offset.parse::<u64>()) else { continue };
        ends[partition] = ends[partition].max(offset + 1);
        seen += 1;
        if seen == after {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    assert!(seen >= after, "the child ended by itself");
    ends
}

#[test]
fn nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut id = None;
    for round in 0..ROUNDS {
        // Not at random but uneven, so that a failure can be seen again.
        let acknowledged = run_and_kill(dir.path(), 1 + round * round * 37 % 1_000);
        let log = open(dir.path());
        assert_eq!(*id.get_or_insert(log.id()), log.id());
        for (partition, acknowledged) in (0..).zip(acknowledged) {
            let records = read_all(&log, Topic::Reads, partition, 0).unwrap();
            assert!(records.len() as u64 >= acknowledged, "round {round}: {} < {acknowledged}", records.len());
            for (record, offset) in records.iter().zip(0..) {
                assert_eq!((record.offset, text(record)), (offset, offset.to_string()));
            }
        }
    }
}
