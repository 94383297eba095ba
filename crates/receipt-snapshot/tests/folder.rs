//! Snapshots in a folder, and what may go wrong with one.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use receipt_domain::settings::Settings;
use receipt_snapshot::{
    Created, Facts, Place, Position, Snapshot, SnapshotError, Unit, create, keep, list, newest_created_ms, restore,
    verify,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const UNIT: Unit = Unit::Receipts(1);
const FILES: [(&str, usize); 4] =
    [("000012.sst", 3_000_000), ("CURRENT", 16), ("MANIFEST-000005", 300), ("OPTIONS-000007", 0)];

struct Site {
    dir: TempDir,
    runtime: Runtime,
}

impl Site {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let site = Self { dir: tempfile::tempdir().unwrap(), runtime };
        fs::create_dir(site.store()).unwrap();
        for (name, bytes) in FILES {
            fs::write(site.store().join(name), content(name, bytes)).unwrap();
        }
        site
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("place/deep")
    }

    fn back(&self) -> PathBuf {
        self.dir.path().join("back/1")
    }

    fn place(&self) -> Place {
        let url = format!("file://{}", self.folder().display());
        Place::open(&url, self.runtime.handle().clone()).unwrap()
    }

    fn create(&self, offset: u64) -> Created {
        create(&self.place(), &facts(offset), &self.store(), &mut |_| true).unwrap()
    }

    fn assert_restored(&self, into: &Path) {
        let mut names: Vec<_> =
            fs::read_dir(into).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, FILES.map(|(name, _)| name));
        for name in names {
            assert!(fs::read(into.join(&name)).unwrap() == fs::read(self.store().join(&name)).unwrap(), "{name}");
        }
    }
}

fn content(name: &str, bytes: usize) -> Vec<u8> {
    name.bytes().cycle().enumerate().map(|(at, byte)| byte ^ (at >> 8).to_le_bytes()[0]).take(bytes).collect()
}

fn facts(offset: u64) -> Facts {
    let at = |topic: &str, offset| Position { topic: topic.to_owned(), partition: 1, start: 0, offset };
    Facts {
        log_id: "0a".to_owned(),
        origin: "embedded log 0a".to_owned(),
        unit: UNIT,
        partitions: 2,
        positions: vec![at("receipts.conversations", offset), at("receipts.reads", 7)],
        log_time_ms: 9,
        settings: Some(Settings::default()),
    }
}

/// The only object of a snapshot whose name begins so.
fn object(site: &Site, snapshot: &Snapshot, beginning: &str) -> PathBuf {
    let dir = site.folder().join(snapshot.to_string());
    let mut found = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    found.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(beginning)).unwrap()
}

fn is_refused(result: Result<impl Sized, SnapshotError>, said: &str) {
    let error = result.err().expect("a refusal");
    let fits = matches!(error, SnapshotError::Refused(_) | SnapshotError::Corrupt { .. });
    assert!(fits && error.to_string().contains(said), "{error}");
}

#[test]
fn what_is_restored_is_what_was_there() {
    let site = Site::new();
    assert_eq!(list(&site.place(), None).unwrap(), [], "no folder yet");
    let created = site.create(12);
    assert_eq!((created.was_there, created.files, created.bytes, created.put_bytes), (false, 4, 3_000_316, 3_000_316));
    let again = site.create(12);
    assert_eq!(again, Created { was_there: true, put_bytes: 0, ..created.clone() });
    assert_eq!(list(&site.place(), Some("0a")).unwrap(), std::slice::from_ref(&created.snapshot));
    assert_eq!(list(&site.place(), Some("0b")).unwrap(), []);

    let manifest = verify(&site.place(), &created.snapshot, &mut |_| true).unwrap();
    assert_eq!((&manifest.facts, manifest.files.len()), (&facts(12), 4));
    let mut told = 0;
    let restored = restore(&site.place(), &created.snapshot, &site.back(), &mut |bytes| {
        told += bytes;
        true
    });
    let restored = restored.unwrap();
    assert_eq!((restored.fetched_bytes, told, restored.manifest), (3_000_316, 3_000_316, manifest));
    site.assert_restored(&site.back());
}

