//! The groups and messages that a load reads.

use std::time::Duration;

use anyhow::bail;
use prost::Message as _;
use receipt_proto::v1::{self, conversation_event::Event, message_sent::Audience};

use super::plan::Plan;
use crate::client::Receipts;

/// Members of an event, at most.
const MEMBERS_MAX: usize = 10_000;
/// Events of a call, and their bytes, at most.
const EVENTS_MAX: usize = 1_000;
const BYTES_MAX: usize = 3 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(60);

/// Publishes all groups, then all messages, and waits until they are part of the state.
pub(crate) async fn publish(client: &Receipts, plan: &Plan) -> anyhow::Result<()> {
    let groups = (0..plan.groups).flat_map(|group| group_events(plan, group));
    let messages = (0..plan.messages()).map(|message| message_event(plan, message));
    let mut events = Vec::new();
    let mut bytes = 0;
    for event in groups.chain(messages) {
        let len = event.encoded_len() + 6;
        if events.len() == EVENTS_MAX || (bytes + len > BYTES_MAX && !events.is_empty()) {
            send(client, std::mem::take(&mut events)).await?;
            bytes = 0;
        }
        bytes += len;
        events.push(event);
    }
    send(client, events).await
}

async fn send(client: &Receipts, events: Vec<v1::ConversationEvent>) -> anyhow::Result<()> {
    let mut request = tonic::Request::new(v1::PublishConversationEventsRequest { events, wait: true });
    request.set_timeout(TIMEOUT);
    let outcomes = client.clone().publish_conversation_events(request).await?.into_inner().outcomes;
    let applied = i32::from(v1::EventResult::Applied);
    if let Some(other) = outcomes.iter().find(|outcome| outcome.result != applied) {
        bail!("an event of the load was not applied ({}): {}", other.result().as_str_name(), other.reason);
    }
    Ok(())
}

/// A group and all its readers, in as many events as that takes.
fn group_events(plan: &Plan, group: usize) -> impl Iterator<Item = v1::ConversationEvent> {
    let starts = (0..plan.members).step_by(MEMBERS_MAX);
    starts.map(move |start| {
        let end = plan.members.min(start + MEMBERS_MAX);
        let member_ids = (start..end).map(|reader| plan.reader(reader)).collect();
        let event = match start {
            0 => Event::GroupCreated(v1::GroupCreated { group_type: "load".to_owned(), member_ids }),
            _ => Event::MembersAdded(v1::MembersAdded { member_ids }),
        };
        conversation_event(plan.group(group), event)
    })
}

fn message_event(plan: &Plan, message: usize) -> v1::ConversationEvent {
    let sent = v1::MessageSent {
        message_id: plan.message(message),
        sender_id: plan.sender(plan.sender_of(message)),
        need_read_receipt: true,
        audience: Some(Audience::AllMembers(v1::AllMembers {})),
    };
    conversation_event(plan.conversation(message), Event::MessageSent(sent))
}

fn conversation_event(conversation_id: String, event: Event) -> v1::ConversationEvent {
    v1::ConversationEvent { conversation_id, occurred_at: None, version: 0, event: Some(event) }
}

#[cfg(test)]
mod tests {
    use super::{super::plan::plan, *};

    #[test]
    fn large_groups_are_several_events() {
        let plan = plan(1, 25_000, 1, 1);
        let events: Vec<_> = group_events(&plan, 0).collect();
        let len = |event: &v1::ConversationEvent| match &event.event {
            Some(Event::GroupCreated(created)) => created.member_ids.len(),
            Some(Event::MembersAdded(added)) => added.member_ids.len(),
            _ => 0,
        };
        assert_eq!(events.iter().map(len).collect::<Vec<_>>(), [10_000, 10_000, 5_000]);
    }
}
