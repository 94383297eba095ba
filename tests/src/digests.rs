//! Digests of a stopped receiptd's state, to compare two of them by.

use receipt_codec::row::identity;
use receipt_store::{Digest, Resources, Store};
use rocksdb::{DB, Options};

use crate::server::DataDir;

/// The digest of each partition's receipts, in the order of the partitions.
///
/// # Panics
/// If they can't be read, as while a receiptd has them.
#[must_use]
pub fn digests(dir: &DataDir) -> Vec<Digest> {
    let resources = Resources::new(1 << 24, 1 << 24);
    let stores = (0..).map(|partition| dir.path().join("receipts").join(format!("{partition}")));
    let digest = |store: std::path::PathBuf| {
        let db = DB::open_for_read_only(&Options::default(), &store, false).expect("a store");
        let identity = db.get(identity::key()).expect("a row").expect("an identity");
        drop(db);
        let identity = identity::decode(&identity).expect("an identity");
        let store = Store::open(&store, &resources, &identity).expect("a store");
        store.view().expect("its state").digest().expect("a digest")
    };
    stores.take_while(|store| store.is_dir()).map(digest).collect()
}
