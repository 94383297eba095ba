//! A group of 100,000, in which everybody reads.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use receipt_proto::v1::{self, MemberFilter, receipt_result};
use receipt_test_seed::seed;
use receipt_tests::{
    events,
    random::Random,
    server::{DataDir, Receipts, Server},
};
use tokio::task::JoinSet;
use tonic::Request;

use crate::compare::without_kept_until;

const MEMBERS: usize = 100_000;
/// In one event, at most.
const JOIN_AT_ONCE: usize = 10_000;
const CALLERS: usize = 32;
/// In one page, at most.
const PAGE: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// Times what a test does.
struct Phases(Instant);

impl Phases {
    fn done(&mut self, what: &str) {
        println!("{what:40} {:6.2} s", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

fn patient<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}

/// R3, R4, S9, S26: created, one message sent, read by all but its sender; all lists to the end, half-way and then.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_100_000_through_grpc() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    let users: Vec<String> = (0..MEMBERS).map(|n| format!("user-{n:06}")).collect();
    let mut phases = Phases(Instant::now());
    create(&server, &users).await;
    phases.done("created");
    let sent = events::sent_to_all("crowd", "m1", &users[0]);
    let token = publish(&server, vec![sent], &[v1::EventResult::Applied]).await;
    phases.done("a message sent");

    let mut readers: Vec<usize> = (1..MEMBERS).collect();
    let seed = seed();
    Random::new(seed).shuffle(&mut readers);
    let start_s = now_s();
    let mut look = Look { server: &server, users: &users, readers: Vec::new(), start_s, tokens: vec![token] };
    look.walk().await;
    phases.done("both lists walked, nobody has read");
    for (half, name) in [(&readers[..MEMBERS / 2], "50,000"), (&readers[MEMBERS / 2..], "the others")] {
        look.tokens = read(&server, &users, half).await;
        phases.done(&format!("{name} have read it"));
        look.readers.extend(half);
        look.count().await;
        phases.done("counted");
        look.walk().await;
        phases.done("both lists walked in both orders");
    }
}

/// By ten events of 10,000; and then it is full (S9).
async fn create(server: &Server, users: &[String]) {
    let mut parts = users.chunks(JOIN_AT_ONCE);
    let mut events = vec![events::group_created("crowd", "public", parts.next().unwrap())];
    events.extend(parts.map(|part| events::members_added("crowd", part)));
    let expected = vec![v1::EventResult::Applied; events.len()];
    publish(server, events, &expected).await;
    let one_more = events::members_added("crowd", &["one too many"]);
    publish(server, vec![one_more], &[v1::EventResult::Rejected]).await;
}

async fn publish(server: &Server, events: Vec<v1::ConversationEvent>, expected: &[v1::EventResult]) -> String {
    let request = v1::PublishConversationEventsRequest { events, wait: true };
    let response = server.receipts().publish_conversation_events(patient(request)).await.unwrap().into_inner();
    let results: Vec<_> = response.outcomes.iter().map(v1::EventOutcome::result).collect();
    assert_eq!(results, expected, "{:?}", response.outcomes);
    for outcome in response.outcomes.iter().filter(|outcome| outcome.result() == v1::EventResult::Rejected) {
        assert!(outcome.reason.contains("max_group_members"), "{outcome:?}");
    }
    response.consistency_token
}

/// Each of these tells that they have read it; one token a caller.
async fn read(server: &Server, users: &[String], readers: &[usize]) -> Vec<String> {
    let mut callers = JoinSet::new();
    for some in readers.chunks(readers.len().div_ceil(CALLERS)) {
        let some: Vec<String> = some.iter().map(|reader| users[*reader].clone()).collect();
        let mut client = server.receipts();
        callers.spawn(async move {
            let mut token = String::new();
            for user_id in some {
                let request = v1::SendMessageReadReceiptsRequest {
                    user_id,
                    conversation_id: "crowd".into(),
                    message_ids: vec!["m1".into()],
                    wait: false,
                };
                token = client.send_message_read_receipts(request).await.unwrap().into_inner().consistency_token;
            }
            token
        });
    }
    callers.join_all().await
}

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// What is to be seen, and where to look.
struct Look<'a> {
    server: &'a Server,
    users: &'a [String],
    /// Who has read, in any order.
    readers: Vec<usize>,
    start_s: i64,
    tokens: Vec<String>,
}

