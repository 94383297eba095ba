//! Values of records as JSON, and back: what `event_json` writes is read here, and nothing else.

use anyhow::bail;
use prost::Message as _;
use prost_types::Timestamp;
use receipt_log::Topic;
use receipt_proto::v1::{self, conversation_event, message_sent, read_event};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

/// A record's value as JSON; `None` where it is no event of its topic.
pub(crate) fn of_value(topic: Topic, value: &[u8]) -> Option<Value> {
    match topic {
        Topic::Conversations => v1::ConversationEvent::decode(value).ok().map(|event| super::conversation(&event)),
        Topic::Reads => v1::ReadEvent::decode(value).ok().map(|event| super::read(&event)),
        Topic::Deltas | Topic::DeadLetter => None,
    }
}

/// The value of a record that holds an event.
pub(crate) fn to_value(topic: Topic, event: &str) -> anyhow::Result<Vec<u8>> {
    match topic {
        Topic::Conversations => {
            Ok(v1::ConversationEvent::from(serde_json::from_str::<Conversation>(event)?).encode_to_vec())
        }
        Topic::Reads => Ok(v1::ReadEvent::from(serde_json::from_str::<Read>(event)?).encode_to_vec()),
        Topic::Deltas | Topic::DeadLetter => bail!("{topic} has no events: give the value in base64"),
    }
}

/// RFC 3339.
struct Time(Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| D::Error::custom(format_args!("\"{}\" is no time", text.escape_debug())))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conversation {
    conversation_id: String,
    occurred_at: Option<Time>,
    #[serde(default)]
    version: u64,
    event: Option<Event>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Event {
    GroupCreated { group_type: String, member_ids: Vec<String> },
    MembersAdded { member_ids: Vec<String> },
    MembersRemoved { member_ids: Vec<String> },
    GroupDismissed {},
    MessageSent { message_id: String, sender_id: String, need_read_receipt: bool, audience: Option<Audience> },
    MessageRecalled { message_id: String },
    PolicyChanged { policy: Option<Policy> },
    Tick {},
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    every_group_type: bool,
    group_types: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Audience {
    PeerId(String),
    AllMembers {},
    ListedMembers { member_ids: Vec<String> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    conversation_id: String,
    reader_id: String,
    read_at: Option<Time>,
    target: Option<Target>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Target {
    Messages { message_ids: Vec<String> },
    UpToMessageId(String),
    UpToTime(Time),
}

impl From<Conversation> for v1::ConversationEvent {
    fn from(event: Conversation) -> Self {
        let Conversation { conversation_id, occurred_at, version, event } = event;
        let occurred_at = occurred_at.map(|time| time.0);
        Self { conversation_id, occurred_at, version, event: event.map(conversation_event::Event::from) }
    }
}

impl From<Event> for conversation_event::Event {
    fn from(event: Event) -> Self {
        match event {
            Event::GroupCreated { group_type, member_ids } => {
                Self::GroupCreated(v1::GroupCreated { group_type, member_ids })
            }
            Event::MembersAdded { member_ids } => Self::MembersAdded(v1::MembersAdded { member_ids }),
            Event::MembersRemoved { member_ids } => Self::MembersRemoved(v1::MembersRemoved { member_ids }),
            Event::GroupDismissed {} => Self::GroupDismissed(v1::GroupDismissed {}),
            Event::MessageSent { message_id, sender_id, need_read_receipt, audience } => {
                let audience = audience.map(|audience| match audience {
                    Audience::PeerId(peer) => message_sent::Audience::PeerId(peer),
                    Audience::AllMembers {} => message_sent::Audience::AllMembers(v1::AllMembers {}),
                    Audience::ListedMembers { member_ids } => {
                        message_sent::Audience::ListedMembers(v1::ListedMembers { member_ids })
                    }
                });
                Self::MessageSent(v1::MessageSent { message_id, sender_id, need_read_receipt, audience })
            }
            Event::MessageRecalled { message_id } => Self::MessageRecalled(v1::MessageRecalled { message_id }),
            Event::PolicyChanged { policy } => {
                let policy = policy.map(|Policy { every_group_type, group_types }| v1::ReceiptPolicy {
                    every_group_type,
                    group_types,
                });
                Self::PolicyChanged(v1::PolicyChanged { policy })
            }
            Event::Tick {} => Self::Tick(v1::Tick {}),
        }
    }
}

impl From<Read> for v1::ReadEvent {
    fn from(event: Read) -> Self {
        let Read { conversation_id, reader_id, read_at, target } = event;
        let target = target.map(|target| match target {
            Target::Messages { message_ids } => read_event::Target::Messages(v1::MessageIds { message_ids }),
            Target::UpToMessageId(message) => read_event::Target::UpToMessageId(message),
            Target::UpToTime(time) => read_event::Target::UpToTime(time.0),
        });
        Self { conversation_id, reader_id, read_at: read_at.map(|time| time.0), target }
    }
}
