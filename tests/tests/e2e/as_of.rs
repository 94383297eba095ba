//! What receiptctl tells as of earlier moments, of a running receiptd and of one that is stopped, is what the program over
//! the data set's events says of the log up to there.

use std::collections::HashSet;

use prost::Message as _;
use receipt_ctl::dataset::Kind;
use receipt_log::{Log, StoredRecord, Topic};
use receipt_proto::{timestamp_from_ms, v1};
use receipt_test_engine as engine;
use receipt_tests::{
    ctl,
    dataset_model::Conversation,
    random::Random,
    server::{DataDir, Server},
};
use serde_json::{Value, json};

use crate::{conversations::FOLD_MAX, import};

/// A private conversation with some hundred messages.
const CONVERSATION: &str = "c8-99";
const MOMENTS: usize = 4;

/// A partition's two topics.
struct Records {
    conversations: Vec<StoredRecord>,
    reads: Vec<StoredRecord>,
}

/// All that is in the conversation's partition; the server is stopped.
async fn records(dir: &DataDir) -> Records {
    let log = match dir.kafka() {
        Some(servers) => Log::open_kafka(engine::kafka_options(servers, &dir.path())).await.unwrap(),
        None => Log::open_embedded_existing(&dir.path().join("log")).unwrap(),
    };
    let partition = log.partition_for(CONVERSATION.as_bytes());
    let all = |topic| {
        let mut all: Vec<StoredRecord> = Vec::new();
        loop {
            let next = all.last().map_or(0, |last| last.offset + 1);
            let read = if next < log.end_offset(topic, partition) {
                log.read(topic, partition, next, 10_000, 1 << 24).unwrap()
            } else {
                Vec::new()
            };
            if read.is_empty() {
                return all;
            }
            all.extend(read);
        }
    };
    let records =
        tokio::task::block_in_place(|| Records { conversations: all(Topic::Conversations), reads: all(Topic::Reads) });
    log.close().unwrap();
    records
}

/// A moment as it is given, and how many records of each topic are before it.
struct Moment {
    given: String,
    conversations: usize,
    reads: usize,
}

impl Records {
    fn moments(&self, random: &mut Random) -> Vec<Moment> {
        let of_it = |record: &&StoredRecord| record.key.as_deref() == Some(CONVERSATION.as_bytes());
        let arrivals: Vec<u64> = self
            .conversations
            .iter()
            .chain(&self.reads)
            .filter(of_it)
            .filter_map(|record| record.timestamp_ms)
            .collect();
        let until = |records: &[StoredRecord], time_ms| {
            records.iter().take_while(|record| record.timestamp_ms.unwrap_or(0) <= time_ms).count()
        };
        let moment = |n| {
            let time_ms = *random.one_of(&arrivals);
            let (conversations, reads) = (until(&self.conversations, time_ms), until(&self.reads, time_ms));
            let next = |records: &[StoredRecord], count: usize| records[count - 1].offset + 1;
            match n % 2 {
                0 => Moment { given: timestamp_from_ms(time_ms).to_string(), conversations, reads },
                _ => {
                    // Any two prefixes are a state.
                    let reads = (reads / 2).max(1);
                    let offsets = (next(&self.conversations, conversations), next(&self.reads, reads));
                    Moment { given: format!("{}:{}", offsets.0, offsets.1), conversations, reads }
                }
            }
        };
        (0..MOMENTS).map(moment).collect()
    }

    fn at(&self, moment: &Moment) -> Conversation {
        let mut conversation = Conversation::new(CONVERSATION);
        let value = |record: &StoredRecord| record.value.clone().unwrap_or_default();
        let mut known = HashSet::new();
        for record in &self.conversations[..moment.conversations] {
            let event = v1::ConversationEvent::decode(value(record)).unwrap();
            if event.conversation_id == CONVERSATION {
                conversation.apply(&event);
            }
        }
        known.extend(conversation.messages().iter().map(|message| message.id.clone()));
        for record in &self.reads[..moment.reads] {
            let mut event = v1::ReadEvent::decode(value(record)).unwrap();
            if event.conversation_id != CONVERSATION {
                continue;
            }
            // The program knows none that wait for their messages.
            let is_known = match event.target.as_mut().unwrap() {
                v1::read_event::Target::Messages(named) => {
                    named.message_ids.retain(|id| known.contains(id));
                    true
                }
                v1::read_event::Target::UpToMessageId(id) => known.contains(id),
                v1::read_event::Target::UpToTime(_) => true,
            };
            if is_known {
                conversation.read(&event);
            }
        }
        conversation
    }
}

