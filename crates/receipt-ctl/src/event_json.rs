//! Events as JSON: the contract's names, times in RFC 3339.

mod values;

use receipt_proto::v1::{self, conversation_event::Event, message_sent::Audience, read_event::Target};
use serde_json::{Value, json};

pub(crate) use self::values::{of_value, to_value};
use crate::render::{policy_json, time_json};

/// An event of a conversation. `event` is null where it has none.
pub(crate) fn conversation(event: &v1::ConversationEvent) -> Value {
    json!({
        "conversation_id": event.conversation_id,
        "occurred_at": time_json(event.occurred_at.as_ref()),
        "version": event.version,
        "event": event.event.as_ref().map_or(Value::Null, kind),
    })
}

/// An event of somebody who has read. `target` is null where it has none.
pub(crate) fn read(event: &v1::ReadEvent) -> Value {
    let target = event.target.as_ref().map_or(Value::Null, |target| match target {
        Target::Messages(messages) => json!({ "messages": { "message_ids": messages.message_ids } }),
        Target::UpToMessageId(message) => json!({ "up_to_message_id": message }),
        Target::UpToTime(time) => json!({ "up_to_time": time.to_string() }),
    });
    json!({
        "conversation_id": event.conversation_id,
        "reader_id": event.reader_id,
        "read_at": time_json(event.read_at.as_ref()),
        "target": target,
    })
}

fn kind(event: &Event) -> Value {
    match event {
        Event::GroupCreated(group) => {
            json!({ "group_created": { "group_type": group.group_type, "member_ids": group.member_ids } })
        }
        Event::MembersAdded(added) => json!({ "members_added": { "member_ids": added.member_ids } }),
        Event::MembersRemoved(removed) => json!({ "members_removed": { "member_ids": removed.member_ids } }),
        Event::GroupDismissed(v1::GroupDismissed {}) => json!({ "group_dismissed": {} }),
        Event::MessageSent(sent) => json!({ "message_sent": {
            "message_id": sent.message_id,
            "sender_id": sent.sender_id,
            "need_read_receipt": sent.need_read_receipt,
            "audience": sent.audience.as_ref().map_or(Value::Null, audience),
        } }),
        Event::MessageRecalled(recalled) => json!({ "message_recalled": { "message_id": recalled.message_id } }),
        Event::PolicyChanged(changed) => {
            json!({ "policy_changed": { "policy": policy_json(changed.policy.as_ref()) } })
        }
        Event::Tick(v1::Tick {}) => json!({ "tick": {} }),
    }
}

fn audience(audience: &Audience) -> Value {
    match audience {
        Audience::PeerId(peer) => json!({ "peer_id": peer }),
        Audience::AllMembers(v1::AllMembers {}) => json!({ "all_members": {} }),
        Audience::ListedMembers(listed) => json!({ "listed_members": { "member_ids": listed.member_ids } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_contracts_names() {
        let sent = v1::MessageSent {
            message_id: "m".to_owned(),
            sender_id: "a".to_owned(),
            need_read_receipt: true,
            audience: Some(Audience::PeerId("b".to_owned())),
        };
        let event = v1::ConversationEvent {
            conversation_id: "c".to_owned(),
            occurred_at: Some(prost_types::Timestamp { seconds: 1_738_324_800, nanos: 0 }),
            version: 7,
            event: Some(Event::MessageSent(sent)),
        };
        let expected = json!({
            "conversation_id": "c",
            "occurred_at": "2025-01-31T12:00:00Z",
            "version": 7,
            "event": { "message_sent": {
                "message_id": "m", "sender_id": "a", "need_read_receipt": true, "audience": { "peer_id": "b" },
            } },
        });
        assert_eq!(conversation(&event), expected);
        assert_eq!(conversation(&v1::ConversationEvent::default())["event"], Value::Null);
        let target = Some(Target::Messages(v1::MessageIds { message_ids: vec!["m".to_owned()] }));
        let read = read(&v1::ReadEvent { target, ..v1::ReadEvent::default() });
        assert_eq!(read["target"], json!({ "messages": { "message_ids": ["m"] } }));
        assert_eq!(read["read_at"], Value::Null);
    }
}