impl Look<'_> {
    fn receipt(&self) -> v1::MessageReceipt {
        v1::MessageReceipt {
            conversation_id: "crowd".into(),
            message_id: "m1".into(),
            read_count: self.readers.len().try_into().unwrap(),
            unread_count: (MEMBERS - 1 - self.readers.len()).try_into().unwrap(),
            audience_count: (MEMBERS - 1).try_into().unwrap(),
            ..v1::MessageReceipt::default()
        }
    }

    async fn count(&self) {
        let request = v1::GetMessageReadReceiptsRequest {
            user_id: self.users[0].clone(),
            messages: vec![events::message_ref("crowd", "m1")],
            consistency_tokens: self.tokens.clone(),
        };
        let response = self.server.receipts().get_message_read_receipts(patient(request)).await.unwrap();
        let result = response.into_inner().results[0].result.clone();
        let Some(receipt_result::Result::Receipt(receipt)) = result else { panic!("{result:?}") };
        assert_eq!(without_kept_until(&receipt), self.receipt());
    }

    async fn walk(&self) {
        let mut client = self.server.receipts();
        let read = self.list(&mut client, MemberFilter::Read, false).await;
        self.check_read(&read);
        let mut unread = self.list(&mut client, MemberFilter::Unread, false).await;
        self.check_unread(&unread);
        // Latest first is the exact reverse.
        let mut backwards = self.list(&mut client, MemberFilter::Read, true).await;
        backwards.reverse();
        assert!(backwards == read, "READ, latest first, is not the reverse");
        backwards = self.list(&mut client, MemberFilter::Unread, true).await;
        unread.reverse();
        assert!(backwards == unread, "UNREAD, latest first, is not the reverse");
    }

    async fn list(&self, client: &mut Receipts, filter: MemberFilter, latest_first: bool) -> Vec<v1::ReadMember> {
        let mut request = v1::GetGroupMessageReadMemberListRequest {
            user_id: self.users[0].clone(),
            message: Some(events::message_ref("crowd", "m1")),
            filter: filter.into(),
            latest_first,
            page_size: PAGE.try_into().unwrap(),
            page_token: String::new(),
            consistency_tokens: self.tokens.clone(),
        };
        let receipt = self.receipt();
        let count = if filter == MemberFilter::Read { receipt.read_count } else { receipt.unread_count };
        let mut members = Vec::new();
        loop {
            let page = client.get_group_message_read_member_list(patient(request.clone())).await.unwrap().into_inner();
            assert_eq!(page.receipt.as_ref().map(without_kept_until).as_ref(), Some(&receipt));
            members.extend(page.members);
            assert_eq!(page.is_finished, members.len() == count as usize, "{filter:?} after {}", members.len());
            if page.is_finished {
                return members;
            }
            assert_eq!(members.len() % PAGE, 0, "only the last page is not full");
            request.page_token = page.next_page_token;
        }
    }

    /// Everyone who has read, once, by time and then by joining.
    fn check_read(&self, read: &[v1::ReadMember]) {
        let numbers: HashMap<&str, usize> = self.users.iter().map(String::as_str).zip(0..).collect();
        let got: Vec<(i64, usize)> =
            read.iter().map(|member| (member.read_at.unwrap().seconds, numbers[member.user_id.as_str()])).collect();
        assert!(got.is_sorted(), "READ is ordered by time and joining");
        let now_s = now_s();
        assert!(got.iter().all(|(at_s, _)| (self.start_s - 1..=now_s + 1).contains(at_s)), "times are the server's");
        assert!(read.iter().all(|member| !member.left));
        let mut who: Vec<usize> = got.into_iter().map(|(_, number)| number).collect();
        let mut expected = self.readers.clone();
        who.sort_unstable();
        expected.sort_unstable();
        assert!(who == expected, "READ has {} members, {} have read", who.len(), expected.len());
    }

    /// Everyone else but the sender, by joining.
    fn check_unread(&self, unread: &[v1::ReadMember]) {
        let mut has_read = vec![false; MEMBERS];
        self.readers.iter().for_each(|reader| has_read[*reader] = true);
        let expected = (1..MEMBERS).filter(|number| !has_read[*number]).map(|number| &self.users[number]);
        assert!(expected.eq(unread.iter().map(|member| &member.user_id)), "UNREAD has {} members", unread.len());
        assert!(unread.iter().all(|member| member.read_at.is_none() && !member.left));
    }
}
