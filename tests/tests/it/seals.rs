//! R7: a panic and damage seal the partition that meets them, whoever waits for it gets an answer, the others go on.

use std::path::Path;

use receipt_codec::row::{progress, stub};
use receipt_domain::event::ReadTarget;
use receipt_log::{Clock, Topic};
use receipt_projector::{Aside, Offsets, Partition, Phase, Projector, ProjectorError, Unserved};
use receipt_store::{Resources, Store};
use rocksdb::{DB, IteratorMode};
use tokio::{runtime::Runtime, sync::watch};

use crate::projector::{append, caught_up, group, id, message, open_log, read, receipt, sent, start};

/// The partition of this conversation is the one that is sealed; of the other one there is nothing in it.
const SEALED: &str = "g";

/// A row of a partition's store is put there, over what it has, while nobody has it open.
fn overwrite(dir: &Path, partition: u32, rows: impl FnOnce(&DB)) {
    let db = DB::open(&rocksdb::Options::default(), dir.join("receipts").join(partition.to_string())).unwrap();
    rows(&db);
}

/// A receipt that is counted once more makes the count overflow, and the fold panics.
fn counts_no_more(db: &DB) {
    let mut row = progress::decode(&db.get(progress::key()).unwrap().unwrap()).unwrap();
    row.receipts = u64::MAX;
    db.put(progress::key(), progress::encode(&row).unwrap()).unwrap();
}

/// Two conversations in two partitions, folded; then the partition of one is altered while it is stopped.
fn altered(dir: &Path, log: &receipt_log::Log, runtime: &Runtime, alter: impl FnOnce(&DB)) -> (Projector, String) {
    let home = log.partition_for(SEALED.as_bytes());
    let other = (0..).map(|n| format!("other{n}")).find(|key| log.partition_for(key.as_bytes()) != home).unwrap();
    for conversation in [SEALED, &other] {
        append(log, Topic::Conversations, conversation, vec![group(conversation, &["ann", "bob"])]);
        append(log, Topic::Conversations, conversation, vec![sent(conversation, 1)]);
    }
    let projector = start(dir, log, Clock::System, runtime);
    for partition in projector.partitions() {
        caught_up(runtime, log, partition);
    }
    runtime.block_on(projector.stop());
    overwrite(dir, home, alter);
    let projector = start(dir, log, Clock::System, runtime);
    for partition in projector.partitions() {
        assert_eq!(runtime.block_on(partition.settled()), Phase::Serving);
    }
    (projector, other)
}

fn of<'a>(projector: &'a Projector, log: &receipt_log::Log, conversation: &str) -> &'a Partition {
    &projector.partitions()[log.partition_for(conversation.as_bytes()) as usize]
}

#[test]
fn r7_a_panic_of_the_fold_seals_its_partition_answers_who_waits_and_leaves_the_others() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let log = open_log(dir.path(), 2, Clock::System);
    let (projector, other) = altered(dir.path(), &log, &runtime, counts_no_more);
    let sealed = of(&projector, &log, SEALED);
    // Who waits for the read that is not there yet.
    let end = Offsets { reads: 1, ..sealed.applied() };
    let waits = runtime.spawn({
        let sealed = sealed.clone();
        async move { sealed.reached(end).await }
    });
    append(&log, Topic::Reads, SEALED, vec![read(SEALED, "bob", ReadTarget::Messages(vec![message(1)]))]);
    let Err(Unserved::Sealed(why)) = runtime.block_on(waits).unwrap() else { panic!("{:?}", sealed.phase()) };
    assert!(why.starts_with("the partition's thread panicked: attempt to add with overflow; "), "{why}");
    assert!(why.ends_with("(it was at offset 0 of receipts.reads)"), "{why}");
    assert_eq!(sealed.serve(|_| ()), Err(Unserved::Sealed(why.clone())));
    let copied = sealed.checkpoint(&dir.path().join("copy"));
    assert!(matches!(&copied, Err(ProjectorError::Sealed(of_copy)) if *of_copy == why), "{copied:?}");
    // Nothing of it was written, and the others go on.
    assert_eq!(sealed.applied().reads, 0);
    append(&log, Topic::Reads, &other, vec![read(&other, "bob", ReadTarget::Messages(vec![message(1)]))]);
    caught_up(&runtime, &log, of(&projector, &log, &other));
    assert_eq!(receipt(of(&projector, &log, &other), &other, 1).read_count, 1);
    // A state that is right takes its place, and folds that read.
    rebuild(dir.path(), &log, &runtime, sealed);
    caught_up(&runtime, &log, sealed);
    assert_eq!(receipt(sealed, SEALED, 1).read_count, 1);
    runtime.block_on(projector.stop());
}

fn rebuild(dir: &Path, log: &receipt_log::Log, runtime: &Runtime, partition: &Partition) {
    let (_stop, stopped) = watch::channel(false);
    let (resources, dir) = (Resources::new(8 << 20, 8 << 20), dir.join("aside"));
    let aside =
        Aside { log, resources: &resources, dir: &dir, runtime: runtime.handle(), stopped: &stopped, snapshots: None };
    aside.rebuild_live(partition, |_| {}).unwrap();
}

#[test]
fn r7_a_partition_that_a_query_found_damaged_folds_no_more_and_gives_no_copy() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let log = open_log(dir.path(), 2, Clock::System);
    // What a query meets, and no fold of reads of another message does.
    let damage = |db: &DB| {
        let rows: Vec<_> = db.iterator(IteratorMode::Start).map(Result::unwrap).collect();
        let stubs = rows.into_iter().filter(|(key, _)| stub::decode_key(key).is_ok());
        stubs.for_each(|(key, _)| db.put(key, [0xff; 3]).unwrap());
    };
    let (projector, _) = altered(dir.path(), &log, &runtime, damage);
    let sealed = of(&projector, &log, SEALED);
    let found = sealed.serve(|store: &Store| store.view().unwrap().receipt(&id(SEALED), &message(1), None));
    let error = found.unwrap().expect_err("damaged");
    assert!(error.is_corruption(), "{error}");
    sealed.seal(error);
    let copied = sealed.checkpoint(&dir.path().join("copy"));
    assert!(matches!(&copied, Err(ProjectorError::Sealed(why)) if why.contains("damaged")), "{copied:?}");
    let Phase::Sealed(why) = sealed.phase() else { panic!("{:?}", sealed.phase()) };
    assert!(why.contains("damaged") && why.contains("receiptctl replay rebuild"), "{why}");
    rebuild(dir.path(), &log, &runtime, sealed);
    caught_up(&runtime, &log, sealed);
    assert_eq!(receipt(sealed, SEALED, 1).unread_count, 1);
    runtime.block_on(projector.stop());
}
