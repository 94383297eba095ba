//! One stretch, as the events of its group.

use std::collections::{HashSet, VecDeque};

use prost_types::Timestamp;
use receipt_proto::{
    timestamp_from_ms,
    v1::{self, conversation_event::Event, message_sent::Audience, read_event::Target},
};

use super::{
    super::DataEvent,
    line::{Line, What},
};

/// 2004-01-01T00:00:00Z.
const START_MS: u64 = 1_072_915_200_000;
const MINUTE_MS: u64 = 60_000;
const DAY_MINUTES: u64 = 24 * 60;
/// Messages that an explicit receipt names, at most.
const RECEIPT_MESSAGES_MAX: usize = 100;
/// Every tenth message is preceded by an explicit receipt.
const EXPLICIT_EVERY: usize = 10;

/// A stretch while it is expanded.
pub(super) struct Stretch<'a> {
    name: &'a str,
    conversation: String,
    version: u64,
    time: Timestamp,
    members: HashSet<&'a str>,
    /// Ids of its messages so far.
    messages: Vec<String>,
    out: &'a mut VecDeque<DataEvent>,
}

impl<'a> Stretch<'a> {
    /// Adds the events of the stretch's `lines`; none, where there are none.
    pub(super) fn expand(name: &'a str, lines: &'a [Line], out: &'a mut VecDeque<DataEvent>) {
        let Some(first) = lines.first() else { return };
        let mut stretch = Stretch {
            name,
            conversation: format!("irc/{name}"),
            version: 0,
            time: timestamp_from_ms(START_MS + first.minute * MINUTE_MS),
            members: HashSet::new(),
            messages: Vec::new(),
            out,
        };
        stretch.create(&first_members(lines));
        let (mut day, mut minute_before) = (0, first.minute);
        for (n, line) in (0..).zip(lines) {
            if line.minute < minute_before {
                day += 1;
            }
            minute_before = line.minute;
            stretch.time = timestamp_from_ms(START_MS + (day * DAY_MINUTES + line.minute) * MINUTE_MS + n);
            stretch.line(&line.what);
        }
    }

    fn line(&mut self, what: &'a What) {
        match what {
            What::Join(nick) => self.add(nick),
            What::Leave(nick) => self.remove(nick),
            What::Rename { old, new } => {
                self.remove(old);
                self.add(new);
            }
            What::Message(nick) => {
                self.add(nick);
                self.read(nick);
                self.send(nick);
            }
        }
    }

    fn create(&mut self, members: &[&'a str]) {
        self.members.extend(members);
        let member_ids = members.iter().map(|nick| (*nick).to_owned()).collect();
        self.push(Event::GroupCreated(v1::GroupCreated { group_type: "public".to_owned(), member_ids }));
    }

    fn add(&mut self, nick: &'a str) {
        if self.members.insert(nick) {
            self.push(Event::MembersAdded(v1::MembersAdded { member_ids: vec![nick.to_owned()] }));
        }
    }

    fn remove(&mut self, nick: &'a str) {
        if self.members.remove(nick) {
            self.push(Event::MembersRemoved(v1::MembersRemoved { member_ids: vec![nick.to_owned()] }));
        }
    }

    /// Who writes the next message has read those before it.
    fn read(&mut self, nick: &str) {
        let Some(last) = self.messages.last() else { return };
        let target = if (self.messages.len() + 1).is_multiple_of(EXPLICIT_EVERY) {
            let from = self.messages.len().saturating_sub(RECEIPT_MESSAGES_MAX);
            Target::Messages(v1::MessageIds { message_ids: self.messages[from..].to_vec() })
        } else {
            Target::UpToMessageId(last.clone())
        };
        self.out.push_back(DataEvent::Read(v1::ReadEvent {
            conversation_id: self.conversation.clone(),
            reader_id: nick.to_owned(),
            read_at: Some(self.time),
            target: Some(target),
        }));
    }

    fn send(&mut self, nick: &str) {
        let message_id = format!("{}/{}", self.name, self.messages.len() + 1);
        self.messages.push(message_id.clone());
        self.push(Event::MessageSent(v1::MessageSent {
            message_id,
            sender_id: nick.to_owned(),
            need_read_receipt: true,
            audience: Some(Audience::AllMembers(v1::AllMembers {})),
        }));
    }

    fn push(&mut self, event: Event) {
        self.version += 1;
        self.out.push_back(DataEvent::Conversation(v1::ConversationEvent {
            conversation_id: self.conversation.clone(),
            occurred_at: Some(self.time),
            version: self.version,
            event: Some(event),
        }));
    }
}

/// The nicknames that appear without having joined or been renamed to, in order of appearance.
fn first_members(lines: &[Line]) -> Vec<&str> {
    let mut seen = HashSet::new();
    let mut first = Vec::new();
    for line in lines {
        match &line.what {
            What::Join(nick) => {
                seen.insert(nick.as_str());
            }
            What::Message(nick) | What::Leave(nick) => {
                if seen.insert(nick) {
                    first.push(nick.as_str());
                }
            }
            What::Rename { old, new } => {
                if seen.insert(old) {
                    first.push(old);
                }
                seen.insert(new);
            }
        }
    }
    first
}
