//! A record is gone from the middle of a partition on Kafka. Offsets have gaps there anyway, so it is noticed where it changes
//! the state.

use std::time::Duration;

use receipt_log::Log;
use receipt_proto::v1;
use receipt_tests::{
    ctl,
    server::Server,
    session::{counts, something_happens},
};
use serde_json::Value;

use crate::site::{PREFIX, Site};

const FOLDED_MAX: Duration = Duration::from_secs(60);

async fn read(server: &Server, user: &str) {
    let request = v1::SendMessageReadReceiptsRequest {
        user_id: user.to_owned(),
        conversation_id: "team".to_owned(),
        message_ids: vec!["m1".to_owned()],
        wait: true,
    };
    server.receipts().send_message_read_receipts(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_record_missing_from_the_middle_on_kafka_is_noticed_where_it_changes_the_state() {
    let mut site = Site::new().await;
    let server = site.serve().await;
    // Bob reads at offset 0; carol's is the only record that says so of her; a repeat of bob's changes nothing.
    something_happens(&server).await;
    for user in ["carol", "bob", "bob"] {
        read(&server, user).await;
    }
    assert_eq!(counts(&server, None).await, Ok((2, 0)));
    server.folded(FOLDED_MAX).await;
    server.term().await;
    let home = Log::open_kafka(site.options()).await.unwrap().partition_for(b"team");
    let topic = format!("{PREFIX}receipts.reads");
    for (offset, equal) in [(2, true), (1, false)] {
        site.broker.stop().await;
        site.broker.cut(&topic, home, offset);
        site.broker.restart().await;
        let (servers, dir) = (site.broker.bootstrap(), site.dir.path().display().to_string());
        let args = ["replay", "verify", "--data-dir", &dir, "--kafka", &servers, "--topic-prefix", PREFIX, "--json"];
        let output = ctl::start_alone(&args).output().await;
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!((&json["equal"], output.status.success()), (&equal.into(), equal), "without {offset}: {json}");
        let found = &json["partitions"][usize::try_from(home).unwrap()];
        if !equal {
            let named = |one: &Value| (one["row"] == "reader", one["message"] == "m1", one["user"] == "carol");
            let mut first = found["first"].as_array().unwrap().iter();
            assert!(first.any(|one| named(one) == (true, true, true)), "{found}");
        }
    }
}
