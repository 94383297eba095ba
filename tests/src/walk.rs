//! A history's stages taken with a real store, which goes back to an earlier one where the history says so.

use std::{collections::BTreeSet, fs, path::Path};

use receipt_domain::fold::Outcome;
use receipt_model::{
    History,
    history::{Action, Pick, Topic},
};
use receipt_store::{Resources, Store};

use crate::{
    dir,
    feed::{Input, batch, identity},
};

/// Readers at which a read set goes into chunks: few, so that small histories see both forms.
pub const INLINE_READERS_MAX: usize = 2;

/// Takes a history's actions one by one, each batch as one write; hands the store after each to `each`, with the batch's
/// picks and outcomes.
///
/// # Errors
/// The first that `each` returns.
///
/// # Panics
/// If a store can't be opened, read or written.
pub fn walk<E>(
    history: &History,
    resources: &Resources,
    mut each: impl FnMut(usize, &[(Pick, Outcome)], &Store) -> Result<(), E>,
) -> Result<(), E> {
    let dir = dir::temporary();
    let open = |name: &str| {
        Store::open(&dir.path().join(name), resources, &identity(history.settings)).expect("a store opens")
    };
    let stages = history.stages();
    let restored = stages.iter().filter_map(|stage| match stage.action {
        Action::Restore(after) => Some(after),
        Action::Batch(_) => None,
    });
    let restored: BTreeSet<usize> = restored.collect();
    let mut store = open("new");
    for (index, stage) in stages.iter().enumerate() {
        if restored.contains(&index) {
            store.checkpoint(&dir.path().join(format!("after-{index}"))).expect("a checkpoint");
        }
        let mut outcomes = Vec::new();
        match &stage.action {
            Action::Batch(picks) => {
                let inputs = picks.iter().map(|pick| input(history, *pick));
                outcomes = picks.iter().copied().zip(batch(&store, INLINE_READERS_MAX, inputs)).collect();
            }
            Action::Restore(after) => {
                drop(store);
                let name = format!("restored-{index}");
                copy(&dir.path().join(format!("after-{after}")), &dir.path().join(&name));
                store = open(&name);
            }
        }
        expire(&store, index);
        each(index, &outcomes, &store)?;
    }
    Ok(())
}

fn input(history: &History, pick: Pick) -> Input {
    match pick.topic {
        Topic::Conversations => Input::Conversations(history.conversations[pick.index].clone()),
        Topic::Reads => Input::Reads(history.reads[pick.index].clone()),
    }
}

/// After some stages, what is expired goes; so what follows must do without it.
fn expire(store: &Store, index: usize) {
    if index % 8 == 5 {
        store.flush().expect("a flush");
    }
    if index % 8 == 6 {
        store.compact();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory");
    for file in fs::read_dir(from).expect("a directory") {
        let file = file.expect("a file");
        fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
    }
}
