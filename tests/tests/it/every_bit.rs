//! Every bit of the files that RocksDB reads when it opens a database: CURRENT, the MANIFEST, and the log's WAL. A flipped one
//! is found and named, or changes nothing, and each open ends.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use receipt_domain::{event::AudienceSpec, settings::Settings};
use receipt_log::{Clock, EmbeddedOptions, ErrorKind, Log, LogError, NewRecord, Topic};
use receipt_store::{Resources, Store, StoreError};
use receipt_tests::{
    dir,
    feed::identity,
    files::copy,
    scenario::{Script, id, of_message},
};

/// How long one open may take.
const OPEN_MAX: Duration = Duration::from_secs(30);

/// What an open with a flipped bit has come to.
type Outcome = Result<(), String>;

/// Tries each bit of some files of a directory, each flipped in a copy of the directory as it is. What went wrong, and
/// where.
fn every_bit(original: &Path, names: &[&str], attempt: impl Fn(&Path, &str) -> Outcome + Send + 'static) {
    let files: Vec<_> = files(original).into_iter().filter(|name| names.iter().any(|n| name.contains(n))).collect();
    assert_eq!(files.len(), names.len(), "{names:?}: {files:?}");
    let original = original.to_owned();
    let flipped = original.with_file_name("flipped");
    let (sender, tried) = mpsc::channel();
    // An open that does not end cannot be stopped: its thread ends with the process.
    thread::spawn(move || {
        for name in files {
            let content = fs::read(original.join(&name)).unwrap();
            for bit in 0..content.len() * 8 {
                copy(&original, &flipped);
                let mut content = content.clone();
                content[bit / 8] ^= 1 << (bit % 8);
                fs::write(flipped.join(&name), &content).unwrap();
                let place = format!("bit {} of byte {} of the {} of {name}", bit % 8, bit / 8, content.len());
                sender.send((place.clone(), None)).unwrap();
                sender.send((place, Some(attempt(&flipped, &name)))).unwrap();
                fs::remove_dir_all(&flipped).unwrap();
            }
        }
    });
    let (mut now, mut wrong, mut bits) = (String::new(), Vec::new(), 0);
    loop {
        match tried.recv_timeout(OPEN_MAX) {
            Ok((place, None)) => now = place,
            Ok((place, Some(outcome))) => {
                bits += 1;
                wrong.extend(outcome.err().map(|why| format!("{place}: {why}")));
            }
            Err(RecvTimeoutError::Timeout) => panic!("{now}: it is not opened within {} s", OPEN_MAX.as_secs()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    println!("{bits} bits of {names:?}");
    assert!(bits > 1_000 && wrong.is_empty(), "{} of {bits}, such as {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
}

fn files(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap());
    let mut files: Vec<_> = files.filter(|file| file.metadata().unwrap().len() > 0).collect();
    files.sort_by_key(|file| file.file_name());
    files.into_iter().map(|file| file.file_name().into_string().unwrap()).collect()
}

/// Damage is named with its file.
fn named(name: &str, said: &str) -> Outcome {
    if said.contains(name) && said.contains("damaged: at byte") { Ok(()) } else { Err(said.to_owned()) }
}

fn resources() -> Resources {
    Resources::new(1 << 20, 1 << 20)
}

/// A store with a few table files.
fn small_store(dir: &Path) {
    let mut script = Script::new(Settings::default());
    let store = Store::open(dir, &resources(), &identity(script.settings)).unwrap();
    script.group(1_000, "g", vec![id("ann"), id("bob")]);
    for n in 0..3_u32 {
        script.message(2_000, "g", &format!("m{n}"), &id("ann"), AudienceSpec::AllMembers);
        script.read(3_000, "g", &id("bob"), None, of_message(&format!("m{n}")));
        script.fold_into(&store, 256);
        store.flush().unwrap();
    }
}

/// What a store would answer from all its rows.
fn answers(store: &Store) -> Result<String, StoreError> {
    let view = store.view()?;
    let (at, digest) = (view.progress().clone(), view.digest()?);
    Ok(format!("{at:?} {digest}"))
}

#[test]
fn r7_a_flipped_bit_of_a_stores_manifest_is_found_and_named() {
    let dir = dir::temporary();
    let original = dir.path().join("original");
    small_store(&original);
    let identity = identity(Settings::default());
    let right = Store::open_read_only(&original, &resources(), &identity).and_then(|store| answers(&store)).unwrap();
    every_bit(&original, &["CURRENT", "MANIFEST"], move |flipped, name| {
        let opened = [
            Store::open_read_only(flipped, &resources(), &identity).and_then(|store| answers(&store)),
            Store::identity(flipped).map(|_| right.clone()),
            Store::open(flipped, &resources(), &identity).and_then(|store| answers(&store)),
        ];
        opened.into_iter().try_for_each(|opened| match opened {
            Ok(answers) if answers == right => Ok(()),
            Ok(answers) => Err(format!("it answers {answers}")),
            Err(error) if error.is_corruption() => named(name, &error.to_string()),
            Err(error) => Err(error.to_string()),
        })
    });
}

fn open_log(dir: PathBuf) -> Result<Log, LogError> {
    let (clock, _) = Clock::manual(1_000);
    Log::open_embedded(EmbeddedOptions { dir, partitions: 1, retention_ms: 0, accept_clock_jump: false, clock })
}

/// A log of a few records, some in a table file, some in the WAL as a crash leaves it if it is not closed in order.
fn small_log(dir: &Path, original: &Path, close: bool) {
    let record = |n: u64| vec![NewRecord::new("key", format!("value {n}"))];
    let log = open_log(dir.to_owned()).unwrap();
    (0..3).for_each(|n| drop(log.append_blocking(Topic::Reads, 0, record(n)).unwrap()));
    log.close().unwrap();
    drop(log);
    let log = open_log(dir.to_owned()).unwrap();
    (3..8).for_each(|n| drop(log.append_blocking(Topic::Reads, 0, record(n)).unwrap()));
    if close {
        log.close().unwrap();
        drop(log);
    }
    copy(dir, original);
}

/// All that was acknowledged is there, or the log stays closed.
fn is_whole(flipped: &Path, name: &str) -> Outcome {
    let read = open_log(flipped.to_owned()).and_then(|log| log.read(Topic::Reads, 0, 0, usize::MAX, usize::MAX));
    match read {
        Ok(records) if records.len() == 8 => Ok(()),
        Ok(records) => Err(format!("{} of 8 records are left", records.len())),
        Err(error) if error.kind() == ErrorKind::Corrupt => named(name, &error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn r7_a_flipped_bit_of_the_logs_manifest_is_found_and_named() {
    let dir = dir::temporary();
    let original = dir.path().join("original");
    small_log(&dir.path().join("log"), &original, true);
    assert_eq!(is_whole(&original, ""), Ok(()));
    fs::remove_dir_all(&original).unwrap();
    copy(&dir.path().join("log"), &original);
    every_bit(&original, &["CURRENT", "MANIFEST"], is_whole);
}

#[test]
fn r7_a_flipped_bit_of_the_logs_wal_is_found_and_named() {
    let dir = dir::temporary();
    let (original, opened) = (dir.path().join("original"), dir.path().join("opened"));
    small_log(&dir.path().join("log"), &original, false);
    copy(&original, &opened);
    assert_eq!(is_whole(&opened, ""), Ok(()));
    every_bit(&original, &["CURRENT", "MANIFEST", ".log"], is_whole);
}
