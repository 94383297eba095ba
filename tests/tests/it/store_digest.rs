//! The digest of a store's logical state: equal where the state is, whatever the batches and the order of the topics.

use proptest::prelude::*;
use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, ReadEvent, ReadTarget, Record},
    id::{ConversationId, GroupType, MessageId, UserId},
    settings::Settings,
};
use receipt_fold_tests::{
    logical::logical_state,
    runner::{check, histories_wanted},
};
use receipt_model::{History, LogicalState, histories};
use receipt_store::{Digest, Resources, Store};
use receipt_tests::{
    dir,
    feed::{Input, batch, identity},
    walk::{INLINE_READERS_MAX, walk},
    whole::whole,
};

fn digest(store: &Store) -> Digest {
    store.view().unwrap().digest().unwrap()
}

/// The digest of a store that has folded this from the beginning, one topic after the other, from a log whose offsets are
/// others, as they are on Kafka where transactions take some.
fn folded_at_once(history: &History, conversations: usize, reads: usize, resources: &Resources) -> Digest {
    let dir = dir::temporary();
    let store = Store::open(&dir.path().join("store"), resources, &identity(history.settings)).unwrap();
    let conversations = history.conversations[..conversations].iter().cloned().map(elsewhere).map(Input::Conversations);
    let reads = history.reads[..reads].iter().cloned().map(elsewhere).map(Input::Reads);
    batch(&store, INLINE_READERS_MAX, conversations);
    batch(&store, INLINE_READERS_MAX, reads);
    digest(&store)
}

fn elsewhere<E>(record: Record<E>) -> Record<E> {
    Record { offset: record.offset * 3 + 7, ..record }
}

/// Reads in the walk's order of batches or all at once: the digest is the same; and no two states that differ have one.
fn tells_states_apart(history: &History, resources: &Resources) -> Result<(), TestCaseError> {
    let stages = history.stages();
    let mut before: Option<(LogicalState, Digest)> = None;
    walk(history, resources, |index, _, store| {
        let now = digest(store);
        let state = logical_state(&whole(store), &history.settings);
        let state = state.map_err(|needs| TestCaseError::fail(format!("{needs:?}")))?;
        if let Some((other, digest)) = &before {
            prop_assert!(*other == state || *digest != now, "after stage {} of {:#?}", index, &stages);
        }
        if index + 1 == stages.len() || index % 16 == 9 {
            let stage = &stages[index];
            let at_once = folded_at_once(history, stage.conversations, stage.reads, resources);
            prop_assert_eq!(now, at_once, "after stage {} of {:#?}", index, &stages);
            store.flush().unwrap();
            store.compact();
            prop_assert_eq!(digest(store), now, "what is expired is not in it");
        }
        before = Some((state, now));
        Ok(())
    })
}

#[test]
fn equal_states_have_equal_digests_and_others_have_others() {
    let resources = Resources::new(1 << 20, 1 << 20);
    let wanted = histories_wanted(500);
    check("digests", wanted, &histories(), |history| tells_states_apart(&history, &resources));
}

/// A group of three and a message to it, and who has read that when.
fn with_reads(resources: &Resources, reads: &[(&str, u64)]) -> Digest {
    let (team, users) = (ConversationId::new("team").unwrap(), ["alice", "bob", "carol"].map(user));
    let changes = [
        Change::GroupCreated { group_type: GroupType::new("work").unwrap(), members: users.to_vec() },
        Change::MessageSent {
            message: MessageId::new("m1").unwrap(),
            sender: user("alice"),
            need_read_receipt: true,
            audience: AudienceSpec::AllMembers,
        },
    ];
    let event = |change| ConversationEvent { conversation: team.clone(), occurred_at_ms: None, version: 0, change };
    let events = changes.map(event).map(Event::Conversation);
    let read = |(reader, read_at_s): &(&str, u64)| ReadEvent {
        conversation: team.clone(),
        reader: user(reader),
        read_at_ms: Some(read_at_s * 1_000),
        target: ReadTarget::Messages(vec![MessageId::new("m1").unwrap()]),
    };
    let dir = dir::temporary();
    let settings = Settings { retention_ms: 0, early_window_ms: 0, max_group_members: 10 };
    let store = Store::open(&dir.path().join("store"), resources, &identity(settings)).unwrap();
    batch(&store, INLINE_READERS_MAX, records(events).map(Input::Conversations));
    batch(&store, INLINE_READERS_MAX, records(reads.iter().map(read)).map(Input::Reads));
    digest(&store)
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// All of them arrive at the same time.
fn records<E>(events: impl IntoIterator<Item = E>) -> impl Iterator<Item = Record<E>> {
    let record = |(offset, event)| Record { offset, arrival_ms: 1_000_000, event: Ok(event) };
    (0..).zip(events).map(record)
}

#[test]
fn one_receipt_that_differs_gives_another_digest() {
    let resources = Resources::new(1 << 20, 1 << 20);
    let states: [&[(&str, u64)]; 5] =
        [&[], &[("bob", 1_100)], &[("bob", 1_101)], &[("carol", 1_100)], &[("bob", 1_100), ("carol", 1_100)]];
    let digests = states.map(|reads| with_reads(&resources, reads));
    for (index, digest) in digests.iter().enumerate() {
        assert!(!digests[..index].contains(digest), "{:?} has the digest of another state", states[index]);
    }
    let again = with_reads(&resources, &[("bob", 1_100), ("bob", 1_200), ("bob", 1_100)]);
    assert_eq!(again, digests[1], "reading again changes nothing");
    assert_eq!(digests[0].to_string().len(), 64);
}
