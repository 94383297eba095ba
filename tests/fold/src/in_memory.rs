//! The fold with a whole partition in memory, driven through a history's stages.

use receipt_domain::{
    fold::{Advance, Fold, Outcome},
    settings::Settings,
    working_set::WorkingSet,
};
use receipt_model::{
    History,
    history::{Action, Pick, Topic},
};

/// A fold with no store below it. Read sets go into chunks early, so that small histories see both forms.
#[must_use]
pub fn fold(settings: Settings) -> Fold {
    Fold::new(settings, WorkingSet::in_memory()).with_inline_readers_max(2)
}

/// Folds one record to its end.
///
/// # Panics
/// If the fold asks for a row, as there are none but those in memory.
pub fn step(fold: &mut Fold, history: &History, pick: Pick) -> Outcome {
    match pick.topic {
        Topic::Conversations => fold.take_conversations(history.conversations[pick.index].clone()),
        Topic::Reads => fold.take_reads(history.reads[pick.index].clone()),
    }
    loop {
        match fold.advance() {
            Advance::Needs(needs) => panic!("needs {needs:?}, with everything in memory"),
            Advance::Stepped => {}
            Advance::Done(outcome) => return outcome,
        }
    }
}

/// Takes a history's actions one by one; hands each batch's picks and outcomes to `each`, and the rows after it.
///
/// # Errors
/// The first that `each` returns.
pub fn walk<E>(
    history: &History,
    mut each: impl FnMut(usize, &[(Pick, Outcome)], &Fold) -> Result<(), E>,
) -> Result<(), E> {
    let mut rows = vec![WorkingSet::in_memory()];
    for (index, stage) in history.stages().iter().enumerate() {
        let mut fold = fold(history.settings);
        let mut outcomes = Vec::new();
        match &stage.action {
            Action::Restore(after) => fold.rows = rows[*after].clone(),
            Action::Batch(picks) => {
                fold.rows = rows[index].clone();
                outcomes = picks.iter().map(|pick| (*pick, step(&mut fold, history, *pick))).collect();
            }
        }
        each(index, &outcomes, &fold)?;
        fold.rows.settle();
        rows.push(fold.rows);
    }
    Ok(())
}
