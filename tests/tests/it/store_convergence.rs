//! R1 to R5 and R7 on RocksDB: for any interleaving, any batches, any records again and any crash, the store's state
//! equals the model's.

use proptest::prelude::*;
use receipt_domain::fold::Outcome;
use receipt_fold_tests::{
    logical::{logical_state, normalised},
    runner::{check, histories_wanted},
};
use receipt_model::{EventResult, History, Model, histories, history::Topic};
use receipt_store::Resources;
use receipt_tests::{walk::walk, whole::whole};

fn converges(history: &History, resources: &Resources) -> Result<(), TestCaseError> {
    let stages = history.stages();
    walk(history, resources, |index, outcomes, store| {
        let stage = &stages[index];
        let (conversations, reads) = (&history.conversations[..stage.conversations], &history.reads[..stage.reads]);
        let model = Model::at(&history.settings, conversations, reads);
        let state = logical_state(&whole(store), &history.settings);
        let state = state.map_err(|needs| TestCaseError::fail(format!("{needs:?}")))?;
        prop_assert_eq!(&state, &normalised(model.state()), "after stage {} of {:#?}", index, &stages);
        for (pick, outcome) in outcomes.iter().filter(|(_, outcome)| *outcome != Outcome::Skipped) {
            let same = match (pick.topic, model.results().get(pick.index)) {
                (Topic::Reads, _) | (_, None) => true,
                (_, Some(EventResult::Applied)) => *outcome == Outcome::Applied,
                (_, Some(EventResult::Repeated)) => *outcome == Outcome::Repeated,
                (_, Some(EventResult::Rejected(_))) => matches!(outcome, Outcome::Rejected(_)),
            };
            prop_assert!(same, "{:?}: {:?}, in the model {:?}", pick, outcome, model.results().get(pick.index));
        }
        Ok(())
    })
}

#[test]
fn r1_r2_the_store_equals_the_model() {
    let resources = Resources::new(1 << 20, 1 << 20);
    let wanted = histories_wanted(10_000);
    check("convergence on RocksDB", wanted, &histories(), |history| converges(&history, &resources));
}
