//! What holds of the model by itself, on any history.

use std::collections::BTreeSet;

use proptest::prelude::*;
use receipt_domain::event::Record;

use super::{
    Model,
    answers::{LogicalState, Receipt, Status},
};
use crate::history::histories;

fn receipts(state: &LogicalState) -> impl Iterator<Item = &Receipt> {
    let messages = state.conversations.values().flat_map(|conversation| conversation.messages.values());
    messages.filter_map(|message| if let Status::Kept(receipt) = &message.status { Some(receipt) } else { None })
}

proptest! {
    #![proptest_config(receipt_test_seed::config())]

    #[test]
    fn r3_counters_are_the_sets(history in histories()) {
        for conversations in [0, history.conversations.len() / 2, history.conversations.len()] {
            let conversations = &history.conversations[..conversations];
            let state = Model::at(&history.settings, conversations, &history.reads).state();
            for receipt in receipts(&state) {
                prop_assert_eq!(receipt.read_count, receipt.read.len());
                prop_assert_eq!(receipt.unread_count, receipt.unread.len());
                let (read, unread, left) = (receipt.read_count, receipt.unread_count, receipt.left_unread.len());
                prop_assert_eq!(receipt.audience_count, read + unread + left);
                prop_assert!(receipt.read_left_count <= receipt.read_count);
                let readers = receipt.read.iter().map(|reader| &reader.user);
                let all: Vec<_> = readers.chain(&receipt.unread).chain(&receipt.left_unread).collect();
                prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "nobody is listed twice");
                prop_assert!(receipt.peer.is_none() || all.len() <= 1, "a group of two, or a note to oneself");
                prop_assert!(receipt.read.is_sorted_by_key(|reader| reader.read_at_ms));
            }
        }
    }

    #[test]
    fn r1_order_within_reads_means_nothing(history in histories()) {
        let mut turned = history.reads.clone();
        turned.reverse();
        let [state, other] = [&history.reads, &turned]
            .map(|reads| Model::at(&history.settings, &history.conversations, reads).state());
        prop_assert_eq!(state, other);
    }

    #[test]
    fn r5_reading_twice_changes_nothing(history in histories()) {
        let twice: Vec<Record<_>> = history.reads.iter().chain(&history.reads).cloned().collect();
        let [state, other] = [&history.reads, &twice]
            .map(|reads| Model::at(&history.settings, &history.conversations, reads).state());
        prop_assert_eq!(state, other);
    }

    #[test]
    fn s21_another_read_takes_no_reader_away(history in histories()) {
        let fewer = &history.reads[..history.reads.len().saturating_sub(1)];
        let [before, after] = [fewer, &history.reads]
            .map(|reads| Model::at(&history.settings, &history.conversations, reads).state());
        for (before, after) in receipts(&before).zip(receipts(&after)) {
            for reader in &before.read {
                let still = after.read.iter().find(|still| still.user == reader.user);
                prop_assert!(still.is_some_and(|still| still.read_at_ms <= reader.read_at_ms));
            }
        }
    }

    #[test]
    fn the_last_stage_of_a_schedule_has_all(history in histories()) {
        let stages = history.stages();
        let end = stages.last().map_or((0, 0), |stage| (stage.conversations, stage.reads));
        prop_assert_eq!(end, (history.conversations.len(), history.reads.len()));
        for (topic, offsets) in [
            history.conversations.iter().map(|record| record.offset).collect::<Vec<_>>(),
            history.reads.iter().map(|record| record.offset).collect(),
        ].iter().enumerate() {
            prop_assert!(offsets.iter().copied().eq(0..offsets.len() as u64), "topic {}", topic);
        }
    }
}
