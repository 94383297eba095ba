//! How ops are drawn: often what has effect, always sometimes what has none.
//!
//! Strategies are boxed as they are put together: nested by value, they outgrow a test's stack.
//!
//! Conversations 0 and 1 are mostly groups and 2 is mostly one-to-one, between users 0 and 1; user 5 is seldom a
//! member, and a conversation 3 is only ever read.

use proptest::{collection::vec, prelude::*, sample::select};
use receipt_domain::settings::Settings;

use super::op::{
    Arrival, AudienceOp, ChangeOp, Content, MessageOp, Moment, Op, ReadContent, Shift, Span, TargetOp, VersionOp, What,
};

const PRIVATE: u8 = 2;
const UNKNOWN: u8 = 3;

pub(super) fn settings() -> BoxedStrategy<Settings> {
    // Some shorter than the five minutes of S20, one longer; a few seconds each, so that read times differ.
    let windows = prop_oneof![
        3 => select(vec![(4_000, 1_000), (4_000, 4_000), (2_500, 0), (1_000, 400), (1_000, 999)]),
        4 => select(vec![(20_000, 3_000), (20_000, 15_000), (60_000, 60_000)]),
        1 => select(vec![(700_000, 310_000), (700_000, 5_000)]),
        1 => select(vec![(0, 0), (0, 2_000), (0, 400_000)]),
    ];
    let max_group_members = prop_oneof![6 => Just(100_000), 2 => Just(4), 1 => Just(3)];
    (windows, max_group_members)
        .prop_map(|((retention_ms, early_window_ms), max_group_members)| Settings {
            retention_ms,
            early_window_ms,
            max_group_members,
        })
        .boxed()
}

pub(super) fn start_ms() -> impl Strategy<Value = u64> {
    // Not at a full second; and, sometimes, at the beginning of time.
    prop_oneof![9 => Just(10_000_900), 1 => Just(0)]
}

fn edge() -> impl Strategy<Value = i8> {
    prop_oneof![Just(0_i8), Just(1), Just(-1)]
}

/// How far the clock goes on between records.
fn step() -> impl Strategy<Value = Span> {
    prop_oneof![
        50 => Just(Span::Zero),
        10 => Just(Span::Millisecond),
        30 => Just(Span::Small),
        10 => Just(Span::Second),
        2 => edge().prop_map(Span::Early),
        1 => edge().prop_map(Span::Retention),
        1 => edge().prop_map(Span::TwiceRetention),
    ]
}

fn span() -> BoxedStrategy<Span> {
    prop_oneof![
        3 => Just(Span::Zero),
        1 => Just(Span::Millisecond),
        2 => Just(Span::Small),
        2 => Just(Span::Second),
        3 => edge().prop_map(Span::Early),
        3 => edge().prop_map(Span::Retention),
        1 => edge().prop_map(Span::TwiceRetention),
        1 => edge().prop_map(Span::Ahead),
    ]
    .boxed()
}

fn shift() -> BoxedStrategy<Shift> {
    prop_oneof![span().prop_map(Shift::After), span().prop_map(Shift::Before)].boxed()
}

fn conversations_arrival() -> BoxedStrategy<Arrival> {
    let now = Arrival::Clock(Shift::After(Span::Zero));
    prop_oneof![
        // One far ahead makes every read by the clock too early from there on, so there are few.
        150 => Just(now),
        12 => span().prop_map(|span| Arrival::Clock(Shift::Before(span))),
        1 => span().prop_map(|span| Arrival::Clock(Shift::After(span))),
        3 => Just(Arrival::Missing),
    ]
    .boxed()
}

fn reads_arrival() -> BoxedStrategy<Arrival> {
    let now = Arrival::Clock(Shift::After(Span::Zero));
    prop_oneof![
        24 => Just(now),
        2 => shift().prop_map(Arrival::Clock),
        4 => shift().prop_map(Arrival::Message),
        4 => edge().prop_map(|edge| Arrival::Message(Shift::Before(Span::Early(edge)))),
        3 => edge().prop_map(|edge| Arrival::Message(Shift::After(Span::Retention(edge)))),
        1 => Just(Arrival::Missing),
    ]
    .boxed()
}

