//! CollegeMsg: private messages, read when they are answered.
//!
//! Line `n` from A to B is the message `m<n>` in the conversation `c<a>-<b>`, a < b. If B had sent A something that A
//! had not yet read, A has read it now.

use std::collections::{HashMap, VecDeque};

use prost_types::Timestamp;
use receipt_proto::{
    timestamp_from_s,
    v1::{self, conversation_event::Event, message_sent::Audience, read_event::Target},
};

use super::{DataEvent, DatasetError, lines::Lines};

/// Messages that one receipt may name.
const RECEIPT_MESSAGES_MAX: usize = 100;

pub(super) struct CollegeMsg {
    lines: Lines,
    messages: u64,
    /// Events so far, by conversation.
    versions: HashMap<(u64, u64), u64>,
    /// Numbers of the messages not yet read, by sender and receiver.
    unread: HashMap<(u64, u64), Vec<u64>>,
}

impl CollegeMsg {
    pub(super) fn new(lines: Lines) -> Self {
        Self { lines, messages: 0, versions: HashMap::new(), unread: HashMap::new() }
    }

    /// Adds the events of the next line; false at the end.
    pub(super) fn read_more(&mut self, out: &mut VecDeque<DataEvent>) -> Result<bool, DatasetError> {
        let Some(fields) = self.lines.next_fields::<3>()? else {
            return Ok(false);
        };
        let numbers = fields.map(str::parse::<u64>);
        let [Ok(sender), Ok(receiver), Ok(time)] = numbers else {
            return Err(self.lines.wrong("sender, receiver and time must be numbers".to_owned()));
        };
        self.messages += 1;
        let time = timestamp_from_s(time);
        let pair = (sender.min(receiver), sender.max(receiver));
        let conversation = format!("c{}-{}", pair.0, pair.1);
        if let Some(unread) = self.unread.get_mut(&(receiver, sender)) {
            for messages in unread.chunks(RECEIPT_MESSAGES_MAX) {
                out.push_back(DataEvent::Read(read(&conversation, sender, time, messages)));
            }
            unread.clear();
        }
        self.unread.entry((sender, receiver)).or_default().push(self.messages);
        let version = self.versions.entry(pair).or_default();
        *version += 1;
        out.push_back(DataEvent::Conversation(v1::ConversationEvent {
            conversation_id: conversation,
            occurred_at: Some(time),
            version: *version,
            event: Some(Event::MessageSent(v1::MessageSent {
                message_id: format!("m{}", self.messages),
                sender_id: sender.to_string(),
                need_read_receipt: true,
                audience: Some(Audience::PeerId(receiver.to_string())),
            })),
        }));
        Ok(true)
    }
}

fn read(conversation: &str, reader: u64, time: Timestamp, messages: &[u64]) -> v1::ReadEvent {
    let message_ids = messages.iter().map(|n| format!("m{n}")).collect();
    v1::ReadEvent {
        conversation_id: conversation.to_owned(),
        reader_id: reader.to_string(),
        read_at: Some(time),
        target: Some(Target::Messages(v1::MessageIds { message_ids })),
    }
}
