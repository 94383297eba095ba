//! What a receiptd takes from its clients at a time, what who goes beyond that is told, and that others go on meanwhile.

use std::{
    collections::VecDeque,
    pin::Pin,
    process::Command,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::Frame;
use receipt_proto::v1;
use receipt_tests::{
    events,
    poll::until,
    server::{DataDir, Receipts, Server, binary},
    session::{counts, reason, something_happens},
};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service as _, http},
    transport::Channel,
};
use tonic_types::StatusExt as _;

/// How a client of HTTP/2 begins: its preface, and empty settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const CLOSED_MAX: Duration = Duration::from_secs(20);

/// A connection that has said hello; `None`: it was closed at once.
async fn connection(server: &Server) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(server.addr).await.ok()?;
    stream.write_all(HELLO).await.ok()?;
    // The server's settings.
    let heard = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 64])).await;
    matches!(heard, Ok(Ok(1..))).then_some(stream)
}

async fn send(client: &mut Receipts, reader: &str) -> Result<(), Status> {
    let request = v1::SendMessageReadReceiptsRequest {
        user_id: reader.to_owned(),
        conversation_id: "team".into(),
        message_ids: vec!["m1".into()],
        wait: false,
    };
    client.send_message_read_receipts(request).await.map(drop)
}

fn cpu(server: &Server) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Of the whole process, at a time, so far.
fn peak_resident_mib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_and_the_others_go_on() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &["--max-connections", "10"]).await;
    something_happens(&server).await;
    let mut client = server.receipts();
    send(&mut client, "bob").await.unwrap();
    // Those of the test's own clients that are gone give their places back in time.
    let mut connections = Vec::new();
    until("nine more connections", CLOSED_MAX, async || {
        connections.extend(connection(&server).await);
        (connections.len() == 9).then_some(())
    })
    .await;
    assert!(connection(&server).await.is_none());
    send(&mut client, "carol").await.unwrap();
    drop(connections.pop());
    until("a place is free again", CLOSED_MAX, async || connection(&server).await.map(drop)).await;
}

/// Where the process may have no more files open, it neither spins nor forgets whoever it serves.
#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_no_connection_is_accepted_until_there_are_some() {
    const WATCHED: Duration = Duration::from_secs(2);
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    something_happens(&server).await;
    let mut client = server.receipts();
    send(&mut client, "bob").await.unwrap();
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count() as u64;
    let limit = |current| Rlimit { current: Some(current), maximum: Some(20_000) };
    prlimit(Some(pid), Resource::Nofile, limit(open)).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(TcpStream::connect(server.addr).await.unwrap());
    }
    let (before, start) = (cpu(&server), Instant::now());
    let (mut sent, mut ticks) = (0, tokio::time::interval(Duration::from_millis(20)));
    while start.elapsed() < WATCHED {
        ticks.tick().await;
        send(&mut client, "carol").await.unwrap();
        sent += 1;
    }
    let spent = cpu(&server) - before;
    assert!(spent < WATCHED / 2, "{spent:?} of CPU for {sent} calls");
    prlimit(Some(pid), Resource::Nofile, limit(10_000)).unwrap();
    until("there are descriptors again", CLOSED_MAX, async || connection(&server).await.map(drop)).await;
    let log = std::fs::read_to_string(dir.path().with_extension("stderr")).unwrap();
    assert_eq!(log.matches("connections are refused").count(), 1, "{log}");
}

#[test]
fn too_few_descriptors_are_refused_at_the_start() {
    let dir = DataDir::by_flags();
    let start = "ulimit -n 512; exec \"$0\" --data-dir \"$1\" --listen 127.0.0.1:0";
    let mut command = Command::new("sh");
    let output = command.args(["-c", start]).arg(binary("receiptd")).arg(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("may have 512 files open, and 4 partitions need 960"), "{said}");
}

/// Pieces of a body that never ends.
struct Stalled(VecDeque<Bytes>);

impl http_body::Body for Stalled {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.0.pop_front().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
    }
}

