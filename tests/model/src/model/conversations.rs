//! The pass over receipts.conversations: log time, versions, groups, memberships, messages, policy. No read is looked
//! at here.

use std::{collections::BTreeMap, fmt};

use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, Policy, Record},
    id::{ConversationId, GroupType, MessageId, UserId},
    settings::Settings,
};

use super::times::{Age, age, given_or_arrival};

/// What became of a record of receipts.conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventResult {
    /// It is part of the state.
    Applied,
    /// It had been applied before, by its version or its message's id (S12).
    Repeated,
    /// It is a dead letter.
    Rejected(Reason),
}

/// Why a record of receipts.conversations is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No event stands in it.
    Unreadable,
    /// S12: the message's id is known with another sender.
    KnownWithOtherSender,
    /// S8: the group was never created.
    NoSuchGroup,
    /// S8: the group was dismissed.
    Dismissed,
    /// S8: the group was created before.
    CreatedBefore,
    /// S8: something of a group in a one-to-one conversation, or the reverse.
    WrongKind,
    /// S8: a one-to-one message between other people than the conversation's first.
    OtherPeople,
    /// S8: the recall of an unknown message.
    UnknownMessage,
    /// S9: the group would pass `max_group_members`.
    TooManyMembers,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "no event can be read",
            Self::KnownWithOtherSender => "S12: message id is known with another sender",
            Self::NoSuchGroup => "S8: group was never created",
            Self::Dismissed => "S8: group was dismissed",
            Self::CreatedBefore => "S8: group was created before",
            Self::WrongKind => "S8: group event in a one-to-one conversation, or the reverse",
            Self::OtherPeople => "S8: one-to-one message between other people",
            Self::UnknownMessage => "S8: recall of an unknown message",
            Self::TooManyMembers => "S9: more members than max_group_members",
        })
    }
}

/// One stay of one user; its place in the conversation's list is its number (S5).
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) user: UserId,
    pub(crate) ended: bool,
}

/// A message that was applied, whatever has become of it since.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) sender: UserId,
    /// One-to-one: to whom.
    pub(crate) peer: Option<UserId>,
    pub(crate) log_time_ms: u64,
    /// When it was sent (S20).
    pub(crate) sent_at_ms: u64,
    /// S10, S11: whether receipts are kept for it.
    pub(crate) asks: bool,
    /// S1, S7: numbers of memberships, rising.
    pub(crate) audience: Vec<usize>,
    pub(crate) recalled: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Group {
        group_type: GroupType,
        dismissed: bool,
    },
    /// The first sender and the first peer; so, too, in `memberships`. Twice the same in a note to oneself.
    OneToOne {
        parties: [UserId; 2],
    },
}

/// A conversation in which at least one event was applied.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) kind: Kind,
    pub(crate) last_version: u64,
    pub(crate) memberships: Vec<Membership>,
    /// In the order of the log.
    pub(crate) messages: Vec<Message>,
}

impl Conversation {
    fn new(kind: Kind) -> Self {
        Self { kind, last_version: 0, memberships: Vec::new(), messages: Vec::new() }
    }

    /// The last message with this id and its place, whatever its age. Those before it are older still (S30).
    pub(crate) fn last_message(&self, id: &MessageId) -> Option<(usize, &Message)> {
        self.messages.iter().enumerate().rev().find(|(_, message)| message.id == *id)
    }

    fn is_member(&self, user: &UserId) -> bool {
        self.memberships.iter().any(|stay| !stay.ended && stay.user == *user)
    }

    /// S5: each stay is a new membership. S8: adding a member twice changes nothing.
    fn join(&mut self, users: &[UserId]) {
        for user in users {
            if !self.is_member(user) {
                self.memberships.push(Membership { user: user.clone(), ended: false });
            }
        }
    }

    /// S8: member changes, messages and dismissals need a group that is there and goes on.
    fn check_open_group(&self) -> Result<(), Reason> {
        match self.kind {
            Kind::Group { dismissed: false, .. } => Ok(()),
            Kind::Group { dismissed: true, .. } => Err(Reason::Dismissed),
            Kind::OneToOne { .. } => Err(Reason::WrongKind),
        }
    }

