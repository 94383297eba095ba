//! Records folded into a real store, a batch a write, as a projector does it.

use receipt_codec::row::identity::Identity;
use receipt_domain::{
    event::{Event, ReadEvent, Record},
    fold::{Advance, Fold, Outcome},
    settings::Settings,
};
use receipt_store::Store;

/// A record of one of the two input topics.
#[derive(Debug, Clone)]
pub enum Input {
    /// Of receipts.conversations.
    Conversations(Record<Event>),
    /// Of receipts.reads.
    Reads(Record<ReadEvent>),
}

/// What a test's store is created for.
#[must_use]
pub fn identity(settings: Settings) -> Identity {
    Identity { log_id: [7; 16], partition: 0, partitions: 1, settings, origin: "cluster c, topic t 7".to_owned() }
}

/// A fold over a store. Read sets go into chunks at so many readers.
///
/// # Panics
/// If the store can't be read.
#[must_use]
pub fn fold(store: &Store, inline_readers_max: usize) -> Fold {
    let rows = store.working_set().expect("progress and policy");
    Fold::new(*store.settings(), rows).with_inline_readers_max(inline_readers_max)
}

/// Folds one record to its end, with rows from the store.
///
/// # Panics
/// If the store can't be read, or if rows are asked for again that were just loaded.
pub fn step(store: &Store, fold: &mut Fold, input: Input) -> Outcome {
    match input {
        Input::Conversations(record) => fold.take_conversations(record),
        Input::Reads(record) => fold.take_reads(record),
    }
    let mut before = Vec::new();
    loop {
        match fold.advance() {
            Advance::Done(outcome) => return outcome,
            Advance::Stepped => before.clear(),
            Advance::Needs(needs) => {
                assert_ne!(needs, before, "rows that were just loaded");
                store.load(&needs, &mut fold.rows).expect("rows");
                before = needs;
            }
        }
    }
}

/// Folds records as one batch and writes it.
///
/// # Panics
/// If the store can't be read or written.
pub fn batch(store: &Store, inline_readers_max: usize, inputs: impl IntoIterator<Item = Input>) -> Vec<Outcome> {
    let mut fold = fold(store, inline_readers_max);
    let outcomes = inputs.into_iter().map(|input| step(store, &mut fold, input)).collect();
    store.commit(&mut fold.rows).expect("one write");
    outcomes
}
