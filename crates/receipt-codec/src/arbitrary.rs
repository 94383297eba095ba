//! Identifiers, rows and tokens as proptest draws them.

use std::collections::BTreeMap;

use proptest::{array::uniform16, collection, option, prelude::*};
use receipt_domain::{
    event::Policy,
    id::{GroupType, Id, UserId},
    inbox::{InboxEntry, InboxProgress, InboxReader, Told},
    readers::{ActiveChunk, CHUNK_ORDINALS, INLINE_READERS_MAX, ReadChunk, Reader, Readers},
    receipt::{Peer, Receipt},
    settings::Settings,
    state::{
        Audience, Conversation, Cursor, Group, Kind, Leave, LeaveEntry, Member, Membership, Message, OneToOne,
        Progress, Stub, Sweep, TimeMark, WaitingRead,
    },
};

use crate::{
    row::{identity::Identity, inbox_index::InboxIndex},
    token::{ConsistencyToken, DeadLettersToken, PageStart, PageToken, PartitionOffsets, ResumeToken},
};

/// Numbers that meet each other and the edges of bytes, and any.
pub(crate) fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..4_u64, 250..260_u64, (0..64_u32).prop_map(|bit| 1 << bit), Just(u64::MAX), any::<u64>()]
}

/// As [`number`].
pub(crate) fn small() -> impl Strategy<Value = u32> {
    prop_oneof![0..4_u32, 250..260_u32, (0..32_u32).prop_map(|bit| 1 << bit), Just(u32::MAX), any::<u32>()]
}

/// Any identifier: short ones that begin each other, foreign ones, and the longest.
pub(crate) fn id<const MAX: usize, const KIND: char>() -> impl Strategy<Value = Id<MAX, KIND>> {
    let longest = Just("x".repeat(MAX));
    prop_oneof![4 => "[ab]{1,3}", 4 => "\\PC{1,32}", 1 => "[\u{200d}\u{e9}\u{1f469} /]{1,9}", 1 => longest]
        .prop_filter_map("no identifier", |text| Id::new(&text).ok())
}

/// Read times: all that there are, and such as lie close together.
pub(crate) fn time() -> impl Strategy<Value = u32> {
    prop_oneof![0..u32::MAX, 1_700_000_000..1_700_000_060_u32, u32::MAX - 3..u32::MAX, 0..3_u32]
}

pub(crate) fn reader() -> impl Strategy<Value = Reader> {
    (time(), small()).prop_map(|(read_at_s, ordinal)| Reader { read_at_s, ordinal })
}

/// A list by time, as a message holds it.
pub(crate) fn readers() -> impl Strategy<Value = Vec<Reader>> {
    let ordinal = prop_oneof![0..1000_u32, small()];
    collection::btree_map(ordinal, time(), 0..=INLINE_READERS_MAX).prop_map(by_time)
}

/// Readers in the order that they are written in.
pub(crate) fn by_time(times: BTreeMap<u32, u32>) -> Vec<Reader> {
    let mut readers: Vec<Reader> =
        times.into_iter().map(|(ordinal, read_at_s)| Reader { read_at_s, ordinal }).collect();
    readers.sort_unstable();
    readers
}

/// Times by ordinal within a chunk, of every width in bits from 0 to 32.
pub(crate) fn chunk_times() -> impl Strategy<Value = BTreeMap<u32, u32>> {
    (0..=32_u32, time()).prop_flat_map(|(width, from)| {
        let to = u64::from(from) + (1_u64 << width);
        let to = u32::try_from(to).unwrap_or(u32::MAX);
        collection::btree_map(0..CHUNK_ORDINALS, from..to, 0..300)
    })
}

pub(crate) fn read_chunk() -> impl Strategy<Value = ReadChunk> {
    chunk_times().prop_map(|times| chunk(&times))
}

pub(crate) fn chunk(times: &BTreeMap<u32, u32>) -> ReadChunk {
    let mut chunk = ReadChunk::default();
    for (ordinal, read_at_s) in times {
        chunk.join(Reader { read_at_s: *read_at_s, ordinal: *ordinal });
    }
    chunk
}

pub(crate) fn active() -> impl Strategy<Value = ActiveChunk> {
    any::<[u64; 16]>().prop_map(ActiveChunk)
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    (number(), number(), small()).prop_map(|(retention_ms, early_window_ms, max_group_members)| Settings {
        retention_ms,
        early_window_ms,
        max_group_members,
    })
}