fn moment() -> BoxedStrategy<Moment> {
    prop_oneof![
        5 => Just(Moment::Absent),
        4 => shift().prop_map(Moment::Arrival),
        3 => shift().prop_map(Moment::Sent),
        1 => edge().prop_map(|edge| Moment::Arrival(Shift::After(Span::Ahead(edge)))),
    ]
    .boxed()
}

fn up_to_moment() -> BoxedStrategy<Moment> {
    let small = select(vec![
        Shift::After(Span::Zero),
        Shift::After(Span::Millisecond),
        Shift::Before(Span::Millisecond),
        Shift::After(Span::Second),
    ]);
    prop_oneof![3 => moment(), 2 => small.clone().prop_map(Moment::Sent), 1 => small.prop_map(Moment::Arrival)].boxed()
}

fn anybody() -> impl Strategy<Value = u8> {
    prop_oneof![12 => 0..5_u8, 1 => Just(5_u8)]
}

fn message() -> BoxedStrategy<MessageOp> {
    prop_oneof![
        6 => Just(MessageOp::Recent(0)),
        4 => (1..4_u8).prop_map(MessageOp::Recent),
        2 => Just(MessageOp::Next),
        1 => (0..6_u8).prop_map(MessageOp::Any),
    ]
    .boxed()
}

fn new_message() -> BoxedStrategy<MessageOp> {
    prop_oneof![
        20 => Just(MessageOp::Next),
        2 => (0..3_u8).prop_map(MessageOp::Recent),
        3 => (0..6_u8).prop_map(MessageOp::Any),
    ]
    .boxed()
}

fn create() -> BoxedStrategy<ChangeOp> {
    (0..2_u8, vec(anybody(), 0..6)).prop_map(|(group_type, members)| ChangeOp::Create { group_type, members }).boxed()
}

fn asks() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.88)
}

fn group_send() -> BoxedStrategy<ChangeOp> {
    let audience = prop_oneof![
        7 => Just(AudienceOp::All),
        3 => vec(anybody(), 0..5).prop_map(AudienceOp::Listed),
    ];
    (new_message(), anybody(), asks(), audience)
        .prop_map(|(message, sender, asks, audience)| ChangeOp::Send { message, sender, asks, audience })
        .boxed()
}

fn private_send() -> BoxedStrategy<ChangeOp> {
    let parties = prop_oneof![6 => Just((0, 1)), 6 => Just((1, 0)), 2 => (anybody(), anybody())];
    (new_message(), parties, asks())
        .prop_map(|(message, (sender, peer), asks)| ChangeOp::Send {
            message,
            sender,
            asks,
            audience: AudienceOp::Peer(peer),
        })
        .boxed()
}

fn group_change() -> BoxedStrategy<ChangeOp> {
    prop_oneof![
        36 => group_send(),
        10 => vec(anybody(), 1..5).prop_map(ChangeOp::Add),
        10 => vec(anybody(), 1..3).prop_map(ChangeOp::Remove),
        3 => message().prop_map(ChangeOp::Recall),
        2 => create(),
        1 => private_send(),
        1 => Just(ChangeOp::Dismiss),
    ]
    .boxed()
}

fn private_change() -> BoxedStrategy<ChangeOp> {
    prop_oneof![
        24 => private_send(),
        3 => message().prop_map(ChangeOp::Recall),
        1 => group_change(),
    ]
    .boxed()
}

fn in_conversation() -> BoxedStrategy<(u8, ChangeOp)> {
    prop_oneof![
        8 => (Just(0), group_change()),
        1 => (Just(1), group_change()),
        4 => (Just(PRIVATE), private_change()),
    ]
    .boxed()
}