    /// S9: these users can join without passing the limit. Who is given twice, or is a member, counts once.
    fn check_room(&self, settings: &Settings, users: &[UserId]) -> Result<(), Reason> {
        let mut then: Vec<&UserId> =
            self.memberships.iter().filter(|stay| !stay.ended).map(|stay| &stay.user).collect();
        for user in users {
            if !then.contains(&user) {
                then.push(user);
            }
        }
        let changes = then.len() > self.memberships.iter().filter(|stay| !stay.ended).count();
        let max = usize::try_from(settings.max_group_members).unwrap_or(usize::MAX);
        if changes && then.len() > max { Err(Reason::TooManyMembers) } else { Ok(()) }
    }
}

/// How far the pass has come.
pub(super) struct Pass {
    pub(super) settings: Settings,
    pub(super) log_time_ms: u64,
    pub(super) policy: Policy,
    pub(super) policies_applied: u64,
    pub(super) conversations: BTreeMap<ConversationId, Conversation>,
    pub(super) results: Vec<EventResult>,
}

impl Pass {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            log_time_ms: 0,
            // S11: before the first policy event, every type.
            policy: Policy::EveryGroupType,
            policies_applied: 0,
            conversations: BTreeMap::new(),
            results: Vec::new(),
        }
    }

    pub(super) fn record(&mut self, record: &Record<Event>) {
        // Log time is the highest arrival up to and with this record, whatever stands in it.
        self.log_time_ms = self.log_time_ms.max(record.arrival_ms);
        let result = match &record.event {
            Err(_) => EventResult::Rejected(Reason::Unreadable),
            Ok(Event::Tick) => EventResult::Applied,
            Ok(Event::PolicyChanged(policy)) => {
                self.policy = policy.clone();
                self.policies_applied += 1;
                EventResult::Applied
            }
            Ok(Event::Conversation(event)) => self.conversation_event(record.arrival_ms, event),
        };
        self.results.push(result);
    }

    /// S12 gives the order: the shape was looked at before; version, known id, then all else.
    fn conversation_event(&mut self, arrival_ms: u64, event: &ConversationEvent) -> EventResult {
        let last_version = self.conversations.get(&event.conversation).map_or(0, |c| c.last_version);
        // S12: at or below the last; 0 is none.
        if event.version != 0 && event.version <= last_version {
            return EventResult::Repeated;
        }
        // S12: of a known id the first stands.
        if let Change::MessageSent { message, sender, .. } = &event.change
            && let Some(first) = self.known_message(&event.conversation, message)
        {
            return if first.sender == *sender {
                EventResult::Repeated
            } else {
                EventResult::Rejected(Reason::KnownWithOtherSender)
            };
        }
        if let Err(reason) = self.apply(arrival_ms, event) {
            // S12: a dead letter does not use up its version.
            return EventResult::Rejected(reason);
        }
        if let Some(conversation) = self.conversations.get_mut(&event.conversation) {
            conversation.last_version = conversation.last_version.max(event.version);
        }
        EventResult::Applied
    }

    /// S30: a message is known until it is forgotten.
    fn known_message(&mut self, conversation: &ConversationId, id: &MessageId) -> Option<&mut Message> {
        let (settings, log_time_ms) = (self.settings, self.log_time_ms);
        let messages = &mut self.conversations.get_mut(conversation)?.messages;
        let last = messages.iter_mut().rev().find(|message| message.id == *id)?;
        (age(&settings, last.log_time_ms, log_time_ms) != Age::Forgotten).then_some(last)
    }

    /// Does all of what the event says, or nothing.
    fn apply(&mut self, arrival_ms: u64, event: &ConversationEvent) -> Result<(), Reason> {
        let id = &event.conversation;
        match &event.change {
            Change::GroupCreated { group_type, members } => self.create_group(id, group_type, members),
            Change::MembersAdded(users) => {
                let settings = self.settings;
                let group = self.open_group(id)?;
                group.check_room(&settings, users)?;
                group.join(users);
                Ok(())
            }
            Change::MembersRemoved(users) => {
                let group = self.open_group(id)?;
                for stay in group.memberships.iter_mut().filter(|stay| users.contains(&stay.user)) {
                    stay.ended = true;
                }
                Ok(())
            }
            Change::GroupDismissed => {
                // S22: members have not thereby left.
                if let Kind::Group { dismissed, .. } = &mut self.open_group(id)?.kind {
                    *dismissed = true;
                }
                Ok(())
            }
            Change::MessageSent { message, sender, need_read_receipt, audience } => {
                let draft = Message {
                    id: message.clone(),
                    sender: sender.clone(),
                    peer: None,
                    log_time_ms: self.log_time_ms,
                    sent_at_ms: given_or_arrival(event.occurred_at_ms, arrival_ms),
                    asks: *need_read_receipt,
                    audience: Vec::new(),
                    recalled: false,
                };
                match audience {
                    AudienceSpec::Peer(peer) => self.send_to_peer(id, draft, peer),
                    AudienceSpec::AllMembers => self.send_to_group(id, draft, None),
                    AudienceSpec::Listed(users) => self.send_to_group(id, draft, Some(users)),
                }
            }
            Change::MessageRecalled { message } => {
                // S8: the recall of an unknown message. S23: once recalled, for good.
                self.known_message(id, message).ok_or(Reason::UnknownMessage)?.recalled = true;
                Ok(())
            }
        }
    }

    fn open_group(&mut self, id: &ConversationId) -> Result<&mut Conversation, Reason> {
        let conversation = self.conversations.get_mut(id).ok_or(Reason::NoSuchGroup)?;
        conversation.check_open_group()?;
        Ok(conversation)
    }

    fn create_group(&mut self, id: &ConversationId, group_type: &GroupType, users: &[UserId]) -> Result<(), Reason> {
        // S8: a second time, dismissed or not; S22: the id is never free again.
        match self.conversations.get(id).map(|conversation| &conversation.kind) {
            Some(Kind::Group { .. }) => return Err(Reason::CreatedBefore),
            Some(Kind::OneToOne { .. }) => return Err(Reason::WrongKind),
            None => {}
        }
        let mut group = Conversation::new(Kind::Group { group_type: group_type.clone(), dismissed: false });
        group.check_room(&self.settings, users)?;
        group.join(users);
        self.conversations.insert(id.clone(), group);
        Ok(())
    }

    /// S8: a one-to-one conversation begins with its first message, between its two parties for good. A message to oneself
    /// begins one of one party.
    fn send_to_peer(&mut self, id: &ConversationId, draft: Message, peer: &UserId) -> Result<(), Reason> {
        match self.conversations.get(id) {
            Some(Conversation { kind: Kind::Group { .. }, .. }) => return Err(Reason::WrongKind),
            Some(Conversation { kind: Kind::OneToOne { parties: [a, b] }, .. })
                if (a, b) != (&draft.sender, peer) && (b, a) != (&draft.sender, peer) =>
            {
                return Err(Reason::OtherPeople);
            }
            _ => {}
        }
        let conversation = self.conversations.entry(id.clone()).or_insert_with(|| {
            // A group of two: the first sender, then the first peer.
            let parties = [draft.sender.clone(), peer.clone()];
            let mut begun = Conversation::new(Kind::OneToOne { parties: parties.clone() });
            begun.join(&parties);
            begun
        });
        let audience = audience(conversation, &draft.sender, None);
        conversation.messages.push(Message { peer: Some(peer.clone()), audience, ..draft });
        Ok(())
    }

    fn send_to_group(&mut self, id: &ConversationId, draft: Message, listed: Option<&[UserId]>) -> Result<(), Reason> {
        let policy = self.policy.clone();
        let group = self.open_group(id)?;
        // S11: by the policy at this point of the log. S10: fixed for good.
        let may_ask = match (&policy, &group.kind) {
            (Policy::GroupTypes(types), Kind::Group { group_type, .. }) => types.contains(group_type),
            _ => true,
        };
        let asks = draft.asks && may_ask;
        let audience = audience(group, &draft.sender, listed);
        group.messages.push(Message { asks, audience, ..draft });
        Ok(())
    }
}

/// S1: the members at this point less the sender; S7: those of them who are listed. S8: the sender need not be one.
fn audience(conversation: &Conversation, sender: &UserId, listed: Option<&[UserId]>) -> Vec<usize> {
    let stays = conversation.memberships.iter().enumerate();
    stays
        .filter(|(_, stay)| !stay.ended && stay.user != *sender)
        .filter(|(_, stay)| listed.is_none_or(|users| users.contains(&stay.user)))
        .map(|(number, _)| number)
        .collect()
}
