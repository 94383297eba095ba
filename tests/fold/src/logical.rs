//! A whole partition's rows, asked through the query code, as the logical state that the model tells.

use std::collections::BTreeMap;

use receipt_domain::{
    answer::{Found, Queries, ReaderState, Unanswerable},
    event::Policy,
    id::{ConversationId, MessageId, UserId},
    readers::{Reader, Readers},
    settings::Settings,
    state::{Conversation, Kind},
    working_set::{Needs, PolicyInForce, WorkingSet},
};
use receipt_model::{
    ConversationState, GroupState, KindState, LogicalState, MessageState, PartyState, PeerRead, Reader as ModelReader,
    Receipt, Status,
};

/// The logical state of rows that are all in memory.
///
/// # Errors
/// Says which row was missing: then the rows are not whole.
pub fn logical_state(rows: &WorkingSet, settings: &Settings) -> Result<LogicalState, Needs> {
    let queries = Queries::new(rows, settings);
    let mut conversations = BTreeMap::new();
    for (id, conversation) in rows.conversations.rows() {
        let mut messages = BTreeMap::new();
        for ((number, message), stub) in rows.stubs.rows() {
            if *number == conversation.number
                && let Some(status) = status(rows, &queries, id, message)?
            {
                messages.insert(message.clone(), MessageState { sender: stub.sender.clone(), status });
            }
        }
        let kind = kind_state(rows, conversation);
        conversations.insert(id.clone(), ConversationState { kind, last_version: conversation.version, messages });
    }
    let policy = match &rows.policy {
        PolicyInForce::EveryGroupType => Policy::EveryGroupType,
        PolicyInForce::GroupTypes(types) => Policy::GroupTypes(types.iter().cloned().collect()),
    };
    Ok(LogicalState {
        log_time_ms: rows.progress.log_time_ms,
        policy,
        policies_applied: rows.progress.policies,
        conversations,
    })
}

/// The policy's group types in the order the fold keeps them.
#[must_use]
pub fn normalised(mut state: LogicalState) -> LogicalState {
    if let Policy::GroupTypes(types) = &mut state.policy {
        types.sort();
        types.dedup();
    }
    state
}

fn kind_state(rows: &WorkingSet, conversation: &Conversation) -> KindState {
    match &conversation.kind {
        Kind::OneToOne(two) => {
            let party = |i: usize| PartyState { user: two.parties[i].clone(), highest_mark_ms: two.marked_ms[i] };
            KindState::OneToOne([party(0), party(1)])
        }
        Kind::Group(group) => {
            let mut members: Vec<(u32, UserId)> = Vec::new();
            for ((number, ordinal), member) in rows.members.rows() {
                if *number == conversation.number && member.left_log_time_ms.is_none() {
                    members.push((*ordinal, member.user.clone()));
                }
            }
            members.sort();
            KindState::Group(GroupState {
                group_type: group.group_type.clone(),
                dismissed: group.dismissed,
                members: members.into_iter().map(|(_, user)| user).collect(),
            })
        }
    }
}

fn status(
    rows: &WorkingSet,
    queries: &Queries<'_>,
    id: &ConversationId,
    message: &MessageId,
) -> Result<Option<Status>, Needs> {
    Ok(match queries.find(id, message, None)? {
        Err(Unanswerable::NotFound | Unanswerable::PermissionDenied) => None,
        Err(Unanswerable::NotRequested) => Some(Status::NotRequested),
        Err(Unanswerable::Expired) => Some(Status::Expired),
        Ok(found) => Some(Status::Kept(receipt(rows, queries, &found)?)),
    })
}

fn receipt(rows: &WorkingSet, queries: &Queries<'_>, found: &Found<'_>) -> Result<Receipt, Needs> {
    let counts = queries.receipt(found)?;
    let user = |ordinal| -> Result<UserId, Needs> {
        let member = queries.member(found, ordinal)?;
        Ok(member.map_or_else(|| panic!("no member {ordinal} of {found:?}"), |(user, _)| user.clone()))
    };
    let mut read = Vec::new();
    for reader in readers(rows, queries, found) {
        let left = queries.member(found, reader.ordinal)?.is_some_and(|(_, left)| left);
        let read_at_ms = found.message.answered_ms(reader.read_at_s);
        read.push(ModelReader { user: user(reader.ordinal)?, read_at_ms, left });
    }
    let unread = queries.unread(found, None, false, usize::MAX)?;
    let left_unread = queries.left_unread(found, None, false, usize::MAX)?;
    for (list, mut backwards) in [
        (&unread, queries.unread(found, None, true, usize::MAX)?),
        (&left_unread, queries.left_unread(found, None, true, usize::MAX)?),
    ] {
        backwards.reverse();
        assert_eq!(*list, backwards, "S26: latest first is the exact reverse");
    }
    let left_unread: Vec<UserId> = left_unread.into_iter().map(user).collect::<Result<_, _>>()?;
    assert_eq!(left_unread, left_one_by_one(rows, queries, found)?, "S28: the list and the states agree");
    Ok(Receipt {
        read_count: counts.read_count as usize,
        unread_count: counts.unread_count as usize,
        audience_count: counts.audience_count as usize,
        read_left_count: counts.read_left_count as usize,
        kept_until_ms: counts.kept_until_ms,
        recalled: counts.recalled,
        peer: counts.peer.map(|peer| PeerRead {
            peer: peer.user,
            is_peer_read: peer.read_at_ms.is_some(),
            peer_read_at_ms: peer.read_at_ms,
        }),
        read,
        unread: unread.into_iter().map(user).collect::<Result<_, _>>()?,
        left_unread,
    })
}

/// All readers by time; those of a large set are taken from its chunks.
fn readers(rows: &WorkingSet, queries: &Queries<'_>, found: &Found<'_>) -> Vec<Reader> {
    if matches!(found.message.readers, Readers::Inline(_)) {
        return queries.inline_readers(found, None, false, usize::MAX).unwrap_or_default();
    }
    let mut readers: Vec<Reader> = rows
        .reads
        .rows()
        .filter(|((number, position, _), _)| (*number, *position) == (found.conversation.number, found.position))
        .flat_map(|((_, _, chunk), row)| row.readers(*chunk).collect::<Vec<_>>())
        .collect();
    readers.sort();
    readers
}

/// Those who left without reading, asked user by user.
fn left_one_by_one(rows: &WorkingSet, queries: &Queries<'_>, found: &Found<'_>) -> Result<Vec<UserId>, Needs> {
    let mut left = Vec::new();
    for ((number, user), _) in rows.memberships.rows() {
        if *number == found.conversation.number && queries.reader_state(found, user)? == ReaderState::LeftUnread {
            let stays = rows.memberships.get(&(*number, user.clone())).ok().flatten();
            let stay = stays.into_iter().flatten().find(|stay| stay.covers(found.position));
            left.push((stay.map(|stay| stay.ordinal), user.clone()));
        }
    }
    left.sort();
    Ok(left.into_iter().map(|(_, user)| user).collect())
}
