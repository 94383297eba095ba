//! The life of one message.

use receipt_domain::{
    answer::{ReaderState, ReceiptOutcome},
    event::{AudienceSpec, Change, ConversationEvent, ReadEvent, ReadTarget},
    fold::Outcome,
    id::{MessageId, UserId},
    state::{Kind, Message, Stub},
    time::{event_time_ms, seconds},
    working_set::ReadKey,
};

use super::{At, MessageNow, Now, ReaderNow, Watcher};

pub(super) const ALL: std::ops::RangeInclusive<ReadKey> = (0, 0)..=(u64::MAX, u64::MAX);

/// Whether a message asks for receipts, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// It does.
    Yes,
    /// Its sender did not ask (S10).
    NotRequested,
    /// The policy in force did not let its group's type ask (S11).
    NotAllowed,
    /// It does not, and which of the two it is the state does not hold.
    No,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Its event was applied.
    Sent {
        /// By whom.
        sender: UserId,
        /// When, by the sender's clock, in milliseconds; `None`: the state that the fold began with does not hold it.
        occurred_at_ms: Option<u64>,
        /// Its place among its conversation's messages.
        position: u64,
        /// Whether it asks.
        asks: Asks,
        /// How many are to read it; `None`: the state that the fold began with does not hold it.
        audience: Option<u32>,
    },
    /// The event of its sending came once more (S12).
    SentAgain,
    /// The event of its sending was refused.
    SentInVain(String),
    /// It was taken back; `again`: it had been before, or nobody is told any more.
    Recalled {
        /// Changed nothing.
        again: bool,
    },
    /// The event of its recall had been applied before, by its version.
    RecallRepeated,
    /// The event of its recall was refused.
    RecalledInVain(String),
    /// Its group was dismissed: nothing more is sent there (S22).
    Dismissed,
    /// Somebody has read it.
    Read {
        /// Who.
        user: UserId,
        /// When, in milliseconds since 1970.
        read_at_ms: u64,
        /// They were a reader before, with this later time (S18).
        before_ms: Option<u64>,
        /// By a record of receipts.reads that had waited for a message.
        waited: Option<u64>,
    },
    /// A read that named it changed nothing.
    ReadInVain {
        /// Whose.
        user: UserId,
        /// What became of it.
        outcome: ReceiptOutcome,
    },
    /// Somebody of its audience left the group.
    Left {
        /// Who.
        user: UserId,
        /// They had read it.
        had_read: bool,
    },
    /// Its retention ended (S30).
    Expired,
    /// Its id is free (S30).
    Forgotten,
}

/// Something that happened to it, and by which record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// By which; `None`: by one of those before the state that the fold began with.
    pub at: Option<At>,
    /// What.
    pub what: What,
}

/// Watches one message.
#[derive(Debug)]
pub struct MessageLife {
    message: MessageId,
    /// All that happened, in the order in which it was folded; first what the state shows that the fold began with.
    pub happenings: Vec<Happening>,
    /// The state that the fold began with knew its id.
    pub was_known: bool,
    /// Log time at the message, while its id is known; whether it is kept.
    life: Option<(u64, bool)>,
    /// Those whom the record in hand may concern.
    before: Vec<Candidate>,
    recalled_before: bool,
}

#[derive(Debug)]
struct Candidate {
    user: UserId,
    state: Option<ReaderState>,
    /// The membership by which it is theirs to read has ended.
    ended: bool,
    /// Offset and time of a read that waits.
    waiting: Option<(u64, u64)>,
}

impl MessageLife {
    /// Of this message.
    #[must_use]
    pub fn new(message: MessageId) -> Self {
        Self {
            message,
            happenings: Vec::new(),
            was_known: false,
            life: None,
            before: Vec::new(),
            recalled_before: false,
        }
    }

    /// As it is now.
    #[must_use]
    pub fn now(&self, now: Now<'_>) -> MessageNow {
        MessageNow::of(now, &self.message, self.life.map(|(sent_ms, _)| sent_ms))
    }

    fn happened(&mut self, at: At, what: What) {
        self.happenings.push(Happening { at: Some(at), what });
    }

    fn had_happened(&mut self, what: What) {
        self.happenings.push(Happening { at: None, what });
    }

    fn candidate(&self, now: Now<'_>, user: &UserId, waiting: Option<(u64, u64)>) -> Candidate {
        let (state, ended) = (state(now, &self.message, user), has_ended(now, &self.message, user));
        Candidate { user: user.clone(), state, ended, waiting }
    }

