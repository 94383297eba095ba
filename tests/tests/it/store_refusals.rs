//! R7: a store that cannot be right stops, and says what is wrong and what mends it.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use receipt_codec::row::identity::Identity;
use receipt_domain::{event::AudienceSpec, id::UserId, settings::Settings};
use receipt_store::{MemberFilter, Resources, Store, StoreError};
use receipt_tests::{
    dir,
    feed::identity,
    pages::List,
    scenario::{Script, id, of_message, user},
};

const START_MS: u64 = 1_000_000_000;

fn open(dir: &Path, identity: &Identity) -> Result<Store, StoreError> {
    Store::open(dir, &Resources::new(1 << 20, 1 << 20), identity)
}

#[test]
fn r7_a_store_of_another_log_or_other_settings_is_refused() {
    let temporary = dir::temporary();
    let dir = temporary.path().join("receipts").join("0");
    let created = identity(Settings::default());
    fs::create_dir_all(&dir).unwrap();
    drop(open(&dir, &created).unwrap());
    let settings = created.settings;
    let with = |settings| Identity { settings, ..created.clone() };
    let anew = &format!("`rm -r {}`, and it is folded anew", dir.display());
    let data_dir = dir.ancestors().nth(2).unwrap().display();
    let rebuild = |settings: &str| format!("`receiptctl replay rebuild --data-dir {data_dir} {settings}`");
    let of_retention = &rebuild("--retention 5500ms --early-window 86400s --max-group-members 100000");
    let of_window = &rebuild("--retention 2592000s --early-window 9s --max-group-members 100000");
    let of_members = &rebuild("--retention 2592000s --early-window 86400s --max-group-members 7");
    let cases: [(Identity, [&str; 4]); 6] = [
        (
            Identity { log_id: [0xab; 16], origin: "cluster c, topic t 9".to_owned(), ..created.clone() },
            ["log topic t 7,", "with topic t 9;", "start with its own log", anew],
        ),
        (Identity { partition: 3, ..created.clone() }, ["partition", " 0,", " 3;", anew]),
        (Identity { partitions: 6, ..created.clone() }, ["partitions", " 1,", " 6;", anew]),
        (with(Settings { retention_ms: 5_500, ..settings }), ["retention", "2592000s", "5500ms", of_retention]),
        (with(Settings { early_window_ms: 9_000, ..settings }), ["early_window", "86400s", "9s", of_window]),
        (
            with(Settings { max_group_members: 7, ..settings }),
            ["max_group_members", "100000", "start with the stored value", of_members],
        ),
    ];
    for (asked, texts) in cases {
        let error = open(&dir, &asked).err().unwrap();
        assert!(matches!(error, StoreError::Mismatch { .. }), "{error:?}");
        assert!(!error.is_corruption());
        let message = error.to_string();
        for text in texts {
            assert!(message.contains(text), "{message}: {text}");
        }
    }
    // None of them has changed it.
    open(&dir, &created).unwrap();
}

#[test]
fn r7_a_store_in_use_is_refused() {
    let dir = dir::temporary();
    let identity = identity(Settings::default());
    let first = open(dir.path(), &identity).unwrap();
    let error = open(dir.path(), &identity).err().unwrap();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(&*dir.path().to_string_lossy()) && message.contains("in use"), "{message}");
    drop(first);
    open(dir.path(), &identity).unwrap();
}

#[test]
fn r7_another_failure_is_not_taken_for_a_lock() {
    let dir = dir::temporary();
    // Its lock is no file.
    fs::create_dir(dir.path().join("LOCK")).unwrap();
    let error = open(dir.path(), &identity(Settings::default())).err().unwrap();
    assert!(matches!(error, StoreError::RocksDb(_)), "{error}");
    assert!(error.to_string().contains("lock"), "{error}");
}

#[test]
fn r7_rows_without_an_identity_are_no_store() {
    let dir = dir::temporary();
    let database = rocksdb::DB::open_default(dir.path()).unwrap();
    database.put(receipt_codec::row::progress::key(), b"whatever").unwrap();
    drop(database);
    let error = open(dir.path(), &identity(Settings::default())).err().unwrap();
    assert!(error.is_corruption(), "{error}");
    assert!(error.to_string().contains("identity"), "{error}");
}

