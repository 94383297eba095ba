//! Until when a row is kept, by log time alone (S16, S30).
//!
//! What is expired is invisible already, whether it is still there or not; this says what may be deleted.

use receipt_domain::settings::Settings;

use crate::{
    codec,
    error::Corrupt,
    key::Kind,
    row::{cursor, inbox_entry, inbox_index, leave, member, memberships, message, stub, time_mark, unread, waiting},
};

/// Whether a row can no more be seen at this log time, nor ever matter again.
///
/// # Errors
/// If it is no row.
pub fn is_expired(settings: &Settings, now_ms: u64, key: &[u8], value: &[u8]) -> Result<bool, Corrupt> {
    let kept = |log_time_ms| settings.keeps(log_time_ms, now_ms);
    Ok(match Kind::of(key) {
        None => return Err(Corrupt { what: "row", why: "a key of no kind".to_owned() }),
        // For ever.
        Some(
            Kind::Identity
            | Kind::Progress
            | Kind::Policy
            | Kind::Conversation
            | Kind::Active
            | Kind::Sweep
            | Kind::InboxProgress,
        ) => false,
        Some(Kind::Memberships) => memberships::decode(value)?
            .iter()
            .all(|stay| stay.left.as_ref().is_some_and(|left| !kept(left.log_time_ms))),
        Some(Kind::Member) => member::decode(value)?.left_log_time_ms.is_some_and(|left_ms| !kept(left_ms)),
        Some(Kind::Leave) => !kept(leave::decode(value)?.log_time_ms),
        Some(Kind::Stub) => !settings.knows(stub::decode(value)?.log_time_ms, now_ms),
        Some(Kind::Message) => !kept(message::decode(value)?.log_time_ms),
        Some(Kind::ReadChunk | Kind::TimeChunk) => !kept(codec::log_time("chunk", value)?.0),
        Some(Kind::Cursor) => !kept(cursor::decode(value)?.log_time_ms),
        Some(Kind::Unread) => !kept(unread::decode(value)?),
        Some(Kind::InboxIndex) => !kept(inbox_index::decode(value)?.log_time_ms),
        Some(Kind::InboxEntry) => !kept(inbox_entry::decode(value)?.log_time_ms),
        Some(Kind::Waiting) => !settings.waits(waiting::decode(value)?.arrival_ms, now_ms),
        Some(Kind::TimeMark) => !settings.waits(time_mark::decode(value)?.arrival_ms, now_ms),
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use receipt_domain::{
        id::{Id, UserId},
        readers::{ActiveChunk, ReadChunk, Reader, Readers},
        state::{Audience, Cursor, Leave, LeaveEntry, Member, Membership, Message, Stub, TimeMark, WaitingRead},
    };

    use super::*;
    use crate::{
        arbitrary,
        row::{active, policy, progress, read_chunk, time_chunk},
    };

    const SETTINGS: Settings = Settings { retention_ms: 100, early_window_ms: 30, max_group_members: 10 };
    const FOR_EVER: Settings = Settings { retention_ms: 0, ..SETTINGS };
    /// Log time at every row here.
    const AT_MS: u64 = 1_000;

    fn id<const MAX: usize, const KIND: char>() -> Id<MAX, KIND> {
        Id::new("x").unwrap()
    }

    /// The row is there up to this log time, and for ever where nothing expires.
    fn last_at(last_ms: u64, key: &[u8], value: &[u8]) {
        let kind = Kind::of(key).unwrap();
        assert_eq!(is_expired(&SETTINGS, last_ms, key, value), Ok(false), "{kind:?} at {last_ms}");
        assert_eq!(is_expired(&SETTINGS, last_ms + 1, key, value), Ok(true), "{kind:?} after {last_ms}");
    }

    /// The row has no end.
    fn kept(settings: &Settings, key: &[u8], value: &[u8]) {
        assert_eq!(is_expired(settings, u64::MAX, key, value), Ok(false), "{:?}", Kind::of(key));
    }

    fn message() -> Message {
        Message {
            id: id(),
            sender: id(),
            log_time_ms: AT_MS,
            occurred_at_ms: 7,
            audience: Audience::Listed(vec![1]),
            audience_size: 1,
            recalled: false,
            leaves_applied: 0,
            left_unread: 0,
            read_left: Some(0),
            readers: Readers::default(),
        }
    }

    #[test]
    fn s30_what_belongs_to_a_message_goes_with_the_retention() {
        let first = Reader { read_at_s: 1, ordinal: 1 };
        let cursor = Cursor { position: 1, latest_read_s: 1, log_time_ms: AT_MS };
        for (key, value) in [
            (message::key(1, 1), message::encode(&message()).unwrap()),
            (read_chunk::key(1, 1, 0), read_chunk::encode(AT_MS, &ReadChunk::default())),
            (time_chunk::key(1, 1, first), time_chunk::encode(AT_MS, &[first])),
            (cursor::key(1, &id()), cursor::encode(&cursor).unwrap()),
            (unread::key(1, 0, (7, 1)), unread::encode(AT_MS).unwrap()),
        ] {
            last_at(AT_MS + 100, &key, &value);
            kept(&FOR_EVER, &key, &value);
        }
        let stub = Stub { position: 1, log_time_ms: AT_MS, asks: true, sender: id() };
        last_at(AT_MS + 200, &stub::key(1, &id()), &stub::encode(&stub).unwrap());
        kept(&FOR_EVER, &stub::key(1, &id()), &stub::encode(&stub).unwrap());
    }

    #[test]
    fn s30_a_membership_goes_once_it_has_ended() {
        let user: UserId = id();
        let stay = |left_ms: Option<u64>| Membership {
            ordinal: 1,
            joined_position: 1,
            left: left_ms.map(|log_time_ms| Leave { position: 2, log_time_ms }),
        };
        let stays =
            |lefts: &[Option<u64>]| memberships::encode(&lefts.iter().copied().map(stay).collect::<Vec<_>>()).unwrap();
        let key = memberships::key(1, &user);
        last_at(AT_MS + 100, &key, &stays(&[Some(AT_MS)]));
        last_at(AT_MS + 100, &key, &stays(&[Some(AT_MS - 50), Some(AT_MS)]));
        kept(&SETTINGS, &key, &stays(&[Some(AT_MS), None]));
        kept(&FOR_EVER, &key, &stays(&[Some(AT_MS)]));

        let member = |left_log_time_ms| member::encode(&Member { user: user.clone(), left_log_time_ms }).unwrap();
        last_at(AT_MS + 100, &member::key(1, 1), &member(Some(AT_MS)));
        kept(&SETTINGS, &member::key(1, 1), &member(None));
        let entry = LeaveEntry { ordinal: 1, log_time_ms: AT_MS };
        last_at(AT_MS + 100, &leave::key(1, 0), &leave::encode(&entry).unwrap());
    }

    #[test]
    fn s16_what_waits_goes_with_the_early_window() {
        let read = WaitingRead { reader: id(), read_at_ms: 7, arrival_ms: AT_MS, up_to: false };
        last_at(AT_MS + 30, &waiting::key(&id(), &id(), (1, 0)), &waiting::encode(&read).unwrap());
        let mark = TimeMark { read_at_ms: 7, arrival_ms: AT_MS };
        last_at(AT_MS + 30, &time_mark::key(&id(), &id(), (7, 1)), &time_mark::encode(&mark).unwrap());
    }

    #[test]
    fn the_rest_is_kept_for_ever() {
        for key in [progress::key(), policy::key(0), active::key(1, 0)] {
            kept(&SETTINGS, &key, &active::encode(&ActiveChunk::default()));
        }
        assert!(is_expired(&SETTINGS, 0, &[], &[]).is_err());
        assert!(is_expired(&SETTINGS, 0, &[0xff], &[]).is_err());
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn any_bytes_are_judged_or_refused(
            kind in prop::sample::select(&Kind::ALL[..]), now_ms in arbitrary::number(), value in vec(any::<u8>(), 0..64),
        ) {
            let _ = is_expired(&SETTINGS, now_ms, &[kind as u8], &value);
            let _ = is_expired(&SETTINGS, now_ms, &[kind as u8], &[&[1][..], &value].concat());
        }
    }
}