    /// Of reads that wait for this message, and of marks that wait for another one, which may be behind it.
    fn released_by(&self, now: Now<'_>, sent: &MessageId, audience: &AudienceSpec) -> Vec<Candidate> {
        let ours = *sent == self.message;
        let waiting = now.rows.waiting.range(&(now.id.clone(), sent.clone()), ALL);
        let waiting = waiting.filter(|(_, read)| ours || read.up_to);
        let mut found: Vec<_> = waiting
            .map(|((offset, _), read)| self.candidate(now, &read.reader, Some((offset, read.read_at_ms))))
            .collect();
        if let (true, AudienceSpec::Peer(peer)) = (ours, audience) {
            let marks = now.rows.time_marks.range(&(now.id.clone(), peer.clone()), ALL);
            found.extend(marks.map(|((_, offset), mark)| self.candidate(now, peer, Some((offset, mark.read_at_ms)))));
        }
        found
    }

    fn sent(&mut self, now: Now<'_>, at: At, event: &ConversationEvent, outcome: &Outcome) {
        let Change::MessageSent { sender, need_read_receipt, .. } = &event.change else { return };
        let what = match outcome {
            Outcome::Applied => {
                let Some(stub) = stub(now, &self.message) else { return };
                self.life = Some((stub.log_time_ms, true));
                // An earlier message of this id may have been forgotten by this very record.
                for candidate in &mut self.before {
                    candidate.state = None;
                }
                let asks = match (stub.asks, need_read_receipt) {
                    (true, _) => Asks::Yes,
                    (false, true) => Asks::NotAllowed,
                    (false, false) => Asks::NotRequested,
                };
                What::Sent {
                    sender: sender.clone(),
                    occurred_at_ms: Some(event_time_ms(event.occurred_at_ms, at.arrival_ms)),
                    position: stub.position,
                    asks,
                    audience: Some(row(now, &self.message).map_or(0, |row| row.audience_size)),
                }
            }
            Outcome::Repeated | Outcome::Skipped => What::SentAgain,
            Outcome::Rejected(why) => What::SentInVain(why.0.clone()),
        };
        self.happened(at, what);
    }

    /// What has changed for those whom the record may concern, each once.
    fn changes(&mut self, now: Now<'_>, at: At) {
        let candidates = std::mem::take(&mut self.before);
        let mut told = std::collections::BTreeSet::new();
        for (index, candidate) in candidates.iter().enumerate() {
            let Candidate { user, state: before, .. } = candidate;
            let after = state(now, &self.message, user);
            if *before == after || !told.insert(user.clone()) {
                continue;
            }
            let what = match (before, after) {
                (_, Some(ReaderState::Read(read_at_ms))) => {
                    let before_ms =
                        if let Some(ReaderState::Read(before_ms)) = before { Some(*before_ms) } else { None };
                    let answered_ms = |ms| row(now, &self.message).map_or(ms, |row| row.answered_ms(seconds(ms)));
                    // The one that made it so; of several, the first.
                    let of_user = candidates.iter().skip(index).filter(|other| other.user == *user);
                    let mut waited = of_user.filter_map(|other| other.waiting);
                    let waited = waited.find(|(_, ms)| answered_ms(*ms) == read_at_ms);
                    What::Read { user: user.clone(), read_at_ms, before_ms, waited: waited.map(|(offset, _)| offset) }
                }
                (Some(ReaderState::Unread), Some(ReaderState::LeftUnread)) => {
                    What::Left { user: user.clone(), had_read: false }
                }
                _ => continue,
            };
            self.happened(at, what);
        }
    }
}

impl Watcher for MessageLife {
    fn begins(&mut self, now: Now<'_>) {
        let stub = stub(now, &self.message).filter(|stub| now.settings.knows(stub.log_time_ms, now.log_time_ms()));
        let Some(stub) = stub else { return };
        let is_kept = now.settings.keeps(stub.log_time_ms, now.log_time_ms());
        (self.was_known, self.life) = (true, Some((stub.log_time_ms, is_kept)));
        let (occurred_at_ms, audience) = match row(now, &self.message) {
            Some(row) => (Some(row.occurred_at_ms), Some(row.audience_size)),
            None => (None, (!stub.asks).then_some(0)),
        };
        let asks = if stub.asks { Asks::Yes } else { Asks::No };
        let (sender, position) = (stub.sender.clone(), stub.position);
        self.had_happened(What::Sent { sender, occurred_at_ms, position, asks, audience });
        if let Ok(answer) = self.now(now).answer {
            for ReaderNow { user, read_at_ms, left } in answer.readers {
                self.had_happened(What::Read { user: user.clone(), read_at_ms, before_ms: None, waited: None });
                if left {
                    self.had_happened(What::Left { user, had_read: true });
                }
            }
            for user in answer.left_unread {
                self.had_happened(What::Left { user, had_read: false });
            }
            if answer.receipt.recalled {
                self.had_happened(What::Recalled { again: false });
            }
        }
        if is_dismissed(now) {
            self.had_happened(What::Dismissed);
        }
        if !is_kept {
            self.had_happened(What::Expired);
        }
    }

