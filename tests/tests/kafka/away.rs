//! The broker is away for a while: writes fail in time and say when to try again, queries and streams go on, health says
//! so, and all recovers by itself.

use std::time::{Duration, Instant};

use receipt_proto::v1::{self, receipt_delta::Change};
use receipt_tests::{
    events,
    poll::until,
    server::Server,
    session::{counts, reason, something_happens},
};
use tonic::{Code, Request};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt as _;

use crate::site::Site;

const DEADLINE: Duration = Duration::from_secs(2);
/// How soon it must be noticed that the broker is away, or back.
const NOTICED_MAX: Duration = Duration::from_secs(15);
/// The name under which health tells of the log.
const LOG: &str = "receipts.log";
/// And of what goes on without it.
const SERVICE: &str = "receipts.v1.ReceiptService";

/// For how long: `RECEIPT_AWAY_SECONDS`.
fn away() -> Duration {
    let seconds = std::env::var("RECEIPT_AWAY_SECONDS").ok().map_or(12, |seconds| seconds.parse().expect("seconds"));
    Duration::from_secs(seconds)
}

async fn read(server: &Server, user: &str, wait: bool) -> Result<String, tonic::Status> {
    let mut request = Request::new(v1::SendMessageReadReceiptsRequest {
        user_id: user.to_owned(),
        conversation_id: "team".to_owned(),
        message_ids: vec!["m1".to_owned()],
        wait,
    });
    request.set_timeout(DEADLINE);
    let response = server.receipts().send_message_read_receipts(request).await?;
    Ok(response.into_inner().consistency_token)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_writes_fail_in_time_and_queries_go_on() {
    let mut site = Site::new().await;
    let server = site.serve().await;
    let token = something_happens(&server).await;
    let request = v1::SubscribeMessageReadReceiptsRequest { user_id: "alice".to_owned(), start: None };
    let mut stream = server.receipts().subscribe_message_read_receipts(request).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert_eq!(server.health_of(LOG).await, ServingStatus::Serving);

    site.broker.kill_9();
    let start = Instant::now();
    until("health says so", NOTICED_MAX, async || {
        (server.health_of(LOG).await == ServingStatus::NotServing).then_some(())
    })
    .await;
    let mut refused = 0;
    while start.elapsed() < away() {
        let asked = Instant::now();
        let status = read(&server, "carol", refused % 2 == 0).await.unwrap_err();
        assert!(asked.elapsed() <= DEADLINE + Duration::from_millis(100), "{:?}: {status:?}", asked.elapsed());
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "LOG_UNAVAILABLE"), "{status:?}");
        assert!(status.get_error_details().retry_info().is_some(), "when to try again: {status:?}");
        refused += 1;
        assert_eq!(counts(&server, Some(&token)).await, Ok((1, 1)), "queries go on");
        assert_eq!(server.health().await, ServingStatus::NotServing, "writes do not");
        assert_eq!(server.health_of(SERVICE).await, ServingStatus::Serving, "queries go on");
    }

    site.broker.restart().await;
    let back = Instant::now();
    let token = until("writes are taken again", NOTICED_MAX, async || read(&server, "carol", true).await.ok()).await;
    let recovered = back.elapsed();
    assert_eq!(counts(&server, Some(&token)).await, Ok((2, 0)), "read twice or ten times: once");
    until("health says so", NOTICED_MAX, async || {
        (server.health_of(LOG).await == ServingStatus::Serving).then_some(())
    })
    .await;
    let told = tokio::time::timeout(NOTICED_MAX, async {
        loop {
            let response = stream.message().await.unwrap().expect("the stream goes on");
            for delta in response.deltas {
                let Some(Change::Receipt(receipt)) = delta.change else { panic!("no receipt: {delta:?}") };
                if (receipt.read_count, receipt.unread_count) == (2, 0) {
                    return;
                }
            }
        }
    });
    told.await.expect("the stream goes on too");
    // What is not a repeat is taken too.
    let events = vec![events::sent_to_all("team", "m2", "alice")];
    let request = v1::PublishConversationEventsRequest { events, wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
    println!("away for {} s: {refused} writes refused; taken again after {recovered:?}", away().as_secs());
}