fn version() -> impl Strategy<Value = VersionOp> {
    prop_oneof![
        10 => Just(VersionOp::None),
        10 => Just(VersionOp::Next),
        1 => Just(VersionOp::Same),
        1 => Just(VersionOp::Behind),
    ]
}

fn content() -> BoxedStrategy<Content> {
    let change = (in_conversation(), version(), moment()).prop_map(|((conversation, change), version, occurred_at)| {
        Content::Change { conversation, version, occurred_at, change }
    });
    let policy = prop_oneof![2 => Just(None), 3 => vec(0..2_u8, 0..2).prop_map(Some)];
    prop_oneof![
        50 => change,
        2 => Just(Content::Tick),
        2 => policy.prop_map(Content::Policy),
        2 => (0..6_u8).prop_map(Content::Again),
        1 => Just(Content::Unreadable),
    ]
    .boxed()
}

fn group_read() -> BoxedStrategy<(u8, TargetOp)> {
    prop_oneof![
        10 => vec(message(), 1..4).prop_map(TargetOp::Messages),
        10 => message().prop_map(TargetOp::UpTo),
        1 => up_to_moment().prop_map(TargetOp::UpToTime),
    ]
    .prop_flat_map(|target| (anybody(), Just(target)))
    .boxed()
}

fn private_read() -> BoxedStrategy<(u8, TargetOp)> {
    let reader = prop_oneof![6 => Just(1_u8), 6 => Just(0), 1 => anybody()];
    let target = prop_oneof![
        4 => vec(message(), 1..3).prop_map(TargetOp::Messages),
        3 => message().prop_map(TargetOp::UpTo),
        8 => up_to_moment().prop_map(TargetOp::UpToTime),
    ];
    (reader, target).boxed()
}

fn read_content() -> BoxedStrategy<ReadContent> {
    let read = prop_oneof![
        18 => (Just(0), group_read()),
        2 => (Just(1), group_read()),
        8 => (Just(PRIVATE), private_read()),
        1 => (Just(UNKNOWN), private_read()),
    ];
    let read = (read, moment()).prop_map(|((conversation, (reader, target)), read_at)| ReadContent::Read {
        conversation,
        reader,
        read_at,
        target,
    });
    prop_oneof![
        30 => read,
        2 => (0..6_u8).prop_map(ReadContent::Again),
        1 => Just(ReadContent::Unreadable),
    ]
    .boxed()
}

fn op() -> BoxedStrategy<Op> {
    let conversations = (conversations_arrival(), content().prop_map(What::Conversations));
    let reads = (reads_arrival(), read_content().prop_map(What::Reads));
    (step(), prop_oneof![conversations, reads]).prop_map(|(step, (arrival, what))| Op { step, arrival, what }).boxed()
}

/// Some few, or many: the more there is, the more goes together.
pub(super) fn ops(max: usize) -> BoxedStrategy<Vec<Op>> {
    prop_oneof![1 => vec(op(), 5..30), 4 => vec(op(), 40..=max)].boxed()
}

/// Groups that are there from the beginning, mostly: else little would happen in them.
pub(super) fn beginnings() -> impl Strategy<Value = Vec<Op>> {
    let first = prop::option::weighted(0.95, vec(0..5_u8, 3..7));
    let second = prop::option::weighted(0.6, vec(0..5_u8, 1..4));
    (first, second).prop_map(|(first, second)| {
        let begin = |conversation: u8, members: Vec<u8>| Op {
            step: Span::Zero,
            arrival: Arrival::Clock(Shift::After(Span::Zero)),
            what: What::Conversations(Content::Change {
                conversation,
                version: VersionOp::None,
                occurred_at: Moment::Absent,
                change: ChangeOp::Create { group_type: conversation, members },
            }),
        };
        let groups = [first.map(|members| begin(0, members)), second.map(|members| begin(1, members))];
        groups.into_iter().flatten().collect()
    })
}
