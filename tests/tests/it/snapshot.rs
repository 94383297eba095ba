//! Snapshots in a real S3-compatible object store.

use std::{
    fs,
    path::{Path, PathBuf},
};

use receipt_snapshot::{Facts, Place, Position, SnapshotError, Unit, create, keep, list, restore, verify};
use receipt_tests::object_store::ObjectStore;
use tempfile::TempDir;
use tokio::{runtime::Handle, task::spawn_blocking};

/// Over what is put in one request, so that it goes in parts.
const LARGE_BYTES: usize = 40 << 20;

fn facts(offset: u64) -> Facts {
    let at = Position { topic: "receipts.deltas".to_owned(), partition: 0, start: 0, offset };
    Facts {
        log_id: "0a".to_owned(),
        origin: "embedded log 0a".to_owned(),
        unit: Unit::Inboxes(0),
        partitions: 1,
        positions: vec![at],
        log_time_ms: 9,
        settings: None,
    }
}

fn store(dir: &TempDir, name: &str, first: u8) -> PathBuf {
    let store = dir.path().join(name);
    fs::create_dir(&store).unwrap();
    let content: Vec<u8> = (0..LARGE_BYTES).map(|at| first ^ (at >> 10).to_le_bytes()[0]).collect();
    fs::write(store.join("000012.sst"), content).unwrap();
    fs::write(store.join("CURRENT"), [first]).unwrap();
    fs::write(store.join("OPTIONS-000003"), []).unwrap();
    store
}

fn assert_same(one: &Path, other: &Path) {
    for name in ["000012.sst", "CURRENT", "OPTIONS-000003"] {
        assert!(fs::read(one.join(name)).unwrap() == fs::read(other.join(name)).unwrap(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_keeps_what_it_is_given_once() {
    let server = ObjectStore::start().await;
    let (url, environment, files) = (server.url(), server.environment(), server.files());
    let place = Place::open_within(&url, environment.into_iter(), Handle::current()).unwrap();
    let test = move || {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (store(&dir, "one", 1), store(&dir, "other", 2));
        assert_eq!(list(&place, None).unwrap(), []);

        // Interrupted between two parts; and the other one's comes first, while this one is on its way.
        let mut left = 20;
        let stopped = create(&place, &facts(5), &one, &mut |bytes| {
            left -= u32::from(bytes > 0);
            left > 0
        });
        assert!(matches!(stopped, Err(SnapshotError::Stopped)), "{stopped:?}");
        assert_eq!(list(&place, None).unwrap(), [], "no manifest, no snapshot");
        let mut first = None;
        let second = create(&place, &facts(5), &other, &mut |bytes| {
            if bytes > 0 {
                first.get_or_insert_with(|| create(&place, &facts(5), &one, &mut |_| true).unwrap());
            }
            true
        });
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((first.was_there, second.was_there), (false, true), "If-None-Match");
        assert_eq!(list(&place, Some("0a")).unwrap(), std::slice::from_ref(&first.snapshot));

        let mut left = 20;
        let stopped = restore(&place, &first.snapshot, &dir.path().join("back"), &mut |bytes| {
            left -= u32::from(bytes > 0);
            left > 0
        });
        assert!(matches!(stopped, Err(SnapshotError::Stopped)), "{stopped:?}");
        restore(&place, &first.snapshot, &dir.path().join("back"), &mut |_| true).unwrap();
        assert_same(&one, &dir.path().join("back"));
        let again = restore(&place, &first.snapshot, &dir.path().join("back"), &mut |_| true).unwrap();
        assert_eq!(again.fetched_bytes, 0);

        for offset in [6, 7] {
            create(&place, &facts(offset), &other, &mut |_| true).unwrap();
        }
        let kept = keep(&place, "0a", Unit::Inboxes(0), 2).unwrap();
        assert_eq!(kept.deleted, [first.snapshot]);
        let left = list(&place, None).unwrap();
        assert_eq!(left.len(), 2);
        verify(&place, &left[0], &mut |_| true).unwrap();
        flip(&files.join(left[1].to_string()));
        let error = verify(&place, &left[1], &mut |_| true).unwrap_err().to_string();
        assert!(error.contains("its file 000012.sst-"), "{error}");
    };
    spawn_blocking(test).await.unwrap();
}

/// Flips a bit in the middle of the largest file.
fn flip(dir: &Path) {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let largest = files.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&largest, bytes).unwrap();
}

/// With what to look at.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_that_is_not_there_is_told_of() {
    let environment = [("AWS_ENDPOINT", "http://127.0.0.1:1"), ("AWS_ALLOW_HTTP", "true"), ("AWS_ACCESS_KEY_ID", "a")];
    let more = [("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_REGION", "us-east-1")];
    let environment = environment.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let place = Place::open_within("s3://bucket", environment, Handle::current()).unwrap();
    let error = spawn_blocking(move || list(&place, None)).await.unwrap().unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, SnapshotError::Unavailable { .. }) && said.starts_with("s3://bucket: listing"), "{said}");
}
