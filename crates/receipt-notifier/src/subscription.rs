//! One sender's stream: a cursor and a wake-up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use receipt_codec::token::{ConsistencyToken, ResumeToken};
use receipt_domain::{effects::Delta, id::UserId, inbox};
use receipt_log::LogError;
use receipt_projector::Unserved;
use receipt_store::StoreError;
use tokio::sync::Notify;

use crate::{
    cursor::Cursor,
    inbox::{ASK_AGAIN, Inbox},
};

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
    /// The inbox was not where the token is in time.
    #[error("the sender's partition did not reach the resume token in time")]
    Behind,
    /// The log does not answer.
    #[error(transparent)]
    Log(#[from] LogError),
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
    /// What changed since the token, or since the stream was last read, is no longer known: the token is too old, of
    /// another log, or ahead of its log; or nobody read the stream for longer than the retention.
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
    /// Starts one for a sender of this partition. A token that is ahead of this inbox waits for it until the deadline.
    ///
    /// # Errors
    /// If the partition does not serve, or the token is not the sender's.
    pub async fn start(
        inbox: Inbox,
        log_id: [u8; 16],
        sender: UserId,
        start: Start,
        deadline: tokio::time::Instant,
    ) -> Result<Self, SubscribeError> {
        // Of another log, its offsets mean nothing here; else it is ahead of the log where that ends before it.
        let mut reset = false;
        if let Start::After(token) = &start {
            reset = token.log_id != log_id;
            if !reset && (token.sender != sender.as_str() || token.partition != inbox.number()) {
                return Err(SubscribeError::ForeignToken);
            }
            reset = reset || !inbox.reaches(token.offset, deadline).await?;
        }
        let store = inbox.serving().map_err(SubscribeError::Unserved)?;
        let progress = store.progress().map_err(|error| inbox.unreadable(error))?;
        let retention_ms = store.settings().retention_ms;
        let now_ms = progress.log_time_ms;
        let (cursor, log_time_ms) = match start {
            Start::Oldest => (Cursor::at(0), now_ms.saturating_sub(retention_ms)),
            Start::After(token) if !reset => {
                let cursor = Cursor { since: token.since.min(token.offset), next: token.offset };
                reset = inbox.has_lost(cursor.next, token.log_time_ms, &progress).await?;
                if reset { (Cursor::at(progress.offset), now_ms) } else { (cursor, token.log_time_ms) }
            }
            Start::Now | Start::After(_) => (Cursor::at(progress.offset), now_ms),
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
            let told = self.read_when_the_log_answers().await?;
            if !told.deltas.is_empty() || told.reset || !self.begun {
                return Ok(self.tell(told));
            }
            if tokio::time::timeout(HEARTBEAT, woken).await.is_err() {
                let told = self.read_when_the_log_answers().await?;
                return Ok(self.tell(told));
            }
        }
    }

    /// What there is to tell now. A stream goes on where the log does not answer, as it will again.
    async fn read_when_the_log_answers(&self) -> Result<Told, SubscribeError> {
        loop {
            match self.read().await {
                Err(SubscribeError::Log(_)) => tokio::time::sleep(ASK_AGAIN).await,
                told => return told,
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
    async fn read(&self) -> Result<Told, SubscribeError> {
        let store = self.inbox.serving().map_err(SubscribeError::Unserved)?;
        let entries = store.after(&self.sender, self.cursor.next, RESPONSE_DELTAS_MAX);
        let (entries, progress) = entries.map_err(|error| self.inbox.unreadable(error))?;
        // At the start this was looked at already, and from the oldest on nothing is missed.
        if self.begun && self.inbox.has_lost(self.cursor.next, self.log_time_ms, &progress).await? {
            let token = self.token(Cursor::at(progress.offset), progress.log_time_ms);
            return Ok(Told { deltas: Vec::new(), token, reset: true });
        }
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
