//! S26: readers of large sets in the order of their times, in whatever order they came.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use receipt_domain::{event::AudienceSpec, settings::Settings};
use receipt_fold_tests::runner::{check, histories_wanted};
use receipt_store::{MemberFilter, Resources, Store};
use receipt_tests::{
    dir,
    feed::identity,
    pages::List,
    scenario::{Script, id, of_message, user},
    whole::whole,
};

const START_MS: u64 = 1_000_000_000;
/// Of every read: behind all their times, so that those stand (S20).
const ARRIVAL_MS: u64 = START_MS + 4_000_000;

/// Folds reads, each of a member and a second after the message, in batches of so many.
fn readers_in_order(reads: &[(u32, u32)], members: u32, batch: usize) -> Result<(), TestCaseError> {
    let dir = dir::temporary();
    let mut script = Script::new(Settings::default());
    let store = Store::open(dir.path(), &Resources::new(1 << 20, 1 << 20), &identity(script.settings)).unwrap();
    let sender = id("sender");
    script.group(START_MS, "g", (0..members).map(user).collect());
    script.message(START_MS, "g", "m", &sender, AudienceSpec::AllMembers);
    let mut earliest = BTreeMap::new();
    for batch in reads.chunks(batch) {
        for (reader, second) in batch {
            let read_at_ms = START_MS + u64::from(*second) * 1000;
            script.read(ARRIVAL_MS, "g", &user(*reader), Some(read_at_ms), of_message("m"));
            let earliest = earliest.entry(*reader).or_insert(*second);
            *earliest = (*second).min(*earliest);
        }
        script.fold_into(&store, 2);
    }
    // Chunks and index agree.
    let _ = whole(&store);
    let mut wanted: Vec<(u32, u32)> = earliest.into_iter().map(|(reader, second)| (second, reader)).collect();
    wanted.sort_unstable();
    let (conversation, message) = (id("g"), id("m"));
    let filter = MemberFilter::Read;
    let list =
        List { conversation: &conversation, message: &message, asker: None, filter, latest_first: false, size: 700 };
    let mut view = store.view().unwrap();
    let mut latest_first = List { latest_first: true, ..list }.walk(&mut view);
    latest_first.reverse();
    let walked = list.walk(&mut view);
    prop_assert_eq!(&walked, &latest_first, "latest first is the exact reverse");
    let second = |member: &receipt_store::Member| member.read_at_ms.map(|ms| ((ms - START_MS) / 1000) as u32);
    let walked: Vec<_> = walked.iter().map(|member| (second(member), member.user.clone())).collect();
    let wanted: Vec<_> = wanted.into_iter().map(|(second, reader)| (Some(second), user(reader))).collect();
    prop_assert_eq!(walked, wanted);
    Ok(())
}

#[test]
fn s26_readers_who_come_with_ever_earlier_times() {
    let reads: Vec<(u32, u32)> = (0..3000).map(|n| (n, 3000 - n)).collect();
    readers_in_order(&reads, 3000, 1000).unwrap();
}

#[test]
fn s26_readers_who_come_in_order() {
    let reads: Vec<(u32, u32)> = (0..3000).map(|n| (n, n / 7)).collect();
    readers_in_order(&reads, 3000, 999).unwrap();
}

#[test]
fn s18_s26_readers_who_come_in_any_order_and_again_with_earlier_times() {
    let reads = (1..4000_u32).prop_flat_map(|seconds| vec((0..3000_u32, 0..seconds), 0..12_000));
    let strategy = (reads, 100..6000_usize);
    check("large read sets", histories_wanted(2_000) / 20, &strategy, |(reads, batch)| {
        readers_in_order(&reads, 3000, batch)
    });
}
