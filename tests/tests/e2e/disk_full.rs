//! The disk of the embedded log is full, again and again: nothing that was acknowledged is lost, queries go on, and so do writes
//! once there is room.

use std::time::Duration;

use receipt_proto::v1;
use receipt_test_seed::seed;
use receipt_tests::{
    ctl, events,
    poll::until,
    random::Random,
    server::{DataDir, Server},
    session::{counts, reason},
};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt as _;

/// A tenth of it is kept free. The embedded log allocates some 70 MiB in advance.
const DISK_MIB: u64 = 300;
const SERVICE: &str = "receipts.v1.ReceiptService";
const MAX: Duration = Duration::from_secs(30);

/// How many rounds: `RECEIPT_ROUNDS`.
fn rounds() -> u32 {
    std::env::var("RECEIPT_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap())
}

/// The readers of one message, each of whom reads once.
struct Readers {
    read: u32,
    in_all: u32,
}

impl Readers {
    async fn new(server: &Server, in_all: u32) -> Self {
        let mut members: Vec<_> = (0..in_all).map(|n| format!("r{n}")).collect();
        members.push("alice".to_owned());
        let events = vec![events::group_created("team", "work", &members), events::sent_to_all("team", "m1", "alice")];
        let request = v1::PublishConversationEventsRequest { events, wait: true };
        server.receipts().publish_conversation_events(request).await.unwrap();
        Self { read: 0, in_all }
    }

    /// The next one reads.
    async fn next(&mut self, server: &Server) -> Result<(), Status> {
        let request = v1::SendMessageReadReceiptsRequest {
            user_id: format!("r{}", self.read),
            conversation_id: "team".into(),
            message_ids: vec!["m1".into()],
            wait: false,
        };
        server.receipts().send_message_read_receipts(request).await?;
        self.read += 1;
        Ok(())
    }

    /// Those who were acknowledged, and no others, are counted.
    async fn are_counted(&self, server: &Server) {
        let expected = Ok((self.read, self.in_all - self.read));
        until("all that was acknowledged is counted", MAX, async || {
            (counts(server, None).await == expected).then_some(())
        })
        .await;
    }
}

/// Writes are refused with when to try again; queries go on, and what was acknowledged before is counted.
async fn refuses(server: &Server, readers: &mut Readers) {
    let refused = until("writes are refused", MAX, async || readers.next(server).await.err()).await;
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "LOG_UNAVAILABLE"), "{refused}");
    assert!(refused.get_error_details().retry_info().is_some(), "{refused}");
    readers.are_counted(server).await;
    assert_eq!(server.health().await, ServingStatus::NotServing);
    assert_eq!(server.health_of(SERVICE).await, ServingStatus::Serving);
    let checked = ctl::run(server, &["partitions", "--check"]).await;
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("the log refuses records: the disk of the log has"), "{said}");
}

/// A start while the disk is full: it need not take writes.
async fn start(dir: &DataDir) -> Server {
    let server = Server::start_unchecked(dir, "127.0.0.1:0", &[]).await;
    until("queries are answered", MAX, async || {
        (server.health_of(SERVICE).await == ServingStatus::Serving).then_some(())
    })
    .await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_however_often_the_disk_is_full() {
    let mut random = Random::new(seed());
    let dir = DataDir::on_a_small_disk(DISK_MIB);
    let mut server = start(&dir).await;
    let mut readers = Readers::new(&server, 5_000).await;
    for round in 0..rounds() {
        for _ in 0..random.below(50) {
            readers.next(&server).await.unwrap();
        }
        let left_mib = 8 + random.below(18);
        let end = random.below(4);
        println!("round {round}: {} have read, {left_mib} MiB are left, end {end}", readers.read);
        dir.disk().fill(left_mib);
        refuses(&server, &mut readers).await;
        match end {
            0 => server.kill_9(),
            1 => assert_eq!(server.term().await.0.code(), Some(0)),
            _ => {
                dir.disk().give_back();
                until("writes are taken again", MAX, async || readers.next(&server).await.ok()).await;
                assert_eq!(server.health().await, ServingStatus::Serving);
                if end == 2 {
                    continue;
                }
                server.kill_9();
                server = start(&dir).await;
                readers.are_counted(&server).await;
                continue;
            }
        }
        server = start(&dir).await;
        refuses(&server, &mut readers).await;
        dir.disk().give_back();
        until("writes are taken again", MAX, async || readers.next(&server).await.ok()).await;
    }
    readers.are_counted(&server).await;
    let verified = ctl::json(&ctl::run(&server, &["replay", "verify", "--json"]).await);
    assert_eq!(verified["equal"], true, "{verified}");
}

/// Without a reserve a write fails in the end, and then nobody knows what the disk has: the next start does.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_has_failed_ends_receiptd_and_the_next_start_has_all_that_was_acknowledged() {
    let dir = DataDir::on_a_small_disk(DISK_MIB);
    let server = Server::start(&dir, &["--disk-reserve-mib", "0"]).await;
    let mut readers = Readers::new(&server, 100).await;
    for _ in 0..10 {
        readers.next(&server).await.unwrap();
    }
    readers.are_counted(&server).await;
    dir.disk().fill(0);
    // What was allocated in advance has to be used up first.
    let members: Vec<_> = (0..8_700).map(|n| format!("member-{n:06}{}", "x".repeat(90))).collect();
    let large = events::members_added("nobody", &members);
    let failed = until("a write fails", MAX, async || {
        let request = v1::PublishConversationEventsRequest { events: vec![large.clone()], wait: false };
        server.receipts().publish_conversation_events(request).await.err()
    })
    .await;
    assert_eq!(failed.code(), Code::Unavailable, "{failed}");
    assert_eq!(server.ended().await, Some(1));
    let log = std::fs::read_to_string(dir.path().with_extension("stderr")).unwrap();
    assert!(log.contains("the log takes no more records since a write failed"), "{log}");
    dir.disk().give_back();
    let server = Server::start(&dir, &["--disk-reserve-mib", "0"]).await;
    readers.are_counted(&server).await;
    readers.next(&server).await.unwrap();
}
