//! The life of a conversation as a whole.

use receipt_domain::{
    answer::Unanswerable,
    event::{AudienceSpec, Change, ConversationEvent, Policy, ReadEvent, Rejection},
    fold::Outcome,
    id::{GroupType, UserId},
    receipt::Receipt,
    state::Kind,
};

use super::{At, Now, Watcher};

/// Members that are named in one line.
const NAMED_MAX: usize = 8;

/// One event, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub at: At,
    /// Its version; 0: none.
    pub version: u64,
    /// What it says, in few words.
    pub what: String,
    /// What became of it.
    pub outcome: Outcome,
    /// A message that asked, and whose group's type may not (S11).
    pub not_allowed: bool,
}

/// Watches a conversation.
#[derive(Debug, Default)]
pub struct ConversationLife {
    /// Its events, the policies in between, and what could not be read, in the order of the log.
    pub entries: Vec<Entry>,
    /// Read events of it.
    pub reads: u64,
    /// The state that the fold began with had it.
    pub was_there: bool,
}

/// What a conversation is at the end.
#[derive(Debug, Clone)]
pub struct ConversationNow {
    /// Group or one-to-one.
    pub kind: KindNow,
    /// The last version applied; 0: none.
    pub version: u64,
    /// Messages sent in it, forgotten ones too.
    pub messages_sent: u64,
    /// Receipts counted in it, of expired messages too; `None`: the state that the fold began with does not hold it.
    pub receipts: Option<u64>,
    /// Log time.
    pub log_time_ms: u64,
    /// Those whose ids are known, in their order.
    pub messages: Vec<MessageLine>,
}

/// Group or one-to-one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KindNow {
    /// A group.
    Group {
        /// Its type.
        group_type: GroupType,
        /// Whether the policy in force lets its messages ask.
        may_ask: bool,
        /// Nothing more is sent.
        dismissed: bool,
        /// Those who are members, by membership.
        members: Vec<MemberNow>,
        /// Memberships that have ended.
        left: u32,
    },
    /// Two people, and up to when each has said to have read all, in milliseconds.
    OneToOne([(UserId, Option<u64>); 2]),
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberNow {
    /// Who.
    pub user: UserId,
    /// Their membership's number.
    pub ordinal: u32,
    /// The position of the first message sent in it.
    pub joined_position: u64,
}

/// A message in few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageLine {
    /// Its place.
    pub position: u64,
    /// Its id.
    pub id: String,
    /// Who sent it.
    pub sender: UserId,
    /// Log time at it.
    pub log_time_ms: u64,
    /// What is answered about it.
    pub receipt: Result<Receipt, Unanswerable>,
}

impl ConversationLife {
    /// As it is now; `None`: there is none.
    #[must_use]
    pub fn now(now: Now<'_>) -> Option<ConversationNow> {
        let conversation = now.rows.conversations.get(now.id).ok()??;
        let number = conversation.number;
        let kind = match &conversation.kind {
            Kind::OneToOne(two) => {
                let party = |i: usize| (two.parties[i].clone(), two.marked_ms[i]);
                KindNow::OneToOne([party(0), party(1)])
            }
            Kind::Group(group) => {
                let of_group = now.rows.memberships.rows().filter(|((of, _), _)| *of == number);
                let members = of_group.filter_map(|((_, user), stays)| {
                    let stay = stays.last().filter(|stay| stay.left.is_none())?;
                    let (ordinal, joined_position) = (stay.ordinal, stay.joined_position);
                    Some(MemberNow { user: user.clone(), ordinal, joined_position })
                });
                let mut members: Vec<_> = members.collect();
                members.sort_unstable_by_key(|member| member.ordinal);
                KindNow::Group {
                    group_type: group.group_type.clone(),
                    may_ask: now.rows.policy.allows(&group.group_type),
                    dismissed: group.dismissed,
                    members,
                    left: group.leaves,
                }
            }
        };
        let progress = &now.rows.progress;
        Some(ConversationNow {
            kind,
            version: conversation.version,
            messages_sent: conversation.next_position.saturating_sub(1),
            receipts: now.is_whole.then_some(progress.receipts),
            log_time_ms: progress.log_time_ms,
            messages: messages(now),
        })
    }

