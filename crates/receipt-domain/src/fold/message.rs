//! Messages: sent, with an audience fixed for good, and recalled (S1, S6 to S8, S10 to S12, S19, S23).

use super::{
    Fold, Outcome, Step,
    conversation::{distinct, rejected},
    count::Place,
};
use crate::{
    event::{AudienceSpec, Change, ConversationEvent},
    id::{ConversationId, MessageId, UserId},
    state::{Audience, Conversation, Group, Kind, Message, OneToOne, Stub},
    time::{Arrival, event_time_ms},
    working_set::{ConversationNumber, Need, Needs, Position, ReadKey, known, satisfied},
};

pub(super) const ALL: std::ops::RangeInclusive<ReadKey> = (0, 0)..=(u64::MAX, u64::MAX);

/// A message in the making.
struct Sent<'a> {
    conversation: &'a ConversationId,
    message: &'a MessageId,
    sender: &'a UserId,
    occurred_at_ms: u64,
}

impl Fold {
    pub(super) fn message_sent(&mut self, event: &ConversationEvent, arrival_ms: u64) -> Result<Outcome, Needs> {
        let Change::MessageSent { message, sender, need_read_receipt, audience } = &event.change else {
            return Ok(rejected("no message"));
        };
        let sent = Sent {
            conversation: &event.conversation,
            message,
            sender,
            occurred_at_ms: event_time_ms(event.occurred_at_ms, arrival_ms),
        };
        if let Some(stub) = self.known_stub(sent.conversation, message)? {
            // The first stands (S12).
            return Ok(if stub.sender == *sender {
                Outcome::Repeated
            } else {
                rejected("S12: the message id is taken by a message of another sender")
            });
        }
        // Loaded with the rest, so that most messages take one round.
        let waiting = (sent.conversation.clone(), message.clone());
        let mut needs = Vec::new();
        if !self.rows.waiting.is_loaded(&waiting, &ALL) {
            needs.push(Need::Waiting(sent.conversation.clone(), message.clone()));
        }
        let outcome = match audience {
            AudienceSpec::Peer(peer) => self.one_to_one_message(&sent, peer, *need_read_receipt, needs)?,
            AudienceSpec::AllMembers => self.group_message(&sent, None, *need_read_receipt, needs)?,
            AudienceSpec::Listed(users) => self.group_message(&sent, Some(users), *need_read_receipt, needs)?,
        };
        if outcome == Outcome::Applied {
            self.rows.progress.messages += 1;
            let (conversation, message) = waiting;
            self.steps.push_back(Step::Release { conversation, message });
        }
        Ok(outcome)
    }

    /// What the conversation knows of the id at this log time (S30).
    pub(super) fn known_stub(&self, id: &ConversationId, message: &MessageId) -> Result<Option<&Stub>, Needs> {
        let Some(number) = self.conversation(id)?.map(|c| c.number) else { return Ok(None) };
        let stub = known(self.rows.stubs.get(&(number, message.clone())), || Need::Stub(number, message.clone()))?;
        Ok(stub.filter(|stub| self.settings.knows(stub.log_time_ms, self.now_ms())))
    }

    fn group_message(
        &mut self,
        sent: &Sent<'_>,
        listed: Option<&[UserId]>,
        need_read_receipt: bool,
        mut needs: Needs,
    ) -> Result<Outcome, Needs> {
        let (number, group) = match self.conversation(sent.conversation)? {
            None => return Ok(rejected("S8: the group was never created")),
            Some(Conversation { kind: Kind::OneToOne(_), .. }) => {
                return Ok(rejected("S8: a group message in a one-to-one conversation"));
            }
            Some(Conversation { kind: Kind::Group(group), .. }) if group.dismissed => {
                return Ok(rejected("S8: the group was dismissed"));
            }
            Some(Conversation { number, kind: Kind::Group(group), .. }) => (*number, group),
        };
        let asks = need_read_receipt && self.rows.policy.allows(&group.group_type);
        let leaves = group.leaves;
        let mut audience = None;
        if asks {
            match self.audience(number, group, sent.sender, listed) {
                Ok(found) => audience = Some(found),
                Err(more) => needs.extend(more),
            }
        }
        satisfied(needs)?;
        if need_read_receipt && !asks {
            self.effects.counters.not_allowed_by_policy += 1;
        }
        self.keep(sent, number, audience, leaves);
        Ok(Outcome::Applied)
    }

