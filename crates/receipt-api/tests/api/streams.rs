//! SubscribeMessageReadReceipts over the wire (S19, S23, S31 to S38).

use std::{collections::BTreeMap, time::Duration};

use receipt_proto::v1::{
    self, conversation_event::Event as Kind, receipt_delta::Change, subscribe_message_read_receipts_request::Start,
};
use tonic::{Code, Streaming};

use crate::harness::{Server, event, group, reason, to_all, to_peer};

pub(crate) type Stream = Streaming<v1::SubscribeMessageReadReceiptsResponse>;
pub(crate) type Response = v1::SubscribeMessageReadReceiptsResponse;

async fn try_subscribe(server: &Server, user: &str, start: Option<Start>) -> Result<Stream, tonic::Status> {
    let request = v1::SubscribeMessageReadReceiptsRequest { user_id: user.to_owned(), start };
    Ok(server.client().subscribe_message_read_receipts(request).await?.into_inner())
}

pub(crate) async fn subscribe(server: &Server, user: &str, start: Option<Start>) -> Stream {
    try_subscribe(server, user, start).await.unwrap()
}

pub(crate) async fn next(stream: &mut Stream) -> Response {
    let response = tokio::time::timeout(Duration::from_secs(20), stream.message()).await;
    response.expect("told in time").unwrap().expect("not ended")
}

/// What a client keeps: the latest receipt of each message, everyone named, and whether someone was not.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) counts: BTreeMap<String, (u32, u32, bool)>,
    readers: BTreeMap<String, Vec<String>>,
    more: bool,
    pub(crate) token: String,
    deltas: usize,
}

impl Seen {
    pub(crate) fn take(&mut self, response: Response) {
        self.token = response.resume_token;
        for delta in response.deltas {
            self.deltas += 1;
            self.more |= delta.more_readers;
            let Some(Change::Receipt(receipt)) = delta.change else { continue };
            let (read, unread, _) = self.counts.get(&receipt.message_id).copied().unwrap_or((0, u32::MAX, false));
            assert!(receipt.read_count >= read && receipt.unread_count <= unread, "S33: counts never go back");
            let now = (receipt.read_count, receipt.unread_count, receipt.recalled);
            self.counts.insert(receipt.message_id.clone(), now);
            let named = delta.new_readers.into_iter().map(|reader| reader.user_id);
            self.readers.entry(receipt.message_id).or_default().extend(named);
        }
    }

    pub(crate) async fn until(&mut self, stream: &mut Stream, message: &str, read: u32) {
        while self.counts.get(message).is_none_or(|(count, ..)| *count < read) {
            self.take(next(stream).await);
        }
    }
}

async fn settled(server: &Server) -> (Vec<String>, String) {
    let members: Vec<String> = (0..300).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = members.iter().map(String::as_str).chain(["ann"]).collect();
    let token = server.publish(vec![group("c", &names), to_all("c", "m1", "ann"), to_all("c", "m2", "ann")]).await;
    (members, token)
}

#[tokio::test]
async fn s31_s32_s37_s38_only_the_sender_is_told_and_at_once_with_a_token() {
    let server = Server::start().await;
    settled(&server).await;
    let (mut ann, mut bob) = (subscribe(&server, "ann", None).await, subscribe(&server, "u1", None).await);
    for stream in [&mut ann, &mut bob] {
        let first = next(stream).await;
        assert!(first.deltas.is_empty() && !first.resume_token.is_empty() && !first.reset);
    }
    server.read("u1", "c", &["m1"]).await;
    let told = next(&mut ann).await;
    assert_eq!(told.deltas.len(), 1);
    let Some(Change::Receipt(receipt)) = &told.deltas[0].change else { panic!("{told:?}") };
    assert_eq!((receipt.message_id.as_str(), receipt.read_count, receipt.unread_count), ("m1", 1, 299));
    assert_eq!(told.deltas[0].new_readers[0].user_id, "u1");
    assert!(told.deltas[0].new_readers[0].read_at.is_some());
    // S38: a query with its token sees what it tells.
    let answer = server.counts("ann", &[("c", "m1")], &[&told.deltas[0].consistency_token]).await;
    let Some(v1::receipt_result::Result::Receipt(same)) = &answer.results[0].result else { panic!("{answer:?}") };
    assert_eq!(same, receipt);
    // S37: a quiet stream is told a token; the reader of the message is told nothing else.
    let quiet = next(&mut bob).await;
    assert!(quiet.deltas.is_empty() && !quiet.resume_token.is_empty());
    drop((ann, bob));
    server.stop().await;
}