    fn add(&mut self, at: At, version: u64, what: String, outcome: Outcome) {
        self.entries.push(Entry { at, version, what, outcome, not_allowed: false });
    }
}

fn messages(now: Now<'_>) -> Vec<MessageLine> {
    let queries = now.queries();
    let known = now.rows.stubs.rows().filter(|(_, stub)| now.settings.knows(stub.log_time_ms, now.log_time_ms()));
    let lines = known.map(|((_, id), stub)| {
        let receipt = match queries.find(now.id, id, None) {
            Ok(Ok(found)) => queries.receipt(&found).map_err(|_| Unanswerable::NotFound),
            Ok(Err(why)) => Err(why),
            Err(_) => Err(Unanswerable::NotFound),
        };
        let (id, sender) = (id.as_str().to_owned(), stub.sender.clone());
        MessageLine { position: stub.position, id, sender, log_time_ms: stub.log_time_ms, receipt }
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort_unstable_by_key(|line| line.position);
    lines
}

impl Watcher for ConversationLife {
    fn begins(&mut self, now: Now<'_>) {
        self.was_there = now.rows.conversations.get(now.id).ok().flatten().is_some();
    }

    fn before_event(&mut self, _: Now<'_>, _: &ConversationEvent) {}

    fn after_event(&mut self, now: Now<'_>, at: At, event: &ConversationEvent, outcome: &Outcome) {
        let not_allowed = now.effects.counters.not_allowed_by_policy > 0;
        let (what, outcome) = (in_words(&event.change), outcome.clone());
        self.entries.push(Entry { at, version: event.version, what, outcome, not_allowed });
    }

    fn before_read(&mut self, _: Now<'_>, _: &ReadEvent) {}

    fn after_read(&mut self, _: Now<'_>, _: At, _: &ReadEvent) {
        self.reads += 1;
    }

    fn policy(&mut self, _: Now<'_>, at: At, policy: &Policy) {
        let what = match policy {
            Policy::EveryGroupType => "policy: every group type may ask".to_owned(),
            Policy::GroupTypes(types) => format!("policy: these group types may ask: {}", named(types)),
        };
        self.add(at, 0, what, Outcome::Applied);
    }

    fn rejected(&mut self, _: Now<'_>, at: At, why: &Rejection) {
        self.add(at, 0, "unreadable".to_owned(), Outcome::Rejected(why.clone()));
    }
}

/// An event in few words.
fn in_words(change: &Change) -> String {
    match change {
        Change::GroupCreated { group_type, members } => {
            format!("group created, of type {group_type}: {}", named(members))
        }
        Change::MembersAdded(users) => format!("added {}", named(users)),
        Change::MembersRemoved(users) => format!("removed {}", named(users)),
        Change::GroupDismissed => "group dismissed".to_owned(),
        Change::MessageSent { message, sender, need_read_receipt, audience } => {
            let to = match audience {
                AudienceSpec::Peer(peer) => peer.to_string(),
                AudienceSpec::AllMembers => "all members".to_owned(),
                AudienceSpec::Listed(users) => named(users),
            };
            let asks = if *need_read_receipt { "" } else { ", without asking" };
            format!("message {message} from {sender} to {to}{asks}")
        }
        Change::MessageRecalled { message } => format!("message {message} recalled"),
    }
}

fn named(names: &[impl ToString]) -> String {
    let mut text: Vec<_> = names.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    if let Some(more) = names.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        text.push(format!("and {more} more"));
    }
    if text.is_empty() { "nobody".to_owned() } else { text.join(", ") }
}
