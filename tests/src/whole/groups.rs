//! Rows of groups: memberships by user, members by ordinal, active ordinals, and the leave log.

use receipt_domain::{
    readers::chunk_of,
    state::{Group, Kind},
};

use super::Rows;

pub(super) fn check(rows: &Rows) {
    for (number, (id, conversation)) in &rows.conversations {
        if let Kind::Group(group) = &conversation.kind {
            leave_log(rows, *number, group);
            active(rows, *number, group);
        } else {
            let members = rows.set.members.rows().filter(|((n, _), _)| n == number);
            assert_eq!(members.count(), 0, "{id} is one-to-one");
        }
    }
    memberships(rows);
    members(rows);
}

/// It has all entries that are not expired, and log time rises in it.
fn leave_log(rows: &Rows, number: u64, group: &Group) {
    let mut next = group.leaves;
    let mut after_ms = u64::MAX;
    for ((_, index), entry) in rows.leaves.range((number, 0)..=(number, u32::MAX)).rev() {
        assert!(*index < next, "leave {index} of group {number}, which has {}", group.leaves);
        assert!(entry.log_time_ms <= after_ms, "log time rises in the leave log of group {number}");
        assert!(
            *index + 1 == next || rows.is_expired(entry.log_time_ms),
            "leave {} of group {number} is missing, though a later one is kept",
            next - 1
        );
        if let Ok(Some(member)) = rows.set.members.get(&(number, entry.ordinal)) {
            assert_eq!(member.left_log_time_ms, Some(entry.log_time_ms), "leave {index} of group {number}");
        } else {
            assert!(rows.is_expired(entry.log_time_ms), "whose ordinal {} of group {number} was", entry.ordinal);
        }
        (next, after_ms) = (*index, entry.log_time_ms);
    }
}

/// The bits are the members.
fn active(rows: &Rows, number: u64, group: &Group) {
    let mut bits = 0;
    for ((n, chunk), row) in rows.set.active.rows().filter(|((n, _), _)| *n == number) {
        for ordinal in row.ordinals(*chunk) {
            bits += 1;
            assert!(ordinal < group.next_ordinal, "ordinal {ordinal} of group {n} was never given");
            let member = rows.set.members.get(&(*n, ordinal)).ok().flatten();
            let member = member.unwrap_or_else(|| panic!("whose ordinal {ordinal} of group {n} is"));
            assert_eq!(member.left_log_time_ms, None, "ordinal {ordinal} of group {n}");
        }
    }
    assert_eq!(bits, group.members, "members of group {number}");
}

fn memberships(rows: &Rows) {
    for ((number, user), stays) in rows.set.memberships.rows() {
        for pair in stays.windows(2) {
            let left = pair[0].left.as_ref().expect("only the last stay goes on");
            assert!(pair[0].ordinal < pair[1].ordinal && left.position <= pair[1].joined_position);
        }
        for stay in stays {
            let member = rows.set.members.get(&(*number, stay.ordinal)).ok().flatten();
            let left_ms = stay.left.as_ref().map(|left| left.log_time_ms);
            match member {
                Some(member) => assert_eq!((&member.user, member.left_log_time_ms), (user, left_ms)),
                None => {
                    let expired = left_ms.is_some_and(|ms| rows.is_expired(ms));
                    assert!(expired, "ordinal {} of {user} in {number} has no member row", stay.ordinal);
                }
            }
        }
    }
}

fn members(rows: &Rows) {
    for ((number, ordinal), member) in rows.set.members.rows() {
        let active = rows.set.active.get(&(*number, chunk_of(*ordinal))).ok().flatten();
        let is_active = active.is_some_and(|chunk| chunk.contains(*ordinal));
        assert_eq!(is_active, member.left_log_time_ms.is_none(), "ordinal {ordinal} of group {number}");
        let stays = rows.set.memberships.get(&(*number, member.user.clone())).ok().flatten();
        let known = stays.into_iter().flatten().any(|stay| stay.ordinal == *ordinal);
        let expired = member.left_log_time_ms.is_some_and(|ms| rows.is_expired(ms));
        assert!(known || expired, "{} of group {number} has no membership {ordinal}", member.user);
    }
}