    /// Who is to read a group message, and how many those are (S1, S6, S7).
    fn audience(
        &self,
        number: ConversationNumber,
        group: &Group,
        sender: &UserId,
        listed: Option<&[UserId]>,
    ) -> Result<(Audience, u32), Needs> {
        let Some(users) = listed else {
            let sender = self.rows.membership_now(number, sender)?.map(|stay| stay.ordinal);
            let size = group.members - u32::from(sender.is_some());
            return Ok((Audience::Members { next_ordinal: group.next_ordinal, sender }, size));
        };
        let mut ordinals = Vec::with_capacity(users.len());
        let mut needs = Vec::new();
        for user in distinct(users).into_iter().filter(|user| *user != sender) {
            match self.rows.membership_now(number, user) {
                Ok(stay) => ordinals.extend(stay.map(|stay| stay.ordinal)),
                Err(need) => needs.extend(need),
            }
        }
        satisfied(needs)?;
        ordinals.sort_unstable();
        let size = u32::try_from(ordinals.len()).unwrap_or(u32::MAX);
        Ok((Audience::Listed(ordinals), size))
    }

    fn one_to_one_message(
        &mut self,
        sent: &Sent<'_>,
        peer: &UserId,
        asks: bool,
        mut needs: Needs,
    ) -> Result<Outcome, Needs> {
        let conversation = self.conversation(sent.conversation)?;
        let ordinal = match conversation.map(|c| &c.kind) {
            Some(Kind::Group(_)) => return Ok(rejected("S8: a one-to-one message in a group")),
            Some(Kind::OneToOne(two)) => match two.ordinal(peer).filter(|_| two.is_between(sent.sender, peer)) {
                Some(ordinal) => ordinal,
                None => {
                    return Ok(rejected("S8: a one-to-one message between other people than the conversation's first"));
                }
            },
            None => 1,
        };
        if peer == sent.sender {
            return self.note(sent, asks, needs);
        }
        let first = conversation.is_none();
        let marks_needed = if first { vec![(sent.sender, 0), (peer, 0)] } else { vec![(peer, sent.occurred_at_ms)] };
        for (reader, from_ms) in marks_needed {
            let prefix = (sent.conversation.clone(), reader.clone());
            if !self.rows.time_marks.is_loaded(&prefix, &((from_ms, 0)..=(u64::MAX, u64::MAX))) {
                needs.push(Need::TimeMarks(prefix.0, prefix.1, from_ms));
            }
        }
        let number = conversation.map_or(self.rows.progress.next_conversation, |c| c.number);
        satisfied(needs)?;
        if first {
            self.begin_one_to_one(sent, peer);
        }
        let audience = asks.then(|| (Audience::Listed(vec![ordinal]), 1));
        let position = self.keep(sent, number, audience, 0);
        if asks {
            let key = (sent.occurred_at_ms, position);
            self.rows.unread.put(&(number, ordinal), key, self.now_ms());
        }
        Ok(Outcome::Applied)
    }

    /// A message to oneself: nobody's to read (S8).
    fn note(&mut self, sent: &Sent<'_>, asks: bool, needs: Needs) -> Result<Outcome, Needs> {
        let number = self.conversation(sent.conversation)?.map(|c| c.number);
        satisfied(needs)?;
        let number = number.unwrap_or_else(|| {
            self.begin(sent, [sent.sender.clone(), sent.sender.clone()], [None, None]);
            self.rows.progress.next_conversation - 1
        });
        self.keep(sent, number, asks.then(|| (Audience::Listed(Vec::new()), 0)), 0);
        Ok(Outcome::Applied)
    }