    fn before_event(&mut self, now: Now<'_>, event: &ConversationEvent) {
        self.before = match &event.change {
            Change::MessageSent { message, audience, .. } => self.released_by(now, message, audience),
            Change::MembersRemoved(users) => users.iter().map(|user| self.candidate(now, user, None)).collect(),
            _ => Vec::new(),
        };
        self.recalled_before = row(now, &self.message).is_none_or(|row| row.recalled);
    }

    fn after_event(&mut self, now: Now<'_>, at: At, event: &ConversationEvent, outcome: &Outcome) {
        match &event.change {
            Change::MessageSent { message, .. } if *message == self.message => self.sent(now, at, event, outcome),
            Change::MessageRecalled { message } if *message == self.message => {
                let what = match outcome {
                    Outcome::Applied => {
                        let recalled = row(now, &self.message).is_some_and(|row| row.recalled);
                        What::Recalled { again: self.recalled_before || !recalled }
                    }
                    Outcome::Repeated | Outcome::Skipped => What::RecallRepeated,
                    Outcome::Rejected(why) => What::RecalledInVain(why.0.clone()),
                };
                self.happened(at, what);
            }
            Change::GroupDismissed if *outcome == Outcome::Applied && self.life.is_some() => {
                self.happened(at, What::Dismissed);
            }
            Change::MembersRemoved(_) if *outcome == Outcome::Applied => {
                // Who has read it is a reader still, and has left.
                let readers = self.before.iter().filter(|one| {
                    let had_read = matches!(one.state, Some(ReaderState::Read(_)));
                    had_read && !one.ended && has_ended(now, &self.message, &one.user)
                });
                let readers: Vec<_> = readers.map(|one| one.user.clone()).collect();
                for user in readers {
                    self.happened(at, What::Left { user, had_read: true });
                }
            }
            _ => {}
        }
        self.changes(now, at);
    }

    fn before_read(&mut self, now: Now<'_>, read: &ReadEvent) {
        self.before = vec![self.candidate(now, &read.reader, None)];
    }

    fn after_read(&mut self, now: Now<'_>, at: At, read: &ReadEvent) {
        let before = self.happenings.len();
        self.changes(now, at);
        if self.happenings.len() > before {
            return;
        }
        let (queries, message) = (now.queries(), &self.message);
        let outcome = match &read.target {
            ReadTarget::Messages(named) if named.contains(message) => {
                queries.outcome(now.id, message, &read.reader, at.arrival_ms)
            }
            ReadTarget::UpToMessage(named) if named == message => queries.mark_outcome(now.id, message, at.arrival_ms),
            _ => return,
        };
        if let Ok(outcome) = outcome {
            self.happened(at, What::ReadInVain { user: read.reader.clone(), outcome });
        }
    }

    fn time(&mut self, now: Now<'_>, at: At) {
        let Some((sent_ms, kept)) = self.life else { return };
        let log_time_ms = now.log_time_ms();
        if kept && !now.settings.keeps(sent_ms, log_time_ms) {
            self.life = Some((sent_ms, false));
            self.happened(at, What::Expired);
        }
        if !now.settings.knows(sent_ms, log_time_ms) {
            self.life = None;
            self.happened(at, What::Forgotten);
        }
    }
}

/// Whether the membership by which a message is a user's to read has ended.
fn has_ended(now: Now<'_>, message: &MessageId, user: &UserId) -> bool {
    let Some(Ok(found)) = now.queries().find(now.id, message, None).ok() else { return false };
    let stays = now.rows.memberships.get(&(found.conversation.number, user.clone())).ok().flatten();
    let stay = stays.into_iter().flatten().rev().find(|stay| stay.covers(found.position));
    stay.is_some_and(|stay| stay.left.is_some())
}

pub(super) fn conversation_number(now: Now<'_>) -> Option<u64> {
    now.rows.conversations.get(now.id).ok().flatten().map(|conversation| conversation.number)
}

fn stub<'a>(now: Now<'a>, message: &MessageId) -> Option<&'a Stub> {
    now.rows.stubs.get(&(conversation_number(now)?, message.clone())).ok().flatten()
}

fn is_dismissed(now: Now<'_>) -> bool {
    let conversation = now.rows.conversations.get(now.id).ok().flatten();
    matches!(conversation.map(|conversation| &conversation.kind), Some(Kind::Group(group)) if group.dismissed)
}

fn row<'a>(now: Now<'a>, message: &MessageId) -> Option<&'a Message> {
    let found = now.queries().find(now.id, message, None).ok()?.ok()?;
    Some(found.message)
}

/// What somebody did with it; `None` where nothing is answered about it.
fn state(now: Now<'_>, message: &MessageId, user: &UserId) -> Option<ReaderState> {
    let queries = now.queries();
    let found = queries.find(now.id, message, None).ok()?.ok()?;
    queries.reader_state(&found, user).ok()
}
