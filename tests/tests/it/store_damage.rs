//! One bit flipped anywhere in a store's table files: it is found and named, and never answered from. `every_bit` has the
//! other files that RocksDB reads.

use std::{
    fs,
    path::{Path, PathBuf},
};

use receipt_domain::{
    event::{AudienceSpec, ReadTarget},
    settings::Settings,
};
use receipt_store::{Resources, Store, StoreError};
use receipt_test_seed::seed;
use receipt_tests::{
    dir,
    feed::identity,
    files::copy,
    random::Random,
    scenario::{Script, id, of_message, user},
};

const AT_MS: u64 = 1_000_000_000;
const FLIPS: usize = 200;

fn resources() -> Resources {
    Resources::new(1 << 20, 1 << 20)
}

/// A store of several table files, some of them compacted.
fn written(dir: &Path) {
    let mut script = Script::new(Settings::default());
    let store = Store::open(dir, &resources(), &identity(script.settings)).unwrap();
    script.group(AT_MS, "g", (0..600).map(user).collect());
    for n in 0..40_u32 {
        let message = format!("m{n}");
        script.message(AT_MS + u64::from(n), "g", &message, &user(0), AudienceSpec::AllMembers);
        for reader in 1..20 + n * 8 {
            script.read(AT_MS + u64::from(n + reader * 700), "g", &user(reader), None, of_message(&message));
        }
        script.message(AT_MS + u64::from(n), "pair", &message, &id("alice"), AudienceSpec::Peer(id("bob")));
        script.read(AT_MS + u64::from(n), "pair", &id("bob"), None, ReadTarget::UpToMessage(id(&message)));
        if n % 10 == 9 {
            script.fold_into(&store, 256);
            store.flush().unwrap();
        }
        if n == 19 {
            store.compact();
        }
    }
}

/// The files with the store's rows.
fn tables(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut tables: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "sst")).collect();
    tables.sort();
    tables
}

/// As verify looks at a store: it is opened to be read only, its files are checked, and all rows read and compared.
fn verify(dir: &Path, right: &Store) -> Result<(), String> {
    let store =
        Store::open_read_only(dir, &resources(), &identity(Settings::default())).map_err(|why| why.to_string())?;
    store.check_files().map_err(|why| why.to_string())?;
    let (this, other) = (store.view().unwrap(), right.view().map_err(|why| why.to_string())?);
    let found = this.compare(&other, 1, |_| true).map_err(|why| why.to_string())?.expect("not stopped");
    let equal = found.differences == 0 && found.this.digest == found.other.digest;
    let offsets = (this.progress().conversations_offset, this.progress().reads_offset);
    if equal && offsets == (other.progress().conversations_offset, other.progress().reads_offset) {
        Ok(())
    } else {
        Err(format!("differences: {found:?}, at {offsets:?}"))
    }
}

/// As receiptd has a store: what it would answer from all rows.
fn live(dir: &Path) -> Result<String, StoreError> {
    let store = Store::open(dir, &resources(), &identity(Settings::default()))?;
    let view = store.view()?;
    let (at, digest) = (view.progress().clone(), view.digest()?);
    Ok(format!("{at:?} {digest}"))
}

#[test]
fn r7_a_flipped_bit_is_found_and_named_and_never_answered_from() {
    let mut random = Random::new(seed());
    let dir = dir::temporary();
    let original = dir.path().join("original");
    written(&original);
    let right = live(&original).unwrap();
    let store = Store::open_read_only(&original, &resources(), &identity(Settings::default())).unwrap();
    assert_eq!(verify(&original, &store), Ok(()));
    let files = tables(&original);
    assert!(files.len() >= 3, "{files:?}");
    let mut unnoticed = Vec::new();
    for _ in 0..FLIPS {
        // Small files as often as large ones, and the end of each, where the blocks are that describe it.
        let file = random.one_of(&files);
        let name = file.file_name().unwrap().to_str().unwrap();
        let bytes = fs::metadata(file).unwrap().len();
        let back = if random.below(2) == 0 { random.below(bytes) } else { random.below(bytes.min(4096)) };
        let (at, bit) = (usize::try_from(bytes - 1 - back).unwrap(), random.below(8));
        let place = format!("bit {bit} of byte {at} of the {bytes} of {name}");
        let (read_only, opened) = (dir.path().join("read-only"), dir.path().join("opened"));
        for copied in [&read_only, &opened] {
            copy(&original, copied);
            let mut content = fs::read(file).unwrap();
            content[at] ^= 1 << bit;
            fs::write(copied.join(name), content).unwrap();
        }
        match verify(&read_only, &store) {
            Ok(()) => unnoticed.push(place.clone()),
            Err(said) => assert!(said.contains(name), "{place}: {said}"),
        }
        match live(&opened) {
            Ok(answers) => assert_eq!(answers, right, "{place}"),
            Err(error) => println!("{place}: {error}"),
        }
        fs::remove_dir_all(&read_only).unwrap();
        fs::remove_dir_all(&opened).unwrap();
    }
    assert_eq!(unnoticed, Vec::<String>::new());
}