pub(crate) fn identity() -> impl Strategy<Value = Identity> {
    (uniform16(any::<u8>()), small(), small(), settings(), "[a-z, ]{0,40}").prop_map(
        |(log_id, partition, partitions, settings, origin)| Identity {
            log_id,
            partition,
            partitions,
            settings,
            origin,
        },
    )
}

pub(crate) fn progress() -> impl Strategy<Value = Progress> {
    let offsets = (number(), number(), option::of(number()), any::<(Option<u32>, Option<u32>)>());
    (offsets, number(), number(), number(), number(), number()).prop_map(
        |(offsets, log_time_ms, next_conversation, policies, messages, receipts)| {
            let (conversations_offset, reads_offset, releasing, (conversations_epoch, reads_epoch)) = offsets;
            Progress {
                conversations_offset,
                reads_offset,
                log_time_ms,
                next_conversation,
                policies,
                messages,
                receipts,
                releasing,
                conversations_epoch,
                reads_epoch,
            }
        },
    )
}

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(Policy::EveryGroupType),
        collection::vec(id(), 0..5).prop_map(|types: Vec<GroupType>| Policy::GroupTypes(types)),
    ]
}

pub(crate) fn conversation() -> impl Strategy<Value = Conversation> {
    let group = (id(), any::<bool>(), small(), small(), small()).prop_map(
        |(group_type, dismissed, next_ordinal, members, leaves)| {
            Kind::Group(Group { group_type, dismissed, next_ordinal, members, leaves })
        },
    );
    let pair = ([id(), id()], number(), [option::of(number()), option::of(number())], [time(), time()]).prop_map(
        |(parties, first_log_time_ms, marked_ms, latest_read_s)| {
            Kind::OneToOne(OneToOne { parties, first_log_time_ms, marked_ms, latest_read_s })
        },
    );
    (number(), number(), number(), prop_oneof![group, pair])
        .prop_map(|(number, version, next_position, kind)| Conversation { number, version, next_position, kind })
}

fn membership() -> impl Strategy<Value = Membership> {
    let left = (number(), number()).prop_map(|(position, log_time_ms)| Leave { position, log_time_ms });
    (small(), number(), option::of(left)).prop_map(|(ordinal, joined_position, left)| Membership {
        ordinal,
        joined_position,
        left,
    })
}

pub(crate) fn memberships() -> impl Strategy<Value = Vec<Membership>> {
    collection::vec(membership(), 0..6)
}

pub(crate) fn member() -> impl Strategy<Value = Member> {
    (id(), option::of(number())).prop_map(|(user, left_log_time_ms)| Member { user, left_log_time_ms })
}

pub(crate) fn sweep() -> impl Strategy<Value = Sweep> {
    (id(), number(), small(), number(), any::<bool>()).prop_map(|(conversation, next, leaves, looked_at, quiet)| {
        Sweep { conversation, next, leaves, looked_at, quiet }
    })
}

pub(crate) fn leave() -> impl Strategy<Value = LeaveEntry> {
    (small(), number()).prop_map(|(ordinal, log_time_ms)| LeaveEntry { ordinal, log_time_ms })
}

pub(crate) fn stub() -> impl Strategy<Value = Stub> {
    (number(), number(), any::<bool>(), id()).prop_map(|(position, log_time_ms, asks, sender)| Stub {
        position,
        log_time_ms,
        asks,
        sender,
    })
}

fn audience() -> impl Strategy<Value = Audience> {
    prop_oneof![
        (small(), option::of(small())).prop_map(|(next_ordinal, sender)| Audience::Members { next_ordinal, sender }),
        collection::btree_set(small(), 0..20).prop_map(|ordinals| Audience::Listed(ordinals.into_iter().collect())),
    ]
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    let readers = prop_oneof![readers().prop_map(Readers::Inline), small().prop_map(Readers::Chunked)];
    let head = (id(), id(), number(), number(), audience());
    (head, small(), any::<bool>(), small(), (small(), option::of(small())), readers).prop_map(
        |(head, audience_size, recalled, leaves_applied, (left_unread, read_left), readers)| {
            let (id, sender, log_time_ms, occurred_at_ms, audience) = head;
            Message {
                id,
                sender,
                log_time_ms,
                occurred_at_ms,
                audience,
                audience_size,
                recalled,
                leaves_applied,
                left_unread,
                read_left,
                readers,
            }
        },
    )
}

pub(crate) fn cursor() -> impl Strategy<Value = Cursor> {
    (number(), time(), number()).prop_map(|(position, latest_read_s, log_time_ms)| Cursor {
        position,
        latest_read_s,
        log_time_ms,
    })
}

