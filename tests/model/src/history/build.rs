//! Ops written out as records.

use std::collections::BTreeMap;

use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, Policy, ReadEvent, ReadTarget, Record, Rejection},
    id::{ConversationId, GroupType, InvalidId, MessageId, UserId},
    settings::Settings,
};

use super::op::{
    Arrival, AudienceOp, ChangeOp, Content, MessageOp, Moment, Op, ReadContent, TargetOp, VersionOp, What,
};

/// Message ids that new messages of one conversation take in turn.
const MESSAGE_IDS: u8 = 6;

/// A message as it was written, whatever becomes of it.
#[derive(Clone, Copy)]
struct Written {
    id: u8,
    log_time_ms: u64,
    sent_at_ms: u64,
}

/// What was written of one conversation so far.
#[derive(Default)]
struct Before {
    version: u64,
    next_message: u8,
    messages: Vec<Written>,
}

impl Before {
    fn id(&self, message: MessageOp) -> u8 {
        match message {
            MessageOp::Recent(ago) => {
                self.messages.iter().rev().nth(ago.into()).map_or(self.next_message, |written| written.id)
            }
            MessageOp::Next => self.next_message,
            MessageOp::Any(id) => id % MESSAGE_IDS,
        }
    }

    /// The last use of this id, or the last message.
    fn written(&self, id: Option<u8>) -> Option<Written> {
        let named = self.messages.iter().rev().find(|written| Some(written.id) == id);
        named.or(self.messages.last()).copied()
    }
}

struct Builder<'a> {
    settings: &'a Settings,
    clock_ms: u64,
    log_time_ms: u64,
    before: BTreeMap<u8, Before>,
    conversations: Vec<Record<Event>>,
    reads: Vec<Record<ReadEvent>>,
}

/// The two topics that these ops make, with the clock from `start_ms` on.
pub fn build<'a>(
    settings: &Settings,
    start_ms: u64,
    ops: impl IntoIterator<Item = &'a Op>,
) -> (Vec<Record<Event>>, Vec<Record<ReadEvent>>) {
    let mut builder = Builder {
        settings,
        clock_ms: start_ms,
        log_time_ms: 0,
        before: BTreeMap::new(),
        conversations: Vec::new(),
        reads: Vec::new(),
    };
    for op in ops {
        builder.clock_ms = builder.clock_ms.saturating_add(op.step.ms(settings));
        match &op.what {
            What::Conversations(content) => builder.conversations_record(op.arrival, content),
            What::Reads(content) => builder.reads_record(op.arrival, content),
        }
    }
    (builder.conversations, builder.reads)
}

