//! The senders of the real conversations, all subscribed while they are imported.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use receipt_ctl::dataset::Kind;
use receipt_log::{Clock, EmbeddedOptions, Log, Topic};
use receipt_proto::v1::{self, receipt_result};
use receipt_tests::{
    dataset_model, events,
    poll::until,
    server::{DataDir, Receipts, Server},
};

use crate::{
    conversations::FOLD_MAX,
    import,
    told::{Listener, Told},
};

/// Connections for the streams.
const CONNECTIONS: usize = 8;
/// How long opening all of them may take.
const OPEN_MAX: Duration = Duration::from_secs(60);
/// How long the last word may take after all is folded.
const LAST_WORD_MAX: Duration = Duration::from_secs(60);
/// Messages of one call for counts.
const COUNTS_OF_A_CALL: usize = 100;

/// All messages, by sender.
type Messages = BTreeMap<String, Vec<v1::MessageReceipt>>;

/// S3, R6, S31 to S33: every sender's last word on every message is what a query answers, and nobody is left out, live
/// and from the oldest.
#[tokio::test(flavor = "multi_thread")]
async fn every_sender_of_the_real_conversations_is_told_what_is_true() {
    for (kind, _, receipts) in import::DATA_SETS {
        everyone_is_told(kind, receipts).await;
    }
}

