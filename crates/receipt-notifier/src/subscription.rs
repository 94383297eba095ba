//! One sender's stream: a cursor and a wake-up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use receipt_codec::token::{ConsistencyToken, ResumeToken};
use receipt_domain::{effects::Delta, id::UserId, inbox};
use receipt_projector::Unserved;
use receipt_store::StoreError;
use tokio::sync::Notify;

use crate::{cursor::Cursor, inbox::Inbox};

/// Entries of one response, at most.
const RESPONSE_DELTAS_MAX: usize = 200;
/// How soon one response may follow another: what comes in between is told once (S33).
const PACE: Duration = Duration::from_millis(50);
/// After how long a quiet stream is told a token (S37).
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Where a subscription starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With what changes from now on.
    Now,
    /// With the oldest that is kept.
    Oldest,
    /// After what a token's response told.
    After(ResumeToken),
}

/// Why a subscription can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The token is another sender's, or of a partition the sender is not in.
    #[error("the resume token is another user's")]
    ForeignToken,
    /// The partition does not serve.
    #[error("the sender's partition does not serve")]
    Unserved(Unserved),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What changed, each with its consistency token; empty: a heartbeat.
    pub deltas: Vec<(Delta, String)>,
    /// Where to go on after these.
    pub token: ResumeToken,
    /// The token started from was too old, or of another log.
    pub reset: bool,
}

/// A subscription of one sender.
pub struct Subscription {
    inbox: Inbox,
    log_id: [u8; 16],
    sender: UserId,
    wakeup: Arc<Notify>,
    cursor: Cursor,
    /// Log time up to which all has been told.
    log_time_ms: u64,
    reset: bool,
    /// Whether the first response was made.
    begun: bool,
    /// When a change was last told.
    last_change: Option<Instant>,
}

impl Subscription {
    /// Starts one for a sender of this partition.
    ///
    /// # Errors
    /// If the partition does not serve, or the token is not the sender's.
    pub fn start(inbox: Inbox, log_id: [u8; 16], sender: UserId, start: Start) -> Result<Self, SubscribeError> {
        let store = inbox.serving().map_err(SubscribeError::Unserved)?;
        let progress = store.progress().map_err(|error| inbox.unreadable(error))?;
        let retention_ms = store.settings().retention_ms;
        let now_ms = progress.log_time_ms;
        let (cursor, log_time_ms, reset) = match start {
            Start::Now => (Cursor::at(progress.offset), now_ms, false),
            Start::Oldest => (Cursor::at(0), now_ms.saturating_sub(retention_ms), false),
            // Of another log: its offsets mean nothing here.
            Start::After(token) if token.log_id != log_id => (Cursor::at(progress.offset), now_ms, true),
            Start::After(token) if token.sender != sender.as_str() || token.partition != inbox.number() => {
                return Err(SubscribeError::ForeignToken);
            }
            Start::After(token) => {
                // Only what came after the token can have been missed: a partition may have been quiet since long before.
                let expired = token.offset < progress.offset
                    && !store.settings().keeps(token.log_time_ms, now_ms)
                    && inbox.delta_arrival_ms(token.offset).is_none_or(|ms| !store.settings().keeps(ms, now_ms));
                if expired || token.offset > progress.offset {
                    (Cursor::at(progress.offset), now_ms, true)
                } else {
                    (Cursor { since: token.since.min(token.offset), next: token.offset }, token.log_time_ms, false)
                }
            }
        };
        let wakeup = inbox.0.wakeups.of(&sender);
        Ok(Self { inbox, log_id, sender, wakeup, cursor, log_time_ms, reset, begun: false, last_change: None })
    }

    /// The next response: at once at the first call, then when something changed, or a heartbeat.
    ///
    /// # Errors
    /// If the partition stops serving.
    pub async fn next(&mut self) -> Result<Told, SubscribeError> {
        let wakeup = Arc::clone(&self.wakeup);
        loop {
            if let Some(since) = self.last_change.map(|last| last.elapsed())
                && let Some(wait) = PACE.checked_sub(since)
            {
                tokio::time::sleep(wait).await;
            }
            // Listening before reading: what is written after the read wakes it.
            let mut woken = std::pin::pin!(wakeup.notified());
            woken.as_mut().enable();
            let told = self.read()?;
            if !told.deltas.is_empty() || !self.begun {
                return Ok(self.tell(told));
            }
            if tokio::time::timeout(HEARTBEAT, woken).await.is_err() {
                let told = self.read()?;
                return Ok(self.tell(told));
            }
        }
    }

    fn tell(&mut self, told: Told) -> Told {
        self.log_time_ms = told.token.log_time_ms;
        self.cursor = Cursor { since: told.token.since, next: told.token.offset };
        self.reset = false;
        self.begun = true;
        if !told.deltas.is_empty() {
            self.last_change = Some(Instant::now());
        }
        told
    }

    /// What there is to tell now.
    fn read(&self) -> Result<Told, SubscribeError> {
        let store = self.inbox.serving().map_err(SubscribeError::Unserved)?;
        let entries = store.after(&self.sender, self.cursor.next, RESPONSE_DELTAS_MAX);
        let (entries, progress) = entries.map_err(|error| self.inbox.unreadable(error))?;
        // A full response ends at its last entry; another has read the inbox to its end.
        let last = entries.last().filter(|_| entries.len() == RESPONSE_DELTAS_MAX);
        let cursor = self.cursor.after(last.map(|(offset, _)| *offset), progress.offset);
        // What is still to be told is no older than that entry.
        let log_time_ms = last.map_or(progress.log_time_ms, |(_, entry)| entry.log_time_ms);
        let deltas = entries.into_iter().map(|(_, entry)| {
            let change = inbox::tell(&entry, self.cursor.since);
            (Delta { sender: self.sender.clone(), change }, self.of_this_log(entry.token))
        });
        let deltas = deltas.collect();
        Ok(Told { deltas, token: self.token(cursor, log_time_ms), reset: self.reset })
    }

    /// No token, where it is of another log, as in a log that was restored from a copy: what it names is in every state that
    /// serves by now, and nobody could use it.
    fn of_this_log(&self, token: String) -> String {
        let ours = ConsistencyToken::decode(&token).is_ok_and(|token| token.log_id == self.log_id);
        if ours { token } else { String::new() }
    }

    /// The token of where the stream stands, for a last word.
    #[must_use]
    pub fn resume_token(&self) -> ResumeToken {
        self.token(self.cursor, self.log_time_ms)
    }

    fn token(&self, cursor: Cursor, log_time_ms: u64) -> ResumeToken {
        ResumeToken {
            log_id: self.log_id,
            partition: self.inbox.number(),
            offset: cursor.next,
            since: cursor.since,
            log_time_ms,
            sender: self.sender.as_str().to_owned(),
        }
    }
}
