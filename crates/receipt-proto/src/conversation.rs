//! Conversation events: the contract's to the domain's, and back.

use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, Policy},
    limits::EVENT_LIST_MAX,
};

use crate::{
    InvalidField,
    field::{id, ids, members, optional_ms},
    time::timestamp_from_ms,
    v1::{self, conversation_event::Event as Kind, message_sent::Audience},
};

/// Checks an event's shape (S20, S39) and takes it into the domain.
pub fn conversation_event(event: v1::ConversationEvent) -> Result<Event, InvalidField> {
    let v1::ConversationEvent { conversation_id, occurred_at, version, event } = event;
    let occurred_at_ms = optional_ms("occurred_at", occurred_at.as_ref())?;
    let Some(kind) = event else {
        return Err(InvalidField::rule("event", "must be given"));
    };
    let change = match kind {
        Kind::PolicyChanged(changed) => {
            no_conversation("policy_changed", &conversation_id)?;
            return policy_changed(&changed).map_err(|e| e.within("policy_changed"));
        }
        Kind::Tick(v1::Tick {}) => {
            no_conversation("tick", &conversation_id)?;
            return Ok(Event::Tick);
        }
        Kind::GroupCreated(group) => Change::GroupCreated {
            group_type: id("group_created.group_type", &group.group_type)?,
            members: members("group_created.member_ids", &group.member_ids)?,
        },
        Kind::MembersAdded(added) => Change::MembersAdded(members("members_added.member_ids", &added.member_ids)?),
        Kind::MembersRemoved(removed) => {
            Change::MembersRemoved(members("members_removed.member_ids", &removed.member_ids)?)
        }
        Kind::GroupDismissed(v1::GroupDismissed {}) => Change::GroupDismissed,
        Kind::MessageSent(sent) => message_sent(&sent).map_err(|e| e.within("message_sent"))?,
        Kind::MessageRecalled(recalled) => {
            Change::MessageRecalled { message: id("message_recalled.message_id", &recalled.message_id)? }
        }
    };
    let conversation = id("conversation_id", &conversation_id)?;
    Ok(Event::Conversation(ConversationEvent { conversation, occurred_at_ms, version, change }))
}

/// Checks a receipt policy's shape (S39).
pub fn policy(policy: &v1::ReceiptPolicy) -> Result<Policy, InvalidField> {
    if !policy.every_group_type {
        return Ok(Policy::GroupTypes(ids("group_types", &policy.group_types, EVENT_LIST_MAX)?));
    }
    if !policy.group_types.is_empty() {
        return Err(InvalidField::rule("group_types", "must be empty where every_group_type is true"));
    }
    Ok(Policy::EveryGroupType)
}

fn no_conversation(kind: &str, conversation_id: &str) -> Result<(), InvalidField> {
    if conversation_id.is_empty() {
        return Ok(());
    }
    Err(InvalidField::rule("conversation_id", format_args!("must be empty in a {kind} event")))
}

fn policy_changed(changed: &v1::PolicyChanged) -> Result<Event, InvalidField> {
    let given = changed.policy.as_ref().ok_or_else(|| InvalidField::rule("policy", "must be given"))?;
    policy(given).map(Event::PolicyChanged).map_err(|e| e.within("policy"))
}

fn message_sent(sent: &v1::MessageSent) -> Result<Change, InvalidField> {
    Ok(Change::MessageSent {
        message: id("message_id", &sent.message_id)?,
        sender: id("sender_id", &sent.sender_id)?,
        need_read_receipt: sent.need_read_receipt,
        audience: match &sent.audience {
            Some(Audience::PeerId(peer)) => AudienceSpec::Peer(id("peer_id", peer)?),
            Some(Audience::AllMembers(v1::AllMembers {})) => AudienceSpec::AllMembers,
            Some(Audience::ListedMembers(listed)) => {
                AudienceSpec::Listed(members("listed_members.member_ids", &listed.member_ids)?)
            }
            None => {
                return Err(InvalidField::rule("audience", "must be given: peer_id, all_members or listed_members"));
            }
        },
    })
}

impl From<&Event> for v1::ConversationEvent {
    fn from(event: &Event) -> Self {
        match event {
            Event::Conversation(event) => Self {
                conversation_id: event.conversation.to_string(),
                occurred_at: event.occurred_at_ms.map(timestamp_from_ms),
                version: event.version,
                event: Some(Kind::from(&event.change)),
            },
            Event::PolicyChanged(policy) => {
                let policy = Some(v1::ReceiptPolicy::from(policy));
                Self { event: Some(Kind::PolicyChanged(v1::PolicyChanged { policy })), ..Self::default() }
            }
            Event::Tick => Self { event: Some(Kind::Tick(v1::Tick {})), ..Self::default() },
        }
    }
}

impl From<&Policy> for v1::ReceiptPolicy {
    fn from(policy: &Policy) -> Self {
        match policy {
            Policy::EveryGroupType => Self { every_group_type: true, group_types: Vec::new() },
            Policy::GroupTypes(types) => Self { every_group_type: false, group_types: texts(types) },
        }
    }
}

impl From<&Change> for Kind {
    fn from(change: &Change) -> Self {
        match change {
            Change::GroupCreated { group_type, members } => {
                Self::GroupCreated(v1::GroupCreated { group_type: group_type.to_string(), member_ids: texts(members) })
            }
            Change::MembersAdded(users) => Self::MembersAdded(v1::MembersAdded { member_ids: texts(users) }),
            Change::MembersRemoved(users) => Self::MembersRemoved(v1::MembersRemoved { member_ids: texts(users) }),
            Change::GroupDismissed => Self::GroupDismissed(v1::GroupDismissed {}),
            Change::MessageSent { message, sender, need_read_receipt, audience } => {
                Self::MessageSent(v1::MessageSent {
                    message_id: message.to_string(),
                    sender_id: sender.to_string(),
                    need_read_receipt: *need_read_receipt,
                    audience: Some(Audience::from(audience)),
                })
            }
            Change::MessageRecalled { message } => {
                Self::MessageRecalled(v1::MessageRecalled { message_id: message.to_string() })
            }
        }
    }
}

impl From<&AudienceSpec> for Audience {
    fn from(audience: &AudienceSpec) -> Self {
        match audience {
            AudienceSpec::Peer(user) => Self::PeerId(user.to_string()),
            AudienceSpec::AllMembers => Self::AllMembers(v1::AllMembers {}),
            AudienceSpec::Listed(users) => Self::ListedMembers(v1::ListedMembers { member_ids: texts(users) }),
        }
    }
}

fn texts(ids: &[impl ToString]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