    /// The two parties are settled; marks made before are reported where they can still count for the first message
    /// (S19).
    fn begin_one_to_one(&mut self, sent: &Sent<'_>, peer: &UserId) {
        let now_ms = self.now_ms();
        let parties = [sent.sender.clone(), peer.clone()];
        let marked_ms = parties.clone().map(|party| {
            let marks = self.rows.time_marks.range(&(sent.conversation.clone(), party), ALL);
            let counts = marks.filter(|(_, mark)| self.settings.arrival(mark.arrival_ms, now_ms) != Arrival::TooEarly);
            counts.map(|((up_to_ms, _), mark)| mark.reported_ms(up_to_ms)).max()
        });
        for (from, to) in [(0, 1), (1, 0)] {
            if let Some(up_to_ms) = marked_ms[from] {
                self.effects.peer_marked(sent.conversation, &parties[to], &parties[from], up_to_ms);
            }
        }
        self.begin(sent, parties, marked_ms);
    }

    fn begin(&mut self, sent: &Sent<'_>, parties: [UserId; 2], marked_ms: [Option<u64>; 2]) {
        let number = self.rows.progress.next_conversation;
        self.rows.progress.next_conversation += 1;
        let first_log_time_ms = self.now_ms();
        let two = OneToOne { parties, first_log_time_ms, marked_ms, latest_read_s: [0, 0] };
        let conversation = Conversation { number, version: 0, next_position: 1, kind: Kind::OneToOne(two) };
        self.rows.conversations.put(sent.conversation.clone(), conversation);
    }

    /// Writes the message's rows and gives it its position.
    fn keep(
        &mut self,
        sent: &Sent<'_>,
        number: ConversationNumber,
        audience: Option<(Audience, u32)>,
        leaves_applied: u32,
    ) -> Position {
        let log_time_ms = self.now_ms();
        let Some(conversation) = self.rows.conversations.get_mut(sent.conversation) else { return 0 };
        let position = conversation.next_position;
        conversation.next_position += 1;
        let stub = Stub { position, log_time_ms, asks: audience.is_some(), sender: sent.sender.clone() };
        self.rows.stubs.put((number, sent.message.clone()), stub);
        let Some((audience, audience_size)) = audience else {
            // It has a place in the order, and no row by it.
            self.rows.messages.load((number, position), None);
            return position;
        };
        let message = Message {
            id: sent.message.clone(),
            sender: sent.sender.clone(),
            log_time_ms,
            occurred_at_ms: sent.occurred_at_ms,
            audience,
            audience_size,
            recalled: false,
            leaves_applied,
            left_unread: 0,
            read_left: Some(0),
            readers: Default::default(),
        };
        self.rows.messages.put((number, position), message);
        position
    }

    pub(super) fn message_recalled(&mut self, id: &ConversationId, message: &MessageId) -> Result<Outcome, Needs> {
        let Some((position, asks)) = self.known_stub(id, message)?.map(|stub| (stub.position, stub.asks)) else {
            return Ok(rejected("S8: the recall of an unknown message"));
        };
        let Some(at) = self.conversation(id)?.map(|c| Place::of(id, c)).filter(|_| asks) else {
            return Ok(Outcome::Applied);
        };
        let key = (at.number, position);
        let row = known(self.rows.messages.get(&key), || Need::Messages(at.number, position..=position))?;
        let to_tell = row.filter(|m| !m.recalled && self.settings.keeps(m.log_time_ms, self.now_ms()));
        let Some(row) = to_tell else { return Ok(Outcome::Applied) };
        let mut needs = Needs::new();
        self.rows.need_leaves(at.number, position, row, at.leaves, &mut needs);
        satisfied(needs)?;
        // Its delta tells the counts as they are (S32): without those who have left.
        self.apply_leaves(&at, position);
        if let Some(row) = self.rows.messages.get_mut(&key) {
            row.recalled = true;
            self.effects.changed(id, key);
        }
        Ok(Outcome::Applied)
    }
}
