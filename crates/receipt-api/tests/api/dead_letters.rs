//! Dead letters: listed, shown and tried again.

use prost::Message as _;
use receipt_log::{NewRecord, Topic};
use receipt_proto::v1::{self, RecordPart, get_dead_letter_response::Event};
use tonic::{Code, Response, Status};

use crate::harness::*;

/// A group's message before the group, for each of these names; all are refused.
async fn refuse(server: &Server, conversation: &str, messages: &[&str]) {
    let events = messages.iter().map(|message| to_all(conversation, message, "a")).collect();
    let request = v1::PublishConversationEventsRequest { events, wait: true };
    let response = server.client().publish_conversation_events(request).await.unwrap().into_inner();
    assert!(response.outcomes.iter().all(|outcome| outcome.result() == v1::EventResult::Rejected));
}

async fn list(server: &Server, request: v1::ListDeadLettersRequest) -> v1::ListDeadLettersResponse {
    server.admin.clone().list_dead_letters(request).await.unwrap().into_inner()
}

async fn get(server: &Server, partition: u32, offset: u64) -> Result<Response<v1::GetDeadLetterResponse>, Status> {
    server.admin.clone().get_dead_letter(v1::GetDeadLetterRequest { partition, offset }).await
}

async fn retry(server: &Server, places: &[(u32, u64)]) -> Result<Response<v1::RetryDeadLettersResponse>, Status> {
    let letters = places.iter().map(|&(partition, offset)| v1::DeadLetterRef { partition, offset });
    let request = v1::RetryDeadLettersRequest { dead_letters: letters.collect() };
    server.admin.clone().retry_dead_letters(request).await
}

/// Appends to the dead letters as the service does, and answers where.
async fn append(server: &Server, partition: u32, record: NewRecord) -> (u32, u64) {
    let appended = server.log.append(Topic::DeadLetter, partition, vec![record]).await.unwrap();
    (partition, appended[0].offset)
}

fn from(topic: Topic, more: &[(&str, &str)]) -> Vec<(String, bytes::Bytes)> {
    let place = [("receipts.topic", topic.name()), ("receipts.partition", "0"), ("receipts.offset", "7")];
    let headers = place.iter().chain(more);
    headers.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec().into())).collect()
}

