//! Publishing, and what is told of each event.

use receipt_log::Topic;
use receipt_proto::v1::{self, EventResult, read_event::Target};

use crate::harness::*;

#[tokio::test]
async fn s08_s12_each_event_is_told_what_became_of_it() {
    let server = Server::start().await;
    let first = v1::ConversationEvent { version: 5, ..group("g", &["a", "b"]) };
    let events = vec![
        first.clone(),
        to_all("g", "m", "a"),
        to_all("nowhere", "m", "a"),
        first,
        to_all("g", "m", "a"),
        to_all("g", "m", "b"),
    ];
    let request = v1::PublishConversationEventsRequest { events, wait: true };
    let response = server.client().publish_conversation_events(request).await.unwrap().into_inner();
    let results: Vec<_> = response.outcomes.iter().map(v1::EventOutcome::result).collect();
    use EventResult::{Applied, Rejected, Repeated};
    assert_eq!(results, [Applied, Applied, Rejected, Repeated, Repeated, Rejected]);
    for outcome in &response.outcomes {
        assert_eq!(outcome.reason.is_empty(), outcome.result() != Rejected, "{outcome:?}");
    }
    let letters: usize = (0..PARTITIONS)
        .map(|partition| server.log.read(Topic::DeadLetter, partition, 0, 10, 1 << 20).unwrap().len())
        .sum();
    assert_eq!(letters, 2);
    server.stop().await;
}

#[tokio::test]
async fn events_are_appended_by_partition_in_their_order() {
    let server = Server::start().await;
    let names: Vec<_> = (0..PARTITIONS).map(|partition| server.conversation_in(partition)).collect();
    let mut events: Vec<_> = names.iter().map(|name| group(name, &["a", "b"])).collect();
    for i in 0..20 {
        events.extend(names.iter().map(|name| to_all(name, &format!("m{i}"), "a")));
    }
    let request = v1::PublishConversationEventsRequest { events: events.clone(), wait: false };
    let response = server.client().publish_conversation_events(request).await.unwrap().into_inner();
    assert!(response.outcomes.is_empty());
    for (partition, name) in (0..).zip(&names) {
        let records = server.log.read(Topic::Conversations, partition, 0, 1000, 1 << 20).unwrap();
        let mine: Vec<_> = events.iter().filter(|event| event.conversation_id == *name).collect();
        // Whoever serves appends ticks too.
        let records = records.iter().filter(|record| record.key.is_some());
        let stored: Vec<v1::ConversationEvent> =
            records.map(|record| prost::Message::decode(record.value.clone().unwrap()).unwrap()).collect();
        assert_eq!(stored.iter().collect::<Vec<_>>(), mine);
    }
    // The token names every partition: an answer with it knows the last messages.
    let asked: Vec<_> = names.iter().map(|name| (name.as_str(), "m19")).collect();
    let counts = server.counts("a", &asked, &[&response.consistency_token]).await;
    for result in counts.results {
        assert!(matches!(result.result, Some(v1::receipt_result::Result::Receipt(_))), "{result:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn s20_published_reads_keep_their_times() {
    let server = Server::start().await;
    let sent = prost_types::Timestamp { seconds: 1_600_000_000, nanos: 0 };
    let message = v1::ConversationEvent { occurred_at: Some(sent), ..to_all("g", "m", "a") };
    server.publish(vec![group("g", &["a", "b"]), message]).await;
    let read_at = Some(prost_types::Timestamp { seconds: 1_600_000_007, nanos: 5 });
    let target = Some(Target::Messages(v1::MessageIds { message_ids: texts(&["m"]) }));
    let event = v1::ReadEvent { conversation_id: "g".to_owned(), reader_id: "b".to_owned(), read_at, target };
    let request = v1::PublishReadEventsRequest { events: vec![event] };
    let token = server.client().publish_read_events(request).await.unwrap().into_inner().consistency_token;
    let request = v1::GetMessageReadStatesRequest {
        message: Some(message_ref("g", "m")),
        reader_ids: texts(&["b"]),
        consistency_tokens: vec![token],
        ..Default::default()
    };
    let states = server.client().get_message_read_states(request).await.unwrap().into_inner().states;
    let at = prost_types::Timestamp { seconds: 1_600_000_007, nanos: 0 };
    assert_eq!(states[0].state, Some(v1::reader_state::State::ReadAt(at)));
    server.stop().await;
}