pub(crate) fn waiting() -> impl Strategy<Value = WaitingRead> {
    (id(), number(), number(), any::<bool>()).prop_map(|(reader, read_at_ms, arrival_ms, up_to): (UserId, _, _, _)| {
        WaitingRead { reader, read_at_ms, arrival_ms, up_to }
    })
}

pub(crate) fn time_mark() -> impl Strategy<Value = TimeMark> {
    (number(), number()).prop_map(|(read_at_ms, arrival_ms)| TimeMark { read_at_ms, arrival_ms })
}

pub(crate) fn consistency_token() -> impl Strategy<Value = ConsistencyToken> {
    let offsets = (number(), number());
    (uniform16(any::<u8>()), collection::btree_map(small(), offsets, 0..8)).prop_map(|(log_id, positions)| {
        let positions = positions.into_iter().map(|(partition, (conversations_offset, reads_offset))| {
            PartitionOffsets { partition, conversations_offset, reads_offset }
        });
        ConsistencyToken { log_id, positions: positions.collect() }
    })
}

pub(crate) fn page_token() -> impl Strategy<Value = PageToken> {
    let next = prop_oneof![
        reader().prop_map(PageStart::from),
        small().prop_map(|ordinal| PageStart::Unread { ordinal }),
        small().prop_map(|ordinal| PageStart::LeftUnread { ordinal }),
    ];
    (uniform16(any::<u8>()), small(), number(), number(), any::<bool>(), next).prop_map(
        |(log_id, partition, conversation, position, latest_first, next)| PageToken {
            log_id,
            partition,
            conversation,
            position,
            latest_first,
            next,
        },
    )
}

pub(crate) fn dead_letters_token() -> impl Strategy<Value = DeadLettersToken> {
    (uniform16(any::<u8>()), prop::option::of(small()), any::<bool>(), small(), number()).prop_map(
        |(log_id, only, newest_first, partition, offset)| DeadLettersToken {
            log_id,
            only,
            newest_first,
            partition,
            offset,
        },
    )
}

pub(crate) fn resume_token() -> impl Strategy<Value = ResumeToken> {
    (uniform16(any::<u8>()), small(), number(), number(), number(), id()).prop_map(
        |(log_id, partition, offset, since, log_time_ms, sender): (_, _, _, _, _, UserId)| ResumeToken {
            log_id,
            partition,
            offset,
            since,
            log_time_ms,
            sender: sender.as_str().to_owned(),
        },
    )
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let peer = (id(), option::of(number())).prop_map(|(user, read_at_ms)| Peer { user, read_at_ms });
    let counts = (small(), small(), small(), small());
    (id(), id(), counts, option::of(number()), any::<bool>(), option::of(peer)).prop_map(
        |(conversation, message, counts, kept_until_ms, recalled, peer)| {
            let (read_count, unread_count, audience_count, read_left_count) = counts;
            Receipt {
                conversation,
                message,
                read_count,
                unread_count,
                audience_count,
                read_left_count,
                kept_until_ms,
                recalled,
                peer,
            }
        },
    )
}

pub(crate) fn inbox_entry() -> impl Strategy<Value = InboxEntry> {
    let mark = (id(), id(), number()).prop_map(|(conversation, peer, up_to_ms)| Told::PeerReadMark {
        conversation,
        peer,
        up_to_ms,
    });
    let reader =
        (id(), number(), number()).prop_map(|(user, read_at_ms, offset)| InboxReader { user, read_at_ms, offset });
    let readers = collection::vec(reader, 0..5);
    let told = prop_oneof![receipt().prop_map(Told::Receipt), mark];
    (number(), told, readers, option::of(number()), "[a-z]{0,9}").prop_map(
        |(log_time_ms, told, readers, unnamed_offset, token)| InboxEntry {
            log_time_ms,
            told,
            readers,
            unnamed_offset,
            token,
        },
    )
}

pub(crate) fn inbox_index() -> impl Strategy<Value = InboxIndex> {
    (number(), number()).prop_map(|(offset, log_time_ms)| InboxIndex { offset, log_time_ms })
}

pub(crate) fn inbox_progress() -> impl Strategy<Value = InboxProgress> {
    (number(), number(), any::<Option<u32>>()).prop_map(|(offset, log_time_ms, epoch)| InboxProgress {
        offset,
        log_time_ms,
        epoch,
    })
}
