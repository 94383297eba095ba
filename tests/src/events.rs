//! Events in few words.

use receipt_proto::v1::{self, conversation_event::Event, message_sent::Audience};

/// A group begins.
#[must_use]
pub fn group_created(conversation: &str, group_type: &str, members: &[impl AsRef<str>]) -> v1::ConversationEvent {
    let created = v1::GroupCreated { group_type: group_type.to_owned(), member_ids: strings(members) };
    event(conversation, Event::GroupCreated(created))
}

/// These join.
#[must_use]
pub fn members_added(conversation: &str, members: &[impl AsRef<str>]) -> v1::ConversationEvent {
    event(conversation, Event::MembersAdded(v1::MembersAdded { member_ids: strings(members) }))
}

/// A message to all members, which asks for receipts.
#[must_use]
pub fn sent_to_all(conversation: &str, message: &str, sender: &str) -> v1::ConversationEvent {
    let sent = v1::MessageSent {
        message_id: message.to_owned(),
        sender_id: sender.to_owned(),
        need_read_receipt: true,
        audience: Some(Audience::AllMembers(v1::AllMembers {})),
    };
    event(conversation, Event::MessageSent(sent))
}

/// The name of a message.
#[must_use]
pub fn message_ref(conversation: &str, message: &str) -> v1::MessageRef {
    v1::MessageRef { conversation_id: conversation.to_owned(), message_id: message.to_owned() }
}

fn event(conversation: &str, event: Event) -> v1::ConversationEvent {
    let conversation_id = conversation.to_owned();
    v1::ConversationEvent { conversation_id, occurred_at: None, version: 0, event: Some(event) }
}

fn strings(texts: &[impl AsRef<str>]) -> Vec<String> {
    texts.iter().map(|text| text.as_ref().to_owned()).collect()
}
