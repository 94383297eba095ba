//! S33: many readers at once are few deltas.

use std::time::{Duration, Instant};

use receipt_proto::v1::{self, conversation_event::Event as Kind, message_sent::Audience};
use receipt_test_seed::seed;
use receipt_tests::{poll::until, random::Random};
use tokio::task::JoinSet;

use crate::{
    client::{Call, Client},
    ear::Ear,
    load::user,
    oracle::message_id,
    site::Site,
};

const READS: u64 = 5_000;
const READS_A_SECOND: u64 = 1_000;
/// Reads of one delta, at least.
const READS_A_DELTA: u64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn s33_five_thousand_reads_in_five_seconds_are_few_deltas() {
    let _shared = crate::MACHINE.read().await;
    let mut random = Random::new(seed());
    let site = Site::start(&mut random, &[]).await;
    let mut client = Client::new(site.channel());
    let member_ids = (0..READS).map(user).chain(["ann".to_owned()]).collect();
    let event = |version, event| v1::ConversationEvent {
        conversation_id: "g".to_owned(),
        occurred_at: None,
        version,
        event: Some(event),
    };
    let created = Kind::GroupCreated(v1::GroupCreated { group_type: "work".to_owned(), member_ids });
    let sent = Kind::MessageSent(v1::MessageSent {
        message_id: message_id(0),
        sender_id: "ann".to_owned(),
        need_read_receipt: true,
        audience: Some(Audience::AllMembers(v1::AllMembers {})),
    });
    client.acknowledged(&Call::Events(vec![event(1, created), event(2, sent)])).await;
    let ear = Ear::open(site.channel(), "ann").await;
    let start = Instant::now();
    read_by_all(&client).await;
    let took = start.elapsed();
    let key = ("g".to_owned(), message_id(0));
    let receipt = until("the final count", Duration::from_secs(20), async || {
        let heard = ear.heard.lock().unwrap();
        let word = heard.messages.get(&key).filter(|word| u64::from(word.receipt.read_count) == READS);
        word.map(|word| word.receipt.clone())
    })
    .await;
    assert_eq!(receipt.unread_count, 0);
    let heard = ear.heard.lock().unwrap();
    let deltas = heard.deltas;
    println!("{READS} reads in {:.1} s: {deltas} deltas, {} responses", took.as_secs_f64(), heard.responses);
    assert_eq!(heard.wrong, Vec::<String>::new());
    assert!(deltas * READS_A_DELTA <= READS, "{deltas} deltas of {READS} reads");
}

/// Each reader reads at their time, however long the others' calls take.
async fn read_by_all(client: &Client) {
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / READS_A_SECOND));
    let mut tasks = JoinSet::new();
    for reader in 0..READS {
        ticks.tick().await;
        let mut client = client.clone();
        tasks.spawn(async move {
            let call = Call::Receipts(v1::SendMessageReadReceiptsRequest {
                user_id: user(reader),
                conversation_id: "g".to_owned(),
                message_ids: vec![message_id(0)],
                wait: false,
            });
            client.acknowledged(&call).await
        });
    }
    while let Some(ended) = tasks.join_next().await {
        assert_eq!(ended.expect("acknowledged"), 0, "a call had to be made again");
    }
}