/// After every so many steps, until it gets through.
fn interrupted<T>(mut attempt: impl FnMut(&mut dyn FnMut(u64) -> bool) -> Result<T, SnapshotError>) -> (T, usize) {
    for steps in 0_usize.. {
        let mut left = steps;
        let ended = attempt(&mut |_| {
            left = left.wrapping_sub(1);
            left != usize::MAX
        });
        match ended {
            Err(SnapshotError::Stopped) => {}
            ended => return (ended.unwrap(), steps),
        }
    }
    unreachable!()
}

#[test]
fn interrupted_anywhere_both_go_on() {
    let site = Site::new();
    let place = site.place();
    let (created, steps) = interrupted(|told| {
        assert_eq!(list(&place, None).unwrap(), [], "none before it is complete");
        create(&place, &facts(12), &site.store(), told)
    });
    assert!(steps > 5 && created.put_bytes < created.bytes, "after {steps} steps: {created:?}");
    fs::create_dir_all(site.back()).unwrap();
    fs::write(site.back().join("000099.sst"), "of something else").unwrap();
    let (restored, steps) = interrupted(|told| restore(&place, &created.snapshot, &site.back(), told));
    assert!(steps > 5 && restored.fetched_bytes < created.bytes, "after {steps} steps: {restored:?}");
    site.assert_restored(&site.back());
}

#[test]
fn a_flipped_bit_is_found_and_named() {
    let site = Site::new();
    let snapshot = site.create(12).snapshot;
    let damaged = object(&site, &snapshot, "000012.sst-");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[2_000_000] ^= 0x10;
    fs::write(&damaged, bytes).unwrap();
    let hash = damaged.file_name().unwrap().to_str().unwrap().split_once('-').unwrap().1.to_owned();
    for said in ["its file 000012.sst-", &format!("the hash {hash}"), "has 3000000 bytes and the hash"] {
        is_refused(verify(&site.place(), &snapshot, &mut |_| true), said);
        is_refused(restore(&site.place(), &snapshot, &site.back(), &mut |_| true), said);
    }
}

#[test]
fn a_damaged_file_of_an_unfinished_snapshot_is_put_again() {
    let site = Site::new();
    let snapshot = site.create(12).snapshot;
    fs::remove_file(object(&site, &snapshot, "manifest.json")).unwrap();
    let damaged = object(&site, &snapshot, "CURRENT-");
    fs::write(&damaged, [0; 16]).unwrap();
    let created = site.create(12);
    assert_eq!((created.was_there, created.put_bytes), (false, 16));
    verify(&site.place(), &snapshot, &mut |_| true).unwrap();
}

#[test]
fn a_missing_file_is_named() {
    let site = Site::new();
    let snapshot = site.create(12).snapshot;
    fs::remove_file(object(&site, &snapshot, "MANIFEST-000005-")).unwrap();
    is_refused(verify(&site.place(), &snapshot, &mut |_| true), "its file MANIFEST-000005-");
    is_refused(restore(&site.place(), &snapshot, &site.back(), &mut |_| true), "is missing");
}

#[test]
fn a_newer_format_is_refused() {
    let site = Site::new();
    let snapshot = site.create(12).snapshot;
    let manifest = object(&site, &snapshot, "manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"format_version\": 1", "\"format_version\": 2")).unwrap();
    is_refused(snapshot.manifest(&site.place()), "has format 2, and this version knows up to 1: use the receiptctl");
    is_refused(restore(&site.place(), &snapshot, &site.back(), &mut |_| true), "has format 2");
}