impl Builder<'_> {
    fn arrival_ms(&self, arrival: Arrival, message: Option<Written>) -> u64 {
        match arrival {
            Arrival::Clock(shift) => shift.from_ms(self.settings, self.clock_ms),
            Arrival::Message(shift) => {
                shift.from_ms(self.settings, message.map_or(self.clock_ms, |written| written.log_time_ms))
            }
            Arrival::Missing => 0,
        }
    }

    fn moment_ms(&self, moment: Moment, arrival_ms: u64, message: Option<Written>) -> Option<u64> {
        match moment {
            Moment::Absent => None,
            Moment::Arrival(shift) => Some(shift.from_ms(self.settings, arrival_ms)),
            Moment::Sent(shift) => {
                Some(shift.from_ms(self.settings, message.map_or(arrival_ms, |written| written.sent_at_ms)))
            }
        }
    }

    fn conversations_record(&mut self, arrival: Arrival, content: &Content) {
        let last = match content {
            Content::Change { conversation, .. } => {
                self.before.get(conversation).and_then(|before| before.written(None))
            }
            _ => None,
        };
        let arrival_ms = self.arrival_ms(arrival, last);
        self.log_time_ms = self.log_time_ms.max(arrival_ms);
        let event = match content {
            Content::Tick => Ok(Event::Tick),
            Content::Policy(types) => policy(types.as_deref()).map(Event::PolicyChanged).map_err(rejection),
            Content::Change { conversation, version, occurred_at, change } => {
                let occurred_at_ms = self.moment_ms(*occurred_at, arrival_ms, last);
                self.conversation_event(arrival_ms, *conversation, *version, occurred_at_ms, change).map_err(rejection)
            }
            Content::Again(ago) => again(&self.conversations, *ago),
            Content::Unreadable => Err(unreadable()),
        };
        self.conversations.push(Record { offset: offset(&self.conversations), arrival_ms, event });
    }

    fn conversation_event(
        &mut self,
        arrival_ms: u64,
        number: u8,
        version: VersionOp,
        occurred_at_ms: Option<u64>,
        change: &ChangeOp,
    ) -> Result<Event, InvalidId> {
        let log_time_ms = self.log_time_ms;
        let before = self.before.entry(number).or_default();
        let version = match version {
            VersionOp::None => 0,
            VersionOp::Next => before.version + 1,
            VersionOp::Same => before.version,
            VersionOp::Behind => before.version.saturating_sub(1),
        };
        before.version = before.version.max(version);
        let change = match change {
            ChangeOp::Create { group_type, members } => {
                Change::GroupCreated { group_type: type_id(*group_type)?, members: users(members)? }
            }
            ChangeOp::Add(members) => Change::MembersAdded(users(members)?),
            ChangeOp::Remove(members) => Change::MembersRemoved(users(members)?),
            ChangeOp::Dismiss => Change::GroupDismissed,
            ChangeOp::Send { message, sender, asks, audience } => {
                let id = before.id(*message);
                if *message == MessageOp::Next {
                    before.next_message = (id + 1) % MESSAGE_IDS;
                }
                before.messages.push(Written { id, log_time_ms, sent_at_ms: occurred_at_ms.unwrap_or(arrival_ms) });
                Change::MessageSent {
                    message: message_id(id)?,
                    sender: user_id(*sender)?,
                    need_read_receipt: *asks,
                    audience: match audience {
                        AudienceOp::All => AudienceSpec::AllMembers,
                        AudienceOp::Peer(peer) => AudienceSpec::Peer(user_id(*peer)?),
                        AudienceOp::Listed(listed) => AudienceSpec::Listed(users(listed)?),
                    },
                }
            }
            ChangeOp::Recall(message) => Change::MessageRecalled { message: message_id(before.id(*message))? },
        };
        let conversation = conversation_id(number)?;
        Ok(Event::Conversation(ConversationEvent { conversation, occurred_at_ms, version, change }))
    }

    fn reads_record(&mut self, arrival: Arrival, content: &ReadContent) {
        let (arrival_ms, event) = match content {
            ReadContent::Read { conversation, reader, read_at, target } => {
                let before = self.before.entry(*conversation).or_default();
                let named = match target {
                    TargetOp::Messages(messages) => messages.first().map(|message| before.id(*message)),
                    TargetOp::UpTo(message) => Some(before.id(*message)),
                    TargetOp::UpToTime(_) => None,
                };
                let written = before.written(named);
                let arrival_ms = self.arrival_ms(arrival, written);
                let read_at_ms = self.moment_ms(*read_at, arrival_ms, written);
                let event = self.target(*conversation, arrival_ms, written, target).and_then(|target| {
                    Ok(ReadEvent {
                        conversation: conversation_id(*conversation)?,
                        reader: user_id(*reader)?,
                        read_at_ms,
                        target,
                    })
                });
                (arrival_ms, event.map_err(rejection))
            }
            ReadContent::Again(ago) => (self.arrival_ms(arrival, None), again(&self.reads, *ago)),
            ReadContent::Unreadable => (self.arrival_ms(arrival, None), Err(unreadable())),
        };
        self.reads.push(Record { offset: offset(&self.reads), arrival_ms, event });
    }

    fn target(
        &mut self,
        conversation: u8,
        arrival_ms: u64,
        written: Option<Written>,
        target: &TargetOp,
    ) -> Result<ReadTarget, InvalidId> {
        let until_ms = |moment| self.moment_ms(moment, arrival_ms, written).unwrap_or(arrival_ms);
        Ok(match target {
            TargetOp::UpToTime(moment) => ReadTarget::UpToTime(until_ms(*moment)),
            TargetOp::UpTo(message) => {
                ReadTarget::UpToMessage(message_id(self.before.entry(conversation).or_default().id(*message))?)
            }
            TargetOp::Messages(messages) => {
                let before = self.before.entry(conversation).or_default();
                let ids: Result<Vec<_>, _> = messages.iter().map(|message| message_id(before.id(*message))).collect();
                ReadTarget::Messages(ids?)
            }
        })
    }
}

/// What was written that many records ago, or at first.
fn again<E: Clone>(written: &[Record<E>], ago: u8) -> Result<E, Rejection> {
    let record = written.iter().rev().nth(ago.into()).or(written.first());
    record.map_or_else(|| Err(unreadable()), |record| record.event.clone())
}

fn offset<E>(written: &[Record<E>]) -> u64 {
    u64::try_from(written.len()).unwrap_or(u64::MAX)
}

fn unreadable() -> Rejection {
    Rejection("not an event".to_owned())
}

fn rejection(error: InvalidId) -> Rejection {
    Rejection(error.to_string())
}

fn policy(types: Option<&[u8]>) -> Result<Policy, InvalidId> {
    let Some(types) = types else { return Ok(Policy::EveryGroupType) };
    let types: Result<Vec<_>, _> = types.iter().map(|number| type_id(*number)).collect();
    Ok(Policy::GroupTypes(types?))
}

fn users(numbers: &[u8]) -> Result<Vec<UserId>, InvalidId> {
    numbers.iter().map(|number| user_id(*number)).collect()
}

fn user_id(number: u8) -> Result<UserId, InvalidId> {
    UserId::new(&format!("u{number}"))
}

fn message_id(number: u8) -> Result<MessageId, InvalidId> {
    MessageId::new(&format!("m{number}"))
}

fn conversation_id(number: u8) -> Result<ConversationId, InvalidId> {
    ConversationId::new(&format!("c{number}"))
}

fn type_id(number: u8) -> Result<GroupType, InvalidId> {
    GroupType::new(&format!("type{number}"))
}