/// A store in one table file, with a message that many have read; all that is asked of it.
fn written(dir: &Path) -> PathBuf {
    let mut script = Script::new(Settings::default());
    let store = open(dir, &identity(script.settings)).unwrap();
    script.group(START_MS, "g", (0..300).map(user).collect());
    script.message(START_MS, "g", "m", &id("sender"), AudienceSpec::AllMembers);
    for n in 0..280 {
        script.read(START_MS + u64::from(n) * 700, "g", &user(n), None, of_message("m"));
    }
    script.fold_into(&store, 256);
    store.flush().unwrap();
    store.compact();
    drop(store);
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut tables: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "sst")).collect();
    assert_eq!(tables.len(), 1, "{tables:?}");
    tables.remove(0)
}

/// Every row, both lists, and everyone's state.
fn read_all(dir: &Path) -> Result<String, StoreError> {
    let store = open(dir, &identity(Settings::default()))?;
    let rows = store.rows().collect::<Result<Vec<_>, _>>()?;
    store.working_set()?;
    let mut view = store.view()?;
    let (conversation, message) = (id("g"), id("m"));
    let mut answers = Vec::new();
    for filter in [MemberFilter::Read, MemberFilter::Unread] {
        for latest_first in [false, true] {
            let list =
                List { conversation: &conversation, message: &message, asker: None, filter, latest_first, size: 1000 };
            answers.push(view.page(&list.request(None))?);
        }
    }
    let users: Vec<UserId> = (0..301).map(user).collect();
    let states = view.states(&conversation, &message, None, &users)?;
    Ok(format!("{rows:?} {answers:?} {states:?}"))
}

/// Opening a store changes its list of files, so each is opened in a copy.
fn copy(original: &Path) -> tempfile::TempDir {
    let dir = dir::temporary();
    for file in fs::read_dir(original).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

/// Flips a bit in many bytes of one file, each in a copy of the store. Whatever is asked then is answered rightly, or is
/// an error that says that the store is damaged. Returns how many were tried, and at how many it was an error.
fn damage(original: &Path, file: &Path, step: usize) -> (usize, usize) {
    let bytes = fs::read(file).unwrap();
    let intact = copy(original);
    let expected = read_all(intact.path()).unwrap();
    let (mut tried, mut found) = (0, 0);
    for at in (0..bytes.len()).step_by(step) {
        let dir = copy(original);
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(dir.path().join(file.file_name().unwrap()), &damaged).unwrap();
        let answer = catch_unwind(AssertUnwindSafe(|| read_all(dir.path())));
        let place = format!("with byte {at} of {} of {} damaged", bytes.len(), file.display());
        match answer.unwrap_or_else(|_| panic!("a panic, {place}")) {
            Ok(answer) => assert!(answer == expected, "a wrong answer, {place}"),
            Err(error) => {
                assert!(error.is_corruption(), "{error}, {place}");
                found += 1;
            }
        }
        tried += 1;
    }
    println!("{}: {found} of {tried} flipped bits are found, the others changed nothing", file.display());
    (tried, found)
}

#[test]
fn r7_a_damaged_table_is_an_error_and_never_a_wrong_answer() {
    let dir = dir::temporary();
    let original = dir.path().join("original");
    let table = written(&original);
    // All over the file: data blocks, filter, index, properties and footer.
    let (tried, found) = damage(&original, &table, 37);
    assert!(found > tried / 2);
}

#[test]
fn r7_a_damaged_list_of_files_is_an_error_and_never_a_wrong_answer() {
    let dir = dir::temporary();
    let original = dir.path().join("original");
    written(&original);
    let files = fs::read_dir(&original).unwrap().map(|file| file.unwrap().path());
    let manifest = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("MANIFEST");
    let manifests: Vec<PathBuf> = files.filter(manifest).collect();
    assert_eq!(manifests.len(), 1, "{manifests:?}");
    let (tried, found) = damage(&original, &manifests[0], 5);
    assert!(found > tried / 2);
}