/// S34: streams that were opened before anything happened ask together what they may have missed, not each for itself.
#[tokio::test(flavor = "multi_thread")]
async fn many_streams_of_a_quiet_partition_do_not_each_read_the_log() {
    const STREAMS: usize = 300;
    // On Kafka, readings of one partition at the same time have a consumer each, which keeps its thread.
    const READING_MAX: usize = 8;
    let server = Server::start(&DataDir::new(), &[]).await;
    let users: Vec<String> = (0..STREAMS).map(|n| format!("u{n}")).collect();
    let listeners: Vec<_> = users.iter().map(|user| Listener::start(server.receipts(), user.clone())).collect();
    until("every stream's first response", OPEN_MAX, async || {
        listeners.iter().all(|listener| listener.told.lock().unwrap().responses > 0).then_some(())
    })
    .await;
    let reading = || server.threads().iter().filter(|name| *name == "kafka-serve").count();
    let before = reading();
    let mut events = vec![events::group_created("team", "work", &users)];
    events.extend(users.iter().map(|user| events::sent_to_all("team", &format!("of-{user}"), user)));
    let request = v1::PublishConversationEventsRequest { events, wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
    let newest = v1::mark_conversation_read_request::UpTo::MessageId(format!("of-u{}", STREAMS - 1));
    let request = v1::MarkConversationReadRequest {
        user_id: "u0".into(),
        conversation_id: "team".into(),
        up_to: Some(newest),
        wait: true,
    };
    server.receipts().mark_conversation_read(request).await.unwrap();
    until("every sender but the reader is told", LAST_WORD_MAX, async || {
        let told = listeners.iter().filter(|listener| listener.told.lock().unwrap().deltas > 0).count();
        (told == STREAMS - 1).then_some(())
    })
    .await;
    let after = reading();
    assert!(after <= before + READING_MAX, "{after} consumers read the log, and {before} before");
}

async fn everyone_is_told(kind: Kind, receipts: u64) {
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    let mut messages = messages(kind);
    let listeners = subscribe(&server, &messages).await;
    let start = Instant::now();
    import::end(import::start(&server, &dir, kind)).await;
    server.folded(FOLD_MAX).await;
    let folded = start.elapsed();
    ask(server.receipts(), &mut messages).await;
    let told: Vec<_> = listeners.iter().map(|listener| listener.told.clone()).zip(messages.values()).collect();
    last_words(&told).await;
    let from_oldest = subscribe(&server, &messages).await;
    let again: Vec<_> = from_oldest.iter().map(|listener| listener.told.clone()).zip(messages.values()).collect();
    last_words(&again).await;
    let (folded, compared) = (folded.as_secs_f64(), start.elapsed().as_secs_f64());
    println!("{}: folded {folded:.1} s after the import began, compared {compared:.1} s after", kind.name());
    report(kind, &told, receipts);
    drop((listeners, from_oldest));
    server.term().await;
    deltas_in_the_log(kind, &dir, receipts);
}

/// All messages, as a plain program has them at the end.
fn messages(kind: Kind) -> Messages {
    let mut messages = Messages::new();
    dataset_model::for_each_conversation(kind, &import::file(kind), |conversation| {
        for message in conversation.messages() {
            messages.entry(message.sender.clone()).or_default().push(conversation.receipt(message).0);
        }
    });
    messages
}

/// A stream for each sender; all have their first response.
async fn subscribe(server: &Server, messages: &Messages) -> Vec<Listener> {
    let clients: Vec<Receipts> = (0..CONNECTIONS).map(|_| server.receipts()).collect();
    let senders = messages.keys().zip(clients.iter().cycle());
    let listeners: Vec<_> = senders.map(|(sender, client)| Listener::start(client.clone(), sender.clone())).collect();
    until("every stream's first response", OPEN_MAX, async || {
        listeners
            .iter()
            .all(|listener| {
                let told = listener.told.lock().unwrap();
                told.is_not_wrong();
                told.responses > 0
            })
            .then_some(())
    })
    .await;
    listeners
}

/// Puts what the server answers in the place of what the program says; the two are the same.
async fn ask(mut client: Receipts, messages: &mut Messages) {
    let mut all: Vec<&mut v1::MessageReceipt> = messages.values_mut().flatten().collect();
    for call in all.chunks_mut(COUNTS_OF_A_CALL) {
        let refs = call.iter().map(|receipt| v1::MessageRef {
            conversation_id: receipt.conversation_id.clone(),
            message_id: receipt.message_id.clone(),
        });
        let request = v1::GetMessageReadReceiptsRequest { messages: refs.collect(), ..Default::default() };
        let results = client.get_message_read_receipts(request).await.expect("counts").into_inner().results;
        assert_eq!(results.len(), call.len());
        for (asked, result) in call.iter_mut().zip(results) {
            let Some(receipt_result::Result::Receipt(receipt)) = result.result else { panic!("{result:?}") };
            asked.kept_until = receipt.kept_until;
            assert!(receipt.kept_until.is_some(), "S24: {receipt:?}");
            assert_eq!(receipt, **asked);
        }
    }
}

/// Waits until everyone's last word is what it has to be.
async fn last_words(told: &[(Arc<Mutex<Told>>, &Vec<v1::MessageReceipt>)]) {
    let mut waiting: Vec<_> = told.iter().collect();
    let start = Instant::now();
    until("every sender's last word", LAST_WORD_MAX * 2, async || {
        waiting.retain(|(told, messages)| !told.lock().unwrap().differences(messages).is_empty());
        if start.elapsed() > LAST_WORD_MAX {
            let left: Vec<_> =
                waiting.iter().flat_map(|(told, asked)| told.lock().unwrap().differences(asked)).collect();
            assert!(
                left.is_empty(),
                "{} differences, the first of them: {:#?}",
                left.len(),
                &left[..left.len().min(10)]
            );
        }
        waiting.is_empty().then_some(())
    })
    .await;
}

#[allow(clippy::cast_precision_loss)]
fn report(kind: Kind, told: &[(Arc<Mutex<Told>>, &Vec<v1::MessageReceipt>)], receipts: u64) {
    let (mut messages, mut told_of, mut counted, mut deltas) = (0, 0, 0, 0);
    for (told, asked) in told {
        let told = told.lock().unwrap();
        messages += asked.len();
        told_of += told.messages();
        counted += asked.iter().map(|receipt| u64::from(receipt.read_count)).sum::<u64>();
        deltas += told.deltas;
    }
    assert_eq!(counted, receipts);
    println!(
        "{}: {} senders subscribed, with {messages} messages and {receipts} receipts: 0 differences; told of {told_of} \
         messages in {deltas} deltas, {:.3} a receipt",
        kind.name(),
        told.len(),
        deltas as f64 / receipts as f64,
    );
}

/// How much receipts.deltas holds, by the log of the server that has ended.
#[allow(clippy::cast_precision_loss)]
fn deltas_in_the_log(kind: Kind, dir: &DataDir, receipts: u64) {
    let options = EmbeddedOptions {
        dir: dir.path().join("log"),
        partitions: 4,
        retention_ms: 0,
        accept_clock_jump: true,
        clock: Clock::System,
    };
    let log = Log::open_embedded(options).expect("the log");
    let (mut deltas, mut bytes) = (0_u64, 0);
    for partition in 0..log.partitions() {
        let mut reader = log.reader(Topic::Deltas, partition, 0);
        loop {
            let records = reader.poll(4096, 4 << 20).expect("records");
            if records.is_empty() {
                break;
            }
            deltas += records.len() as u64;
            bytes += records.iter().map(|record| record.value.as_ref().map_or(0, |value| value.len())).sum::<usize>();
        }
    }
    println!(
        "{}: {deltas} deltas in the log, {:.3} a receipt, and {:.1} bytes of them a receipt",
        kind.name(),
        deltas as f64 / receipts as f64,
        bytes as f64 / receipts as f64
    );
}