#[test]
fn a_manifest_in_anothers_place_is_refused() {
    let site = Site::new();
    let (one, other) = (site.create(12).snapshot, site.create(13).snapshot);
    fs::copy(object(&site, &one, "manifest.json"), object(&site, &other, "manifest.json")).unwrap();
    is_refused(other.manifest(&site.place()), "manifest.json is that of 0a/receipts-1/00000000000000000012-");
}

#[test]
fn of_two_creators_one_wins() {
    let site = Site::new();
    let other = site.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("CURRENT"), "another").unwrap();
    let place = site.place();
    let (one, two) = std::thread::scope(|scope| {
        let of = |dir: PathBuf| {
            let place = place.clone();
            scope.spawn(move || create(&place, &facts(12), &dir, &mut |_| true).unwrap())
        };
        let (one, two) = (of(site.store()), of(other));
        (one.join().unwrap(), two.join().unwrap())
    });
    assert_ne!(one.was_there, two.was_there, "{one:?}, {two:?}");
    let manifest = verify(&place, &one.snapshot, &mut |_| true).unwrap();
    assert_eq!(manifest.files.len(), if one.was_there { 1 } else { 4 });
}

/// The one that has lost has put other files there, which take nobody's place.
#[test]
fn whoever_comes_last_finds_it_there() {
    let site = Site::new();
    let other = site.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("CURRENT"), "another").unwrap();
    let place = site.place();
    let mut first = None;
    let second = create(&place, &facts(12), &other, &mut |bytes| {
        if bytes > 0 {
            first.get_or_insert_with(|| site.create(12));
        }
        true
    });
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.was_there, second.was_there, second.files), (false, true, 4));
    assert_eq!(verify(&place, &second.snapshot, &mut |_| true).unwrap().files.len(), 4);
}

#[test]
fn the_newest_are_kept_and_what_is_left_over_goes() {
    let site = Site::new();
    let place = site.place();
    let snapshots: Vec<_> = [5, 9, 12].into_iter().map(|offset| site.create(offset).snapshot).collect();
    // One that is being made, one that was given up, and what its loser has left in a complete one.
    for (name, unfinished) in [("00000000000000000013-00000000000000000007", false), ("1-1", true)] {
        let dir = site.folder().join(format!("0a/{UNIT}/{name}"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("CURRENT-ab"), "unfinished").unwrap();
        if unfinished {
            grow_old(&dir);
        }
    }
    let last = site.folder().join(snapshots[2].to_string());
    fs::write(last.join("CURRENT-ab"), "unfinished").unwrap();
    grow_old(&last);

    let kept = keep(&place, "0a", UNIT, 2).unwrap();
    assert_eq!((kept.deleted, kept.leftover_bytes), (vec![snapshots[0].clone()], 20));
    assert_eq!(list(&place, None).unwrap(), snapshots[1..]);
    verify(&place, &snapshots[1], &mut |_| true).unwrap();
    verify(&place, &snapshots[2], &mut |_| true).unwrap();
    assert_eq!(fs::read_dir(site.folder().join(format!("0a/{UNIT}"))).unwrap().count(), 3);
    keep(&place, "0a", UNIT, 0).unwrap();
    assert_eq!(list(&place, None).unwrap(), snapshots[2..], "the newest stays whatever is asked");
}

fn grow_old(dir: &Path) {
    let then = SystemTime::now() - Duration::from_secs(25 * 3600);
    for file in fs::read_dir(dir).unwrap() {
        fs::File::options().write(true).open(file.unwrap().path()).unwrap().set_modified(then).unwrap();
    }
}

#[test]
fn what_is_no_place_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for text in ["", "gs://bucket", "s3://", "file://host/path"] {
        let opened = Place::open(text, runtime.handle().clone());
        assert!(matches!(opened, Err(SnapshotError::Invalid(_))), "{text}");
    }
}

