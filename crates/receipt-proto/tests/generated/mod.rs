//! Valid domain events, generated.

use proptest::{collection::vec, option, prelude::*};
use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, Policy, ReadEvent, ReadTarget},
    id::Id,
    limits::TIME_MAX_MS,
};

fn id<const MAX: usize, const KIND: char>() -> impl Strategy<Value = Id<MAX, KIND>> {
    "[^\\p{Cc}]{1,30}".prop_map(|text| Id::new(&text).expect("a valid id"))
}

fn change() -> impl Strategy<Value = Change> {
    let audience = prop_oneof![
        id().prop_map(AudienceSpec::Peer),
        Just(AudienceSpec::AllMembers),
        vec(id(), 0..5).prop_map(AudienceSpec::Listed),
    ];
    prop_oneof![
        (id(), vec(id(), 0..5)).prop_map(|(group_type, members)| Change::GroupCreated { group_type, members }),
        vec(id(), 0..5).prop_map(Change::MembersAdded),
        vec(id(), 0..5).prop_map(Change::MembersRemoved),
        Just(Change::GroupDismissed),
        (id(), id(), any::<bool>(), audience).prop_map(|(message, sender, need_read_receipt, audience)| {
            Change::MessageSent { message, sender, need_read_receipt, audience }
        }),
        id().prop_map(|message| Change::MessageRecalled { message }),
    ]
}

/// Any event of receipts.conversations.
pub(crate) fn arbitrary_event() -> impl Strategy<Value = Event> {
    let conversation = (id(), option::of(0..=TIME_MAX_MS), any::<u64>(), change()).prop_map(
        |(conversation, occurred_at_ms, version, change)| {
            Event::Conversation(ConversationEvent { conversation, occurred_at_ms, version, change })
        },
    );
    prop_oneof![
        8 => conversation,
        1 => Just(Event::Tick),
        1 => Just(Event::PolicyChanged(Policy::EveryGroupType)),
        1 => vec(id(), 0..5).prop_map(|types| Event::PolicyChanged(Policy::GroupTypes(types))),
    ]
}

/// Any event of receipts.reads.
pub(crate) fn arbitrary_read() -> impl Strategy<Value = ReadEvent> {
    let target = prop_oneof![
        vec(id(), 1..=100).prop_map(ReadTarget::Messages),
        id().prop_map(ReadTarget::UpToMessage),
        (0..=TIME_MAX_MS).prop_map(ReadTarget::UpToTime),
    ];
    (id(), id(), option::of(0..=TIME_MAX_MS), target).prop_map(|(conversation, reader, read_at_ms, target)| ReadEvent {
        conversation,
        reader,
        read_at_ms,
        target,
    })
}