/// A call whose message of `length` bytes stalls after those that are given.
async fn stalled(mut channel: Channel, length: u32, given: usize) -> Result<(), Status> {
    // One event, which is as good as all of it.
    let event = [0x0a, 0xff, 0xff, 0xff, 0x01];
    let prefix = [&[0][..], &length.to_be_bytes(), &event].concat();
    let pieces = [Bytes::from(prefix), Bytes::from(vec![0; given])];
    let request = http::Request::post("http://receiptd/receipts.v1.ReceiptService/PublishReadEvents")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Stalled(pieces.into())))
        .unwrap();
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.map_err(|error| Status::from_error(error.into()))?;
    let response = channel.call(request).await.map_err(|error| Status::from_error(error.into()))?;
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_uploads_hold_no_more_memory_than_they_may_and_end() {
    const UPLOADS: usize = 500;
    const LENGTH: u32 = 4 << 20;
    let dir = DataDir::new();
    let server = Server::start(&dir, &["--request-memory-mib", "64", "--request-timeout", "3s"]).await;
    something_happens(&server).await;
    let before_mib = peak_resident_mib(&server);
    let channel = server.channel();
    let mut uploads = JoinSet::new();
    for _ in 0..UPLOADS {
        uploads.spawn(stalled(channel.clone(), LENGTH, LENGTH as usize - 100));
    }
    // Somebody else is answered all the while.
    let mut client = server.receipts();
    let mut ended = Vec::new();
    let mut longest = Duration::ZERO;
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while ended.len() < UPLOADS {
        ticks.tick().await;
        let start = Instant::now();
        send(&mut client, "carol").await.unwrap();
        longest = longest.max(start.elapsed());
        while let Some(one) = uploads.try_join_next() {
            ended.push(one.unwrap().expect_err("it has not ended"));
        }
    }
    let grown_mib = peak_resident_mib(&server) - before_mib;
    println!("{grown_mib} MiB more, and the longest of the other calls took {longest:?}");
    assert!(grown_mib < 128, "{grown_mib} MiB more");
    for status in &ended {
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::ResourceExhausted), "{status:?}");
        assert_eq!(reason(status), "OVERLOADED", "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_empty_events_is_refused_before_it_is_decoded() {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    let before_mib = peak_resident_mib(&server);
    let mut client = server.receipts();
    let events = vec![v1::ConversationEvent::default(); 2_000_000];
    let request = v1::PublishConversationEventsRequest { events, wait: false };
    let refused = client.publish_conversation_events(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "LIMIT_EXCEEDED"), "{refused}");
    let details = refused.get_error_details();
    let metadata = &details.error_info().unwrap().metadata;
    assert_eq!((metadata["field"].as_str(), metadata["limit"].as_str()), ("events", "1000"));
    let grown_mib = peak_resident_mib(&server) - before_mib;
    assert!(grown_mib < 32, "{grown_mib} MiB more");
    let events = vec![events::group_created("team", "work", &["ann"])];
    client.publish_conversation_events(v1::PublishConversationEventsRequest { events, wait: true }).await.unwrap();
}

/// What is too much is told at once to come again, and nothing that was acknowledged is missing in the end.
#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_their_number_are_told_to_come_again() {
    const CALLERS: usize = 64;
    let dir = DataDir::new();
    let server = Server::start(&dir, &["--max-appends", "1"]).await;
    let readers: Vec<String> = (0..CALLERS).map(|n| format!("r{n}")).collect();
    let mut members = readers.clone();
    members.push("alice".to_owned());
    let events = vec![events::group_created("team", "work", &members), events::sent_to_all("team", "m1", "alice")];
    let request = v1::PublishConversationEventsRequest { events, wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
    let client = server.receipts();
    let mut callers = JoinSet::new();
    for reader in readers {
        let mut client = client.clone();
        callers.spawn(async move {
            let (mut refused, mut ticks) = (0, tokio::time::interval(Duration::from_millis(20)));
            ticks.tick().await;
            while let Err(status) = send(&mut client, &reader).await {
                let details = status.get_error_details();
                assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
                assert!(details.retry_info().and_then(|info| info.retry_delay).is_some(), "{status:?}");
                refused += 1;
                ticks.tick().await;
            }
            refused
        });
    }
    let refused: usize = callers.join_all().await.into_iter().sum();
    assert!(refused > 0);
    server.folded(CLOSED_MAX).await;
    assert_eq!(counts(&server, None).await, Ok((u32::try_from(CALLERS).unwrap(), 0)));
}

/// h2 closes the connection of a client that sends many small requests at once, by how large the connection's window is.
#[tokio::test(flavor = "multi_thread")]
async fn as_many_calls_at_once_on_one_connection_as_there_may_be_do_not_end_it() {
    const CALLS: usize = 4_000;
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    something_happens(&server).await;
    let mut client = server.receipts();
    send(&mut client, "bob").await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let mut client = client.clone();
        calls.spawn(async move { send(&mut client, "carol").await });
    }
    for answer in calls.join_all().await {
        // Where it is slow it may say so.
        assert!(answer.as_ref().err().is_none_or(|status| !reason(status).is_empty()), "{answer:?}");
    }
}