/// Cuts a manifest in the middle, as a full disk or a broken copy does.
fn cut(site: &Site, snapshot: &Snapshot) {
    let manifest = object(site, snapshot, "manifest.json");
    let bytes = fs::read(&manifest).unwrap();
    fs::write(&manifest, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn a_damaged_snapshot_takes_no_whole_ones_place() {
    let site = Site::new();
    let place = site.place();
    let snapshots: Vec<_> = [5, 9, 12, 15, 18].into_iter().map(|offset| site.create(offset).snapshot).collect();
    // The newest by its manifest, the one before it by a file that is too short.
    cut(&site, &snapshots[4]);
    fs::write(object(&site, &snapshots[3], "000012.sst-"), "short").unwrap();
    let kept = keep(&place, "0a", UNIT, 2).unwrap();
    assert_eq!(kept.deleted, snapshots[..1]);
    assert_eq!(list(&place, None).unwrap(), snapshots[1..]);
    for whole in &snapshots[1..3] {
        verify(&place, whole, &mut |_| true).unwrap();
    }
    // A damaged one goes by its age, as the others do.
    cut(&site, &snapshots[1]);
    site.create(20);
    keep(&place, "0a", UNIT, 2).unwrap();
    assert_eq!(list(&place, None).unwrap()[..3], snapshots[2..]);
}

#[test]
fn where_none_is_whole_none_is_deleted() {
    let site = Site::new();
    let snapshots: Vec<_> = [5, 9].into_iter().map(|offset| site.create(offset).snapshot).collect();
    snapshots.iter().for_each(|snapshot| cut(&site, snapshot));
    assert_eq!(keep(&site.place(), "0a", UNIT, 1).unwrap().deleted, []);
    assert_eq!(list(&site.place(), None).unwrap(), snapshots);
}

#[test]
fn a_snapshot_whose_manifest_is_damaged_is_made_again() {
    let site = Site::new();
    let snapshot = site.create(12).snapshot;
    cut(&site, &snapshot);
    is_refused(verify(&site.place(), &snapshot, &mut |_| true), "is damaged");
    let created = site.create(12);
    assert_eq!((created.was_there, created.put_bytes), (false, 0), "its files are whole");
    verify(&site.place(), &snapshot, &mut |_| true).unwrap();
}

#[test]
fn when_the_newest_was_created_is_what_can_be_read() {
    let site = Site::new();
    let place = site.place();
    assert_eq!(newest_created_ms(&place, "0a").unwrap(), None);
    let (older, newer) = (site.create(5).snapshot, site.create(9).snapshot);
    let created = |snapshot: &Snapshot| snapshot.manifest(&place).unwrap().created_at_ms;
    let (older_ms, newer_ms) = (created(&older), created(&newer));
    assert_eq!(newest_created_ms(&place, "0a").unwrap(), Some(newer_ms));
    cut(&site, &newer);
    assert_eq!(newest_created_ms(&place, "0a").unwrap(), Some(older_ms));
    assert_eq!(newest_created_ms(&place, "0b").unwrap(), None);
}

#[test]
fn a_folder_that_does_not_exist_is_no_place_to_read_from() {
    let site = Site::new();
    let error = site.place().check_exists().unwrap_err().to_string();
    assert!(error.contains("there is no folder") && error.contains("place/deep"), "{error}");
    site.create(5);
    site.place().check_exists().unwrap();
}

/// Files are listed in any order, so that the manifest, which is deleted first, may be met last.
#[test]
fn what_is_deleted_already_is_no_fault() {
    for name in ["000012.sst", "CURRENT", "MANIFEST-000005", "OPTIONS-000007"] {
        let site = Site::new();
        for (other, _) in FILES.iter().filter(|(other, _)| *other != name) {
            fs::remove_file(site.store().join(other)).unwrap();
        }
        let old = site.create(5).snapshot;
        site.create(9);
        assert_eq!(keep(&site.place(), "0a", UNIT, 1).unwrap().deleted, [old]);
    }
}
