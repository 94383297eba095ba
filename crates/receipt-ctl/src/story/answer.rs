//! What is answered about a message at some moment.

use receipt_domain::{
    answer::{Found, Queries, Unanswerable},
    id::{MessageId, UserId},
    readers::Reader,
    receipt::Receipt,
    working_set::Needs,
};

use super::{Now, message::ALL};

/// A read that waits for its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its record in receipts.reads.
    pub offset: u64,
    /// Whose.
    pub user: UserId,
    /// Its time.
    pub read_at_ms: u64,
    /// Until log time has passed this.
    pub until_ms: u64,
    /// Whether it covers everything before, too.
    pub up_to: bool,
}

/// Who has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderNow {
    /// Who.
    pub user: UserId,
    /// When, in milliseconds since 1970.
    pub read_at_ms: u64,
    /// Has left since.
    pub left: bool,
}

/// What a service would be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its counts.
    pub receipt: Receipt,
    /// Earliest first.
    pub readers: Vec<ReaderNow>,
    /// By membership.
    pub unread: Vec<UserId>,
    /// Left without having read it, by membership.
    pub left_unread: Vec<UserId>,
}

/// A message as it is at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageNow {
    /// Log time.
    pub log_time_ms: u64,
    /// Log time up to which it is kept; `None`: for ever, or there is none.
    pub kept_until_ms: Option<u64>,
    /// Log time up to which its id is known.
    pub known_until_ms: Option<u64>,
    /// What is answered about it.
    pub answer: Result<Answer, Unanswerable>,
    /// Reads that wait for it.
    pub waiting: Vec<Waiting>,
}

impl MessageNow {
    /// Of a message; `sent_ms`: log time at it, while its id is known.
    pub(super) fn of(now: Now<'_>, message: &MessageId, sent_ms: Option<u64>) -> Self {
        let log_time_ms = now.log_time_ms();
        let waiting = now.rows.waiting.range(&(now.id.clone(), message.clone()), ALL);
        let waiting = waiting.filter(|(_, read)| now.settings.waits(read.arrival_ms, log_time_ms));
        let waiting = waiting.map(|((offset, _), read)| Waiting {
            offset,
            user: read.reader.clone(),
            read_at_ms: read.read_at_ms,
            until_ms: read.arrival_ms.saturating_add(now.settings.early_window_ms),
            up_to: read.up_to,
        });
        let answer = match now.queries().find(now.id, message, None) {
            Ok(Ok(found)) => answer(now, &found).map_err(|_| Unanswerable::NotFound),
            Ok(Err(why)) => Err(why),
            Err(_) => Err(Unanswerable::NotFound),
        };
        let retention_ms = now.settings.retention_ms;
        let sent_ms = sent_ms.filter(|_| retention_ms != 0);
        MessageNow {
            log_time_ms,
            kept_until_ms: sent_ms.map(|sent_ms| sent_ms.saturating_add(retention_ms)),
            known_until_ms: sent_ms.map(|sent_ms| sent_ms.saturating_add(retention_ms.saturating_mul(2))),
            answer,
            waiting: waiting.collect(),
        }
    }
}

/// All that is answered about it.
fn answer(now: Now<'_>, found: &Found<'_>) -> Result<Answer, Needs> {
    let queries = now.queries();
    let receipt = queries.receipt(found)?;
    let mut readers = Vec::new();
    for Reader { read_at_s, ordinal } in by_time(now, &queries, found) {
        if let Some((user, left)) = queries.member(found, ordinal)? {
            let read_at_ms = found.message.answered_ms(read_at_s);
            readers.push(ReaderNow { user: user.clone(), read_at_ms, left });
        }
    }
    let user = |ordinal| queries.member(found, ordinal).map(|member| member.map(|(user, _)| user.clone()));
    let users = |ordinals: Vec<u32>| -> Result<Vec<UserId>, Needs> {
        let users: Vec<_> = ordinals.into_iter().map(user).collect::<Result<_, _>>()?;
        Ok(users.into_iter().flatten().collect())
    };
    let unread = users(queries.unread(found, None, false, usize::MAX)?)?;
    let left_unread = users(queries.left_unread(found, None, false, usize::MAX)?)?;
    Ok(Answer { receipt, readers, unread, left_unread })
}

fn by_time(now: Now<'_>, queries: &Queries<'_>, found: &Found<'_>) -> Vec<Reader> {
    if let Some(readers) = queries.inline_readers(found, None, false, usize::MAX) {
        return readers;
    }
    let of_message = |key: &(u64, u64, u32)| (key.0, key.1) == (found.conversation.number, found.position);
    let chunks = now.rows.reads.rows().filter(|(key, _)| of_message(key));
    let mut readers: Vec<_> = chunks.flat_map(|((_, _, chunk), row)| row.readers(*chunk).collect::<Vec<_>>()).collect();
    readers.sort_unstable();
    readers
}