#[tokio::test]
async fn s33_s34_s36_a_token_resumes_exactly_and_streams_are_independent() {
    let server = Server::start().await;
    let (members, _) = settled(&server).await;
    let mut early = Seen::default();
    let mut stream = subscribe(&server, "ann", None).await;
    early.take(next(&mut stream).await);
    for user in &members[..30] {
        server.read(user, "c", &["m1"]).await;
    }
    early.until(&mut stream, "m1", 30).await;
    assert!(early.deltas < 30, "coalesced: {} deltas", early.deltas);
    drop(stream);
    // Gone while much happens: 170 more read m1, and two read m2.
    for user in &members[30..200] {
        server.read(user, "c", &["m1"]).await;
    }
    server.read("u7", "c", &["m2"]).await;
    server.read("u8", "c", &["m2"]).await;
    let resume = |token: &str| Some(Start::ResumeToken(token.to_owned()));
    let mut again = Seen { counts: early.counts.clone(), ..Seen::default() };
    let mut stream = subscribe(&server, "ann", resume(&early.token)).await;
    again.until(&mut stream, "m2", 2).await;
    again.until(&mut stream, "m1", 200).await;
    assert!(again.more, "170 are more than the 100 that are kept by name");
    assert_eq!(again.readers["m2"], ["u7", "u8"], "whoever is few is named");
    let mut oldest = Seen::default();
    let mut other = subscribe(&server, "ann", Some(Start::Oldest(v1::Oldest {}))).await;
    oldest.until(&mut other, "m2", 2).await;
    oldest.until(&mut other, "m1", 200).await;
    for (seen, stream) in [(&mut again, &mut stream), (&mut oldest, &mut other)] {
        server.read("u250", "c", &["m2"]).await;
        seen.until(stream, "m2", 3).await;
    }
    assert_eq!(again.counts, oldest.counts);
    drop((stream, other));
    server.stop().await;
}

#[tokio::test]
async fn s35_a_client_that_does_not_read_holds_nobody_up_and_misses_nothing() {
    let server = Server::start().await;
    let (members, _) = settled(&server).await;
    let mut slow = subscribe(&server, "ann", None).await;
    let (mut quick, mut seen) = (subscribe(&server, "ann", None).await, Seen::default());
    seen.take(next(&mut quick).await);
    for user in &members {
        server.read(user, "c", &["m1", "m2"]).await;
    }
    seen.until(&mut quick, "m1", 300).await;
    seen.until(&mut quick, "m2", 300).await;
    // It has not been looked at until now.
    let mut late = Seen::default();
    late.until(&mut slow, "m1", 300).await;
    late.until(&mut slow, "m2", 300).await;
    assert_eq!(late.counts, seen.counts);
    assert!(late.deltas < 600, "coalesced: {} deltas of 600 receipts", late.deltas);
    drop((slow, quick));
    server.stop().await;
}

