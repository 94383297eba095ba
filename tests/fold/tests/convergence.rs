//! R1, R3, R4, R5: for any interleaving, any batches, and any records again, the fold's state equals the model's, which
//! is a plain function of the two prefixes.

use proptest::prelude::*;
use receipt_domain::{
    answer::{Queries, ReceiptOutcome},
    effects::{Delta, DeltaChange},
    event::ReadTarget,
    fold::Outcome,
};
use receipt_fold_tests::{
    in_memory::walk,
    logical::{logical_state, normalised},
    runner::{check, histories_wanted},
};
use receipt_model::{EventResult, History, LogicalState, Model, Outcome as ModelOutcome, histories, history::Topic};

fn model_at<'a>(history: &'a History, conversations: usize, reads: usize) -> Model<'a> {
    Model::at(&history.settings, &history.conversations[..conversations], &history.reads[..reads])
}

fn same_outcome(ours: ReceiptOutcome, models: ModelOutcome) -> bool {
    matches!(
        (ours, models),
        (ReceiptOutcome::Pending, ModelOutcome::Pending)
            | (ReceiptOutcome::NotRequested, ModelOutcome::NotRequested)
            | (ReceiptOutcome::Expired, ModelOutcome::Expired)
            | (ReceiptOutcome::NotInAudience, ModelOutcome::NotInAudience)
            | (ReceiptOutcome::Read, ModelOutcome::Read)
    )
}

fn converges(history: &History) -> Result<(), TestCaseError> {
    let stages = history.stages();
    walk(history, |index, outcomes, fold| {
        let stage = &stages[index];
        let model = model_at(history, stage.conversations, stage.reads);
        let state = logical_state(&fold.rows, &history.settings).map_err(|n| TestCaseError::fail(format!("{n:?}")))?;
        prop_assert_eq!(&state, &normalised(model.state()), "after stage {} of {:#?}", index, &stages);
        for conversation in state.conversations.values() {
            for message in conversation.messages.values() {
                if let receipt_model::Status::Kept(receipt) = &message.status {
                    prop_assert_eq!(receipt.read_count, receipt.read.len(), "R3");
                    prop_assert_eq!(receipt.unread_count, receipt.unread.len(), "R3");
                }
            }
        }
        for (pick, outcome) in outcomes.iter().filter(|(_, outcome)| *outcome != Outcome::Skipped) {
            let same = match (pick.topic, model.results().get(pick.index)) {
                (Topic::Reads, _) | (_, None) => true,
                (_, Some(EventResult::Applied)) => *outcome == Outcome::Applied,
                (_, Some(EventResult::Repeated)) => *outcome == Outcome::Repeated,
                (_, Some(EventResult::Rejected(_))) => matches!(outcome, Outcome::Rejected(_)),
            };
            prop_assert!(same, "{:?}: {:?}, in the model {:?}", pick, outcome, model.results().get(pick.index));
        }
        deltas_agree(&fold.effects.deltas(&fold.rows, &history.settings, 0), &state, outcomes.len() == 1)?;
        outcomes_agree(history, stage.reads, &model, &Queries::new(&fold.rows, &history.settings))
    })
}

/// S32: after a batch, a delta tells its new readers with their earliest times; of a batch of one record, also the
/// message's counts as they are. In a larger one members may leave after what was told, and a sweep tells that.
fn deltas_agree(deltas: &[Delta], state: &LogicalState, of_one_record: bool) -> Result<(), TestCaseError> {
    for delta in deltas {
        let DeltaChange::Receipt { receipt, new_readers, .. } = &delta.change else { continue };
        let message = state.conversations.get(&receipt.conversation).and_then(|c| c.messages.get(&receipt.message));
        let Some(receipt_model::Status::Kept(kept)) = message.map(|message| &message.status) else { continue };
        if of_one_record {
            let told = (receipt.read_count as usize, receipt.unread_count as usize, receipt.recalled);
            prop_assert_eq!(told, (kept.read_count, kept.unread_count, kept.recalled), "S32: {:?}", delta);
            let told = (receipt.audience_count as usize, receipt.read_left_count as usize, receipt.kept_until_ms);
            let counted = (kept.audience_count, kept.read_left_count, kept.kept_until_ms);
            prop_assert_eq!(told, counted, "S24: {:?}", delta);
        }
        if receipt.kept_until_ms != kept.kept_until_ms {
            // An earlier use of the id.
            continue;
        }
        for (user, read_at_ms) in new_readers {
            let reader = kept.read.iter().find(|reader| reader.user == *user);
            prop_assert_eq!(reader.map(|reader| reader.read_at_ms), Some(*read_at_ms), "S20: {:?}", delta);
        }
    }
    Ok(())
}

/// S13: what each read so far is answered at this point.
fn outcomes_agree(
    history: &History,
    reads: usize,
    model: &Model<'_>,
    queries: &Queries<'_>,
) -> Result<(), TestCaseError> {
    for (index, record) in history.reads[..reads].iter().enumerate() {
        let Ok(read) = &record.event else { continue };
        let ours = match &read.target {
            ReadTarget::Messages(ids) => ids
                .iter()
                .map(|id| queries.outcome(&read.conversation, id, &read.reader, record.arrival_ms))
                .collect::<Result<Vec<_>, _>>(),
            ReadTarget::UpToMessage(id) => {
                queries.mark_outcome(&read.conversation, id, record.arrival_ms).map(|outcome| vec![outcome])
            }
            ReadTarget::UpToTime(_) => Ok(vec![ReceiptOutcome::Read]),
        };
        let ours = ours.map_err(|needs| TestCaseError::fail(format!("{needs:?}")))?;
        let models = model.outcomes(index);
        let same = ours.len() == models.len() && ours.iter().zip(&models).all(|(a, b)| same_outcome(*a, *b));
        prop_assert!(same, "S13, read {}: {:?}, in the model {:?}", index, ours, models);
    }
    Ok(())
}

#[test]
fn r1_r3_r4_r5_the_fold_equals_the_model_however_the_log_is_taken() {
    check("convergence in memory", histories_wanted(10_000), &histories(), |history| converges(&history));
}