/// Asks as of a moment.
async fn ask(how: &[&str], server: Option<&Server>, moment: &str, question: &[&str]) -> Value {
    let args: Vec<&str> =
        ["replay", "as-of", moment].iter().chain(how).chain(question).chain(&["--json"]).copied().collect();
    let output = match server {
        Some(server) => ctl::run(server, &args).await,
        None => ctl::start_alone(&args).output().await,
    };
    ctl::answer(&output)
}

/// Whether all three questions are answered as the program says.
async fn compare(how: &[&str], server: Option<&Server>, moment: &Moment, right: &Conversation, all: &[String]) {
    let at = &moment.given;
    let messages: Vec<&str> = all.iter().map(String::as_str).collect();
    let question: Vec<&str> = ["receipts", "--conversation", CONVERSATION].iter().chain(&messages).copied().collect();
    let told = ask(how, server, at, &question).await;
    let results = told["results"].as_array().unwrap();
    assert_eq!(results.len(), messages.len());
    for (id, result) in messages.iter().zip(results) {
        let Some(message) = right.messages().iter().find(|message| message.id == *id) else {
            assert_eq!(result["error"], "NOT_FOUND", "{at}: {result}");
            continue;
        };
        let (receipt, _) = right.receipt(message);
        let expected = json!({
            "conversation_id": CONVERSATION,
            "message_id": id,
            "read_count": receipt.read_count,
            "unread_count": receipt.unread_count,
            "audience_count": receipt.audience_count,
            "read_left_count": receipt.read_left_count,
            "kept_until": result["receipt"]["kept_until"],
            "recalled": false,
            "peer_id": receipt.peer_id,
            "is_peer_read": receipt.is_peer_read,
            "peer_read_at": receipt.peer_read_at.map(|time| time.to_string()),
        });
        assert_eq!(result["receipt"], expected, "{at}");
        assert!(result["receipt"]["kept_until"].is_string(), "{at}");
    }
    let message = right.messages().last().expect("a message was sent by then");
    let (_, answer) = right.receipt(message);
    for filter in ["read", "unread"] {
        let told =
            ask(how, server, at, &["members", CONVERSATION, &message.id, filter, "--all", "--page-size", "1"]).await;
        let told: Vec<_> = told["members"].as_array().unwrap().iter().map(|one| one["user_id"].clone()).collect();
        let read: Vec<_> = answer.read.iter().map(|reader| json!(reader.user)).collect();
        let expected = if filter == "read" { read } else { answer.unread.iter().map(|user| json!(user)).collect() };
        assert_eq!(told, expected, "{at}: {filter} of {}", message.id);
    }
    let told = ask(how, server, at, &["states", CONVERSATION, &message.id, &message.sender, "nobody"]).await;
    let told: Vec<_> = told["states"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(told, [json!("NOT_IN_AUDIENCE"), json!("NOT_IN_AUDIENCE")], "{at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_of_earlier_moments_the_answers_are_those_of_the_log_up_to_there() {
    let seed = receipt_test_seed::seed();
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    import::end(import::start(&server, &dir, Kind::CollegeMsg)).await;
    server.folded(FOLD_MAX).await;
    server.term().await;
    let records = records(&dir).await;
    let moments = records.moments(&mut Random::new(seed));
    let end = Moment { given: String::new(), conversations: records.conversations.len(), reads: records.reads.len() };
    // One call asks for 100.
    let all: Vec<_> = records.at(&end).messages().iter().take(100).map(|message| message.id.clone()).collect();

    let path = dir.path();
    let (prefix, kafka) = (engine::topic_prefix(&path), dir.kafka());
    let mut stopped = vec!["--data-dir", path.to_str().unwrap()];
    if let Some(servers) = &kafka {
        stopped.extend(["--kafka", servers, "--topic-prefix", &prefix]);
    }
    for moment in &moments {
        compare(&stopped, None, moment, &records.at(moment), &all).await;
    }
    if let Some(servers) = &kafka {
        let aside = dir.beside("aside");
        let how = ["--kafka", servers, "--topic-prefix", &prefix, "--aside", aside.to_str().unwrap()];
        compare(&how, None, &moments[0], &records.at(&moments[0]), &all).await;
    }
    let server = Server::start(&dir, &[]).await;
    for moment in &moments {
        compare(&[], Some(&server), moment, &records.at(moment), &all).await;
    }
    let late = ["replay", "as-of", "9999-01-01T00:00:00Z", "states", CONVERSATION, &all[0], "nobody"];
    let late = ctl::run(&server, &late).await;
    assert!(String::from_utf8_lossy(&late.stderr).contains("the log ends before the moment"), "{late:?}");
    let early = ctl::run(&server, &["replay", "as-of", "@0", "states", CONVERSATION, &all[0], "nobody"]).await;
    let said = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(!early.status.success() && said.contains("ask for that time or a later one"), "{said}");
    assert!(!path.join("replay").exists(), "nothing is left over");
}