#[tokio::test]
async fn s19_s23_recalls_and_peers_marks_are_told() {
    let server = Server::start().await;
    server.publish(vec![to_peer("d", "x1", "ann", "bob"), to_peer("d", "x2", "ann", "bob")]).await;
    let mut stream = subscribe(&server, "ann", None).await;
    next(&mut stream).await;
    let recall = Kind::MessageRecalled(v1::MessageRecalled { message_id: "x1".to_owned() });
    server.publish(vec![event("d", recall)]).await;
    let mut seen = Seen::default();
    seen.take(next(&mut stream).await);
    assert_eq!(seen.counts["x1"], (0, 1, true));
    let up_to = receipt_proto::timestamp_from_ms(crate::harness::START_MS + 60_000);
    let mark = v1::MarkConversationReadRequest {
        user_id: "bob".to_owned(),
        conversation_id: "d".to_owned(),
        up_to: Some(v1::mark_conversation_read_request::UpTo::Time(up_to)),
        wait: true,
    };
    server.client().mark_conversation_read(mark).await.unwrap();
    let mut told = None;
    while told.is_none() || seen.counts.get("x2").is_none_or(|counts| counts.0 == 0) {
        let response = next(&mut stream).await;
        told = told.or(response.deltas.iter().find_map(|delta| match &delta.change {
            Some(Change::PeerReadMark(mark)) => Some(mark.clone()),
            _ => None,
        }));
        seen.take(response);
    }
    let told = told.unwrap();
    let arrival = receipt_proto::timestamp_from_ms(crate::harness::START_MS);
    assert_eq!((told.peer_id.as_str(), told.conversation_id.as_str()), ("bob", "d"));
    assert_eq!(told.up_to_time, Some(arrival), "a minute ahead, it says at most when it arrived");
    assert_eq!(seen.counts["x1"], (1, 0, true), "receipts of what was recalled go on counting");
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn s34_wrong_tokens_are_refused_and_old_ones_reset() {
    let server = Server::start().await;
    settled(&server).await;
    let mut stream = subscribe(&server, "ann", None).await;
    let token = next(&mut stream).await.resume_token;
    drop(stream);
    let mut damaged = token.clone().into_bytes();
    damaged[9] = if damaged[9] == b'A' { b'B' } else { b'A' };
    let damaged = String::from_utf8(damaged).unwrap();
    for (user, token) in [("ann", damaged.as_str()), ("ann", "x"), ("u1", token.as_str())] {
        let refused = try_subscribe(&server, user, Some(Start::ResumeToken(token.to_owned()))).await;
        let status = refused.expect_err("refused");
        assert_eq!((status.code(), reason(&status)), (Code::InvalidArgument, "INVALID_RESUME_TOKEN".to_owned()));
    }
    let other = Server::start().await;
    let mut stream = subscribe(&other, "ann", Some(Start::ResumeToken(token))).await;
    let first = next(&mut stream).await;
    assert!(first.reset && !first.resume_token.is_empty(), "of another log");
    drop(stream);
    other.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn s34_a_token_from_a_quiet_partition_is_as_young_as_what_came_after_it() {
    const DAY_MS: u64 = 24 * 3_600_000;
    let server = Server::start().await;
    settled(&server).await;
    server.read("u1", "c", &["m1"]).await;
    let mut seen = Seen::default();
    let oldest = Some(Start::Oldest(v1::Oldest {}));
    seen.until(&mut subscribe(&server, "ann", oldest).await, "m1", 1).await;
    // 29 days without a delta; then a token, two days away, and one more read.
    server.advance(29 * DAY_MS);
    server.publish(vec![to_all("c", "m3", "ann")]).await;
    let quiet = next(&mut subscribe(&server, "ann", None).await).await.resume_token;
    server.advance(2 * DAY_MS);
    server.read("u2", "c", &["m3"]).await;
    let resume = |token: &str| Some(Start::ResumeToken(token.to_owned()));
    let mut stream = subscribe(&server, "ann", resume(&quiet)).await;
    let told = next(&mut stream).await;
    assert!(!told.reset, "nothing was missed");
    seen.take(told);
    seen.until(&mut stream, "m3", 1).await;
    // Whoever comes with a token from before what has expired is told so.
    server.advance(29 * DAY_MS);
    server.publish(vec![to_all("c", "m4", "ann")]).await;
    server.advance(2 * DAY_MS);
    server.read("u3", "c", &["m4"]).await;
    seen.until(&mut stream, "m4", 1).await;
    drop(stream);
    let told = next(&mut subscribe(&server, "ann", resume(&quiet)).await).await;
    assert!(told.reset && told.deltas.is_empty(), "the delta of m3 is gone");
    server.stop().await;
}

#[tokio::test]
async fn streams_of_one_user_are_limited_and_end_with_a_last_word() {
    let server = Server::start().await;
    settled(&server).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = subscribe(&server, "ann", None).await;
        next(&mut stream).await;
        streams.push(stream);
    }
    let status = try_subscribe(&server, "ann", None).await.expect_err("refused");
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, "TOO_MANY_STREAMS".to_owned()));
    let nobody = try_subscribe(&server, "", None).await.expect_err("refused");
    assert_eq!(nobody.code(), Code::InvalidArgument);
    let ends = streams.into_iter().map(|mut stream| {
        tokio::spawn(async move {
            let mut token = String::new();
            loop {
                match stream.message().await {
                    Ok(Some(response)) => token = response.resume_token,
                    Ok(None) => panic!("ended without a word"),
                    Err(status) => return (status, token),
                }
            }
        })
    });
    let ends: Vec<_> = ends.collect();
    server.stop().await;
    for end in ends {
        let (status, token) = end.await.unwrap();
        assert_eq!((status.code(), reason(&status)), (Code::Unavailable, "SHUTTING_DOWN".to_owned()));
        assert!(!token.is_empty());
    }
}
