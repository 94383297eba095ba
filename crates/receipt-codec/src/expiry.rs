//! Until when a row is kept, by log time alone (S16, S30).
//!
//! What is expired is invisible already, whether it is still there or not; this says what may be deleted.

use receipt_domain::settings::Settings;

use crate::{
    codec,
    error::Corrupt,
    key::Kind,
    row::{cursor, leave, member, memberships, message, stub, time_mark, unread, waiting},
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
        Some(Kind::Identity | Kind::Progress | Kind::Policy | Kind::Conversation | Kind::Active) => false,
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
        Some(Kind::Waiting) => !settings.waits(waiting::decode(value)?.arrival_ms, now_ms),
        Some(Kind::TimeMark) => !settings.waits(time_mark::decode(value)?.arrival_ms, now_ms),
    })
}
