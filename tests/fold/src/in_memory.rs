//! The fold with a whole partition in memory, driven through a history's stages.

use receipt_domain::{
    effects::Effects,
    fold::{Advance, Fold, Outcome},
    settings::Settings,
    working_set::WorkingSet,
};
use receipt_model::{
    History,
    history::{Action, Pick, Topic},
};

const NOT_NEEDED: &str = "with everything in memory, the fold asks for";

/// A fold with no store below it. Read sets go into chunks early, so that small histories see both forms.
#[must_use]
pub fn fold(settings: Settings) -> Fold {
    Fold::new(settings, WorkingSet::in_memory()).with_inline_readers_max(2)
}

fn take(fold: &mut Fold, history: &History, pick: Pick) {
    match pick.topic {
        Topic::Conversations => fold.take_conversations(history.conversations[pick.index].clone()),
        Topic::Reads => fold.take_reads(history.reads[pick.index].clone()),
    }
}

/// Folds one record to its end.
///
/// # Panics
/// If the fold asks for a row, as there are none but those in memory.
pub fn step(fold: &mut Fold, history: &History, pick: Pick) -> Outcome {
    take(fold, history, pick);
    loop {
        match fold.advance() {
            Advance::Needs(needs) => panic!("{NOT_NEEDED} {needs:?}"),
            Advance::Stepped => {}
            Advance::Done(outcome) => return outcome,
        }
    }
}

/// As [`step`], but after so many of its steps, where the rows may be written, it goes on from those rows alone, as after
/// a crash. Says so, too.
fn step_with_crash(fold: &mut Fold, history: &History, pick: Pick, crash_after: usize) -> (Outcome, bool) {
    take(fold, history, pick);
    let mut steps = 0;
    loop {
        match fold.advance() {
            Advance::Needs(needs) => panic!("{NOT_NEEDED} {needs:?}"),
            Advance::Stepped => {
                steps += 1;
                if steps > crash_after && fold.may_pause() {
                    *fold = self::fold(history.settings).with_rows(fold.rows.clone());
                    return (step(fold, history, pick), true);
                }
            }
            Advance::Done(outcome) => return (outcome, false),
        }
    }
}

/// Brings all messages up to date with their group's leave log, in slices of so many messages.
///
/// # Panics
/// If the fold asks for a row, or a pass does not end.
pub fn sweep(fold: &mut Fold, slice: usize) {
    let pending = |fold: &Fold| fold.rows.sweeps.rows().map(|(number, sweep)| (*number, sweep.next)).next();
    let mut slices = 0;
    while let Some((number, next)) = pending(fold) {
        let of_group = fold.rows.messages.rows().filter(|((of, position), _)| *of == number && *position <= next);
        let mut positions: Vec<_> = of_group.map(|((_, position), _)| *position).collect();
        positions.sort_unstable_by(|a, b| b.cmp(a));
        let mut ended = positions.len() < slice;
        positions.truncate(slice);
        let mut next = next;
        for position in &positions {
            let is_kept = fold.sweep(number, *position).unwrap_or_else(|needs| panic!("{NOT_NEEDED} {needs:?}"));
            next = position.saturating_sub(1);
            ended |= !is_kept;
        }
        let swept = fold.swept(number, next, positions.len() as u64, ended);
        swept.unwrap_or_else(|needs| panic!("{NOT_NEEDED} {needs:?}"));
        slices += 1;
        assert!(slices < 10_000, "a pass does not end");
    }
}

/// Takes a history's actions one by one; hands each batch's picks and outcomes to `each`, and the rows after it. Some
/// records are folded on from rows that were written while they were in hand, and after some batches messages are brought
/// up to date with their group's leave log: neither shows.
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
        let (mut outcomes, mut whole) = (Vec::new(), true);
        match &stage.action {
            Action::Restore(after) => fold.rows = rows[*after].clone(),
            Action::Batch(picks) => {
                fold.rows = rows[index].clone();
                for pick in picks {
                    let (outcome, crashed) = step_with_crash(&mut fold, history, *pick, (index + pick.index) % 4);
                    // What follows from it is in part of before the crash.
                    whole &= !crashed;
                    outcomes.push((*pick, outcome));
                }
                if index % 3 == 0 {
                    sweep(&mut fold, 1 + index % 5);
                }
            }
        }
        if !whole {
            fold.effects = Effects::default();
        }
        each(index, &outcomes, &fold)?;
        fold.rows.settle();
        rows.push(fold.rows);
    }
    Ok(())
}