/// The places on each page.
type Pages<'a> = &'a [&'a [(u32, u64)]];

/// The places on each page of a walk.
async fn walk(server: &Server, mut request: v1::ListDeadLettersRequest) -> Vec<Vec<(u32, u64)>> {
    let mut pages = Vec::new();
    loop {
        let page = list(server, request.clone()).await;
        assert_eq!(page.is_finished, page.next_page_token.is_empty());
        pages.push(page.dead_letters.iter().map(|letter| (letter.partition, letter.offset)).collect());
        if page.is_finished {
            return pages;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn what_was_refused_is_shown_and_can_be_tried_again() {
    let server = Server::start().await;
    let before = server.log.end_offset(Topic::Conversations, server.log.partition_for(b"g"));
    refuse(&server, "g", &["m1", "m2"]).await;
    let page = list(&server, v1::ListDeadLettersRequest::default()).await;
    assert!(page.is_finished);
    let [first, second] = &page.dead_letters[..] else { panic!("{page:?}") };
    assert_eq!((first.offset, first.source_offset, second.source_offset), (0, before, before + 1));
    assert_eq!(first.source_topic, "receipts.conversations");
    assert_eq!((first.partition, first.source_partition), (second.partition, first.partition));
    assert_eq!(first.key.as_deref(), Some(&b"g"[..]));
    assert!(first.reason.contains("S8: the group was never created"), "{}", first.reason);
    assert_eq!(first.refused_at.unwrap().seconds, i64::try_from(START_MS / 1000).unwrap());

    let shown = get(&server, first.partition, 1).await.unwrap().into_inner();
    assert_eq!(shown.dead_letter.as_ref(), Some(second));
    assert_eq!(shown.value.map(|value| value.len() as u64), Some(second.value_bytes));
    assert_eq!(shown.event, Some(Event::ConversationEvent(to_all("g", "m2", "a"))));

    server.publish(vec![group("g", &["a", "b"])]).await;
    let answer = retry(&server, &[(first.partition, 1), (first.partition, 0)]).await.unwrap().into_inner();
    let offsets: Vec<_> = answer.retried.iter().map(|retried| retried.offset).collect();
    assert_eq!(offsets, [before + 3, before + 4], "in the order asked");
    assert!(
        answer.retried.iter().all(|r| (r.topic.as_str(), r.partition) == ("receipts.conversations", first.partition))
    );
    let counts = server.counts("a", &[("g", "m1"), ("g", "m2")], &[&answer.consistency_token]).await;
    for result in counts.results {
        assert!(matches!(result.result, Some(v1::receipt_result::Result::Receipt(_))), "{result:?}");
    }
    let page = list(&server, v1::ListDeadLettersRequest::default()).await;
    assert_eq!(page.dead_letters.len(), 2, "they stay, and are no dead letters again");
    server.stop().await;
}

#[tokio::test]
async fn pages_are_in_order_and_finished_exactly_at_the_end() {
    let server = Server::start().await;
    for (partition, messages) in [(0, &["m0", "m1", "m2"][..]), (2, &["m0"])] {
        refuse(&server, &server.conversation_in(partition), messages).await;
    }
    let ask = |partition, newest_first, page_size| v1::ListDeadLettersRequest {
        partition,
        newest_first,
        page_size,
        page_token: String::new(),
    };
    let cases: [(_, Pages<'_>); 6] = [
        (ask(None, false, 2), &[&[(0, 0), (0, 1)], &[(0, 2), (2, 0)]]),
        (ask(None, true, 3), &[&[(0, 2), (0, 1), (0, 0)], &[(2, 0)]]),
        (ask(None, true, 1), &[&[(0, 2)], &[(0, 1)], &[(0, 0)], &[(2, 0)]]),
        (ask(Some(0), false, 3), &[&[(0, 0), (0, 1), (0, 2)]]),
        (ask(Some(2), true, 0), &[&[(2, 0)]]),
        (ask(Some(1), false, 0), &[&[]]),
    ];
    for (request, pages) in cases {
        assert_eq!(walk(&server, request.clone()).await, pages, "{request:?}");
    }
    server.log.trim(Topic::DeadLetter, 0, 2).unwrap();
    assert_eq!(walk(&server, ask(None, false, 1)).await, [[(0, 2)], [(2, 0)]]);
    assert_eq!(walk(&server, ask(None, true, 1)).await, [[(0, 2)], [(2, 0)]]);
    refused(get(&server, 0, 1).await, Code::NotFound, "DEAD_LETTER_NOT_FOUND", "", None);
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_large_ones_is_short() {
    let server = Server::start().await;
    let large = NewRecord { value: Some(vec![0; 1_000_000].into()), headers: from(Topic::Reads, &[]), key: None };
    server.log.append(Topic::DeadLetter, 1, vec![large; 40]).await.unwrap();
    for newest_first in [false, true] {
        let pages = walk(&server, v1::ListDeadLettersRequest { newest_first, ..Default::default() }).await;
        assert!(newest_first || pages.len() > 1, "{}", pages.len());
        let mut all = pages.concat();
        if newest_first {
            all.reverse();
        }
        assert_eq!(all, (0..40).map(|offset| (1, offset)).collect::<Vec<_>>());
    }
    let places: Vec<_> = (0..40).rev().step_by(2).map(|offset| (1, offset)).collect();
    let answer = retry(&server, &places).await;
    refused(answer, Code::InvalidArgument, "LIMIT_EXCEEDED", "dead_letters", Some(16 * 1024 * 1024));
    let answer = retry(&server, &places[..16]).await.unwrap().into_inner();
    let letters = answer.retried.iter().map(|retried| retried.dead_letter.unwrap());
    assert_eq!(letters.map(|letter| (letter.partition, letter.offset)).collect::<Vec<_>>(), places[..16]);
    server.stop().await;
}

#[tokio::test]
async fn a_retry_goes_where_the_key_belongs_with_the_records_own_headers() {
    let server = Server::start().await;
    let stray = server.conversation_in(1);
    let value = group(&stray, &["a", "b"]).encode_to_vec();
    let headers = from(Topic::Conversations, &[("trace", "t1")]);
    let misplaced = append(&server, 0, NewRecord { headers, ..NewRecord::new(stray.clone(), value.clone()) }).await;
    // Ticks and policies have no key.
    let headers = from(Topic::Conversations, &[]);
    let keyless = append(&server, 2, NewRecord { key: None, value: Some("?".into()), headers }).await;
    // Only the record's own headers are not in it: it is as good without.
    let headers = from(Topic::Reads, &[("receipts.headers_bytes", "2000000")]);
    let shortened = append(&server, 0, NewRecord { headers, ..NewRecord::new(stray, "!") }).await;

    let shown = get(&server, misplaced.0, misplaced.1).await.unwrap().into_inner();
    assert_eq!(shown.headers, [v1::RecordHeader { name: "trace".to_owned(), value: b"t1".to_vec() }]);
    let shown = get(&server, keyless.0, keyless.1).await.unwrap().into_inner();
    assert!(matches!(shown.event, Some(Event::Undecodable(_))), "{shown:?}");
    let ends = [1, 2].map(|partition| server.log.end_offset(Topic::Conversations, partition));
    let answer = retry(&server, &[misplaced, keyless, shortened]).await.unwrap().into_inner();
    let places: Vec<_> = answer.retried.iter().map(|r| (r.topic.as_str(), r.partition, r.offset)).collect();
    let (conversations, reads) = (Topic::Conversations.name(), Topic::Reads.name());
    assert_eq!(places, [(conversations, 1, ends[0]), (conversations, 2, ends[1]), (reads, 1, 0)]);
    let records = server.log.read(Topic::Conversations, 1, ends[0], 1, 1 << 20).unwrap();
    assert_eq!(records[0].value.as_deref(), Some(&value[..]));
    assert_eq!(records[0].headers, [("trace".to_owned(), bytes::Bytes::from("t1"))]);
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_whole_cannot_be_tried_again() {
    let server = Server::start().await;
    let cases = [
        (from(Topic::Reads, &[("receipts.value_bytes", "2000000")]), "value has 2000000 bytes"),
        (from(Topic::Conversations, &[("receipts.key_bytes", "70000")]), "key has 70000 bytes"),
        (from(Topic::Deltas, &[]), "does not say"),
        (Vec::new(), "does not say"),
    ];
    let before = server.ends();
    let mut places = Vec::new();
    for (headers, why) in cases {
        let place = append(&server, 0, NewRecord { headers, ..NewRecord::default() }).await;
        let status =
            refused(retry(&server, &[place]).await, Code::FailedPrecondition, "DEAD_LETTER_INCOMPLETE", "", None);
        assert!(status.message().contains(why), "{status}");
        places.push(place);
    }
    let letters = list(&server, v1::ListDeadLettersRequest::default()).await.dead_letters;
    assert_eq!((letters[0].value_bytes, letters[0].left_out().collect()), (2_000_000, vec![RecordPart::Value]));
    assert_eq!(letters[3].source_topic, "");
    // One that is not whole, and nothing is appended.
    refuse(&server, &server.conversation_in(1), &["m"]).await;
    let ends = server.ends();
    assert_ne!(ends, before);
    let answer = retry(&server, &[(1, 0), places[0]]).await;
    refused(answer, Code::FailedPrecondition, "DEAD_LETTER_INCOMPLETE", "", None);
    assert_eq!(server.ends(), ends);
    server.stop().await;
}

#[tokio::test]
async fn wrong_questions_about_dead_letters_are_refused() {
    let server = Server::start().await;
    refuse(&server, &server.conversation_in(0), &["m0", "m1"]).await;
    let before = server.ends();
    let ask = v1::ListDeadLettersRequest { page_size: 1, ..Default::default() };
    let token = list(&server, ask.clone()).await.next_page_token;
    let other = Server::start().await;
    let cases = [
        (&server, v1::ListDeadLettersRequest { page_token: "nonsense".to_owned(), ..ask.clone() }),
        (&server, v1::ListDeadLettersRequest { page_token: token[1..].to_owned(), ..ask.clone() }),
        (&server, v1::ListDeadLettersRequest { page_token: token.clone(), newest_first: true, ..ask.clone() }),
        (&server, v1::ListDeadLettersRequest { page_token: token.clone(), partition: Some(0), ..ask.clone() }),
        (&other, v1::ListDeadLettersRequest { page_token: token.clone(), ..ask.clone() }),
    ];
    for (server, request) in cases {
        let answer = server.admin.clone().list_dead_letters(request).await;
        refused(answer, Code::InvalidArgument, "INVALID_PAGE_TOKEN", "page_token", None);
    }
    let mut admin = server.admin.clone();
    let answer = admin.list_dead_letters(v1::ListDeadLettersRequest { page_size: 1001, ..ask.clone() }).await;
    refused(answer, Code::InvalidArgument, "LIMIT_EXCEEDED", "page_size", Some(1000));
    let answer = admin.list_dead_letters(v1::ListDeadLettersRequest { partition: Some(3), ..ask }).await;
    refused(answer, Code::InvalidArgument, "INVALID_FIELD", "partition", None);

    refused(get(&server, 3, 0).await, Code::InvalidArgument, "INVALID_FIELD", "partition", None);
    for (partition, offset) in [(0, 2), (0, 3), (1, 0), (2, u64::MAX)] {
        let status = refused(get(&server, partition, offset).await, Code::NotFound, "DEAD_LETTER_NOT_FOUND", "", None);
        assert_eq!(metadata(&status, "offset"), Some(offset.to_string()));
        let answer = retry(&server, &[(0, 0), (partition, offset)]).await;
        refused(answer, Code::NotFound, "DEAD_LETTER_NOT_FOUND", "", None);
    }
    let answer = retry(&server, &[(0, 0), (3, 0)]).await;
    refused(answer, Code::InvalidArgument, "INVALID_FIELD", "dead_letters[1].partition", None);
    refused(retry(&server, &[]).await, Code::InvalidArgument, "INVALID_FIELD", "dead_letters", None);
    refused(retry(&server, &[(0, 0); 101]).await, Code::InvalidArgument, "LIMIT_EXCEEDED", "dead_letters", Some(100));
    let twice = retry(&server, &[(0, 0), (0, 1), (0, 0)]).await;
    refused(twice, Code::InvalidArgument, "INVALID_FIELD", "dead_letters[2]", None);
    assert_eq!(server.ends(), before);
    other.stop().await;
    server.stop().await;
}
