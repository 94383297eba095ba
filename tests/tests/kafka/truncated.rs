//! R7: a partition on Kafka loses its end, as when a replica that was behind becomes the leader, and is written on from
//! there. Its offsets name other records then, also where there are as many again or more: each partition that has read
//! what was lost is sealed, and is right again after the command that its seal names.

use std::{collections::BTreeMap, process::Command, time::Duration};

use prost::Message as _;
use receipt_log::{Log, NewRecord, Topic};
use receipt_proto::v1::{self, read_event::Target, receipt_delta::Change};
use receipt_tests::{
    ctl,
    digests::digests,
    document::blocks,
    events,
    poll::until,
    server::{DataDir, Server},
};

use crate::site::{PREFIX, Site};

const STEP_MAX: Duration = Duration::from_secs(60);
/// Each topic loses records of another partition, and the last one loses none.
const READS: u32 = 0;
const CONVERSATIONS: u32 = 1;
const DELTAS: u32 = 2;
const UNHARMED: u32 = 3;

/// A broker, and three groups with a message each that ann and bob have read; the names say in which partitions they are.
struct Lossy {
    site: Site,
    /// Of partitions that lose reads, events, and nothing.
    groups: [String; 3],
    /// The sender whose deltas are lost, and who sent in the group that loses nothing.
    sender: String,
    /// The sender in the other groups.
    other: String,
    /// The last records of those that lose one.
    last: BTreeMap<Topic, u64>,
}

/// What loses records.
const LOSSY: [(Topic, u32); 3] =
    [(Topic::Reads, READS), (Topic::Conversations, CONVERSATIONS), (Topic::Deltas, DELTAS)];

/// A name that belongs in a partition.
fn name(log: &Log, what: &str, partition: u32) -> String {
    let mut names = (0..).map(|number| format!("{what}{number}"));
    names.find(|name| log.partition_for(name.as_bytes()) == partition).unwrap()
}

fn read_of(group: &str, reader: &str) -> NewRecord {
    let target = Target::Messages(v1::MessageIds { message_ids: vec!["m1".to_owned()] });
    let (conversation_id, reader_id) = (group.to_owned(), reader.to_owned());
    let event = v1::ReadEvent { conversation_id, reader_id, read_at: None, target: Some(target) };
    NewRecord::new(group.to_owned(), event.encode_to_vec())
}

fn message_of(group: &str, message: &str, sender: &str) -> NewRecord {
    NewRecord::new(group.to_owned(), events::sent_to_all(group, message, sender).encode_to_vec())
}

async fn publish(server: &Server, event: v1::ConversationEvent) {
    let request = v1::PublishConversationEventsRequest { events: vec![event], wait: true };
    server.receipts().publish_conversation_events(request).await.unwrap();
}

/// A producer may need another try after its brokers were away.
async fn read(server: &Server, group: &str, reader: &str) {
    let (user_id, conversation_id) = (reader.to_owned(), group.to_owned());
    let message_ids = vec!["m1".to_owned()];
    let request = v1::SendMessageReadReceiptsRequest { user_id, conversation_id, message_ids, wait: true };
    until("the read is taken", STEP_MAX, async || {
        let sent = server.receipts().send_message_read_receipts(request.clone()).await;
        sent.inspect_err(|status| println!("{}: {}", status.code(), status.message())).ok()
    })
    .await;
}

/// Read and unread of messages of a group, `None` where there is no such message; why, where there is no answer.
async fn counts(server: &Server, group: &str, messages: &[&str]) -> Result<Vec<Option<(u32, u32)>>, String> {
    let messages = messages.iter().map(|message| events::message_ref(group, message)).collect();
    let request = v1::GetMessageReadReceiptsRequest { messages, ..Default::default() };
    let response = server.receipts().get_message_read_receipts(request).await;
    let of = |result: v1::ReceiptResult| match result.result {
        Some(v1::receipt_result::Result::Receipt(receipt)) => Ok(Some((receipt.read_count, receipt.unread_count))),
        Some(v1::receipt_result::Result::Error(error)) if error == v1::ReceiptError::NotFound as i32 => Ok(None),
        other => Err(format!("{other:?}")),
    };
    response.map_err(|status| status.to_string())?.into_inner().results.into_iter().map(of).collect()
}

/// Why partitions do not serve.
async fn seals(server: &Server) -> BTreeMap<(i32, u32), String> {
    let sealed = server.partitions().await.into_iter().filter(|one| !one.sealed.is_empty());
    sealed.map(|one| ((one.projection, one.partition), one.sealed)).collect()
}

/// Once the receipts have all that the log has; an inbox may be sealed.
async fn receipts_folded(server: &Server) {
    until("the receipts are folded", STEP_MAX, async || {
        let partitions = server.receipt_partitions().await;
        let mut positions = partitions.iter().flat_map(|partition| &partition.positions);
        positions.all(|at| at.applied_offset == at.end_offset).then_some(())
    })
    .await;
}

impl Lossy {
    async fn new() -> (Self, Server) {
        let site = Site::new().await;
        let log = Log::open_kafka(site.options()).await.unwrap();
        let groups = [READS, CONVERSATIONS, UNHARMED].map(|partition| name(&log, "group", partition));
        let (sender, other) = (name(&log, "sender", DELTAS), name(&log, "sender", UNHARMED));
        let server = site.serve().await;
        for group in &groups {
            let sender = if *group == groups[2] { &sender } else { &other };
            let members = [sender.as_str(), "ann", "bob"];
            publish(&server, events::group_created(group, "work", &members)).await;
            publish(&server, events::sent_to_all(group, "m1", sender)).await;
            for reader in ["ann", "bob"] {
                read(&server, group, reader).await;
            }
        }
        publish(&server, events::sent_to_all(&groups[1], "m2", &other)).await;
        server.folded(STEP_MAX).await;
        let log = Log::open_kafka(site.options()).await.unwrap();
        let last = LOSSY.map(|(topic, partition)| (topic, log.end_offset(topic, partition) - 1)).into();
        log.close().unwrap();
        (Self { site, groups, sender, other, last }, server)
    }

    /// Bob's read, the second message and the second delta are lost.
    fn truncate(&self) {
        for (topic, partition) in LOSSY {
            self.site.broker.truncate(&format!("{PREFIX}{}", topic.name()), partition, self.last[&topic]);
        }
    }

    /// Other records come in their place, and so many more.
    async fn grow(&self, more: usize) {
        let log = Log::open_kafka(self.site.options()).await.unwrap();
        for number in 0..=more {
            let message = format!("m{}", number + 3);
            let records = [
                (Topic::Reads, READS, read_of(&self.groups[0], "ann")),
                (Topic::Conversations, CONVERSATIONS, message_of(&self.groups[1], &message, &self.other)),
                (Topic::Deltas, DELTAS, NewRecord::new(self.sender.clone(), "no delta")),
            ];
            for (topic, partition, record) in records {
                log.append(topic, partition, vec![record]).await.unwrap();
            }
        }
        log.close().unwrap();
    }

    /// Those that have read what was lost are sealed, and say by which record, and with what remedy.
    async fn is_sealed(&self, server: &Server) {
        let sealed = until("what was lost is noticed", STEP_MAX, async || {
            let sealed = seals(server).await;
            let lost = sealed.values().filter(|why| why.contains("was truncated on Kafka")).count();
            (lost == 3 && !sealed.values().any(|why| why.contains("catching up"))).then_some(sealed)
        })
        .await;
        let expected = [
            (v1::Projection::Receipts, READS, Topic::Reads),
            (v1::Projection::Receipts, CONVERSATIONS, Topic::Conversations),
            (v1::Projection::Inbox, DELTAS, Topic::Deltas),
        ];
        assert_eq!(sealed.len(), 3, "no other: {sealed:?}");
        for (projection, partition, topic) in expected {
            let offset = self.last[&topic];
            let why = &sealed[&(projection.into(), partition)];
            let says = format!("{}/{partition} was truncated on Kafka: the record at offset {offset} ", topic.name());
            assert!(why.contains(&says), "{why}");
            let remedy = match projection {
                v1::Projection::Receipts => format!("; `receiptctl replay rebuild --partition {partition}` "),
                _ => format!("`rm -r {0}/inboxes/{partition} {0}/receipts`", self.site.dir.path().display()),
            };
            assert!(why.contains(&remedy), "{why}");
        }
        assert_eq!(counts(server, &self.groups[2], &["m1"]).await, Ok(vec![Some((2, 0))]), "the others serve");
    }

    /// What the log has now, after the remedies that the seals name: of receipts beside the receiptd that serves, then of
    /// inboxes.
    async fn put_right(self, server: Server, more: usize) {
        let mut documented = blocks("docs/operations.md", "sh").into_iter();
        let documented = documented.find(|block| block.contains("replay rebuild --partition 3")).expect("the remedy");
        for partition in [READS, CONVERSATIONS] {
            for line in documented.lines() {
                let line = line.replace("--partition 3", &format!("--partition {partition}"));
                let words: Vec<_> = line.split_whitespace().skip(1).collect();
                drop(ctl::stdout(&ctl::run(&server, &words).await));
            }
        }
        let [reads, conversations, _] = &self.groups;
        let served = until("they serve again", STEP_MAX, async || counts(&server, reads, &["m1"]).await.ok()).await;
        assert_eq!(served, [Some((1, 1))], "bob's read was lost");
        let served = until("they serve again", STEP_MAX, async || {
            counts(&server, conversations, &["m1", "m2", "m3", &format!("m{}", more + 3)]).await.ok()
        })
        .await;
        assert_eq!(served, [Some((2, 0)), None, Some((0, 2)), Some((0, 2))], "m2 was lost, and others came");
        receipts_folded(&server).await;
        drop(ctl::stdout(&ctl::run(&server, &["replay", "verify"]).await));
        read(&server, reads, "bob").await;
        assert_eq!(counts(&server, reads, &["m1"]).await, Ok(vec![Some((2, 0))]), "it goes on from there");
        receipts_folded(&server).await;
        server.term().await;

        let path = self.site.dir.path();
        for dir in [path.join("inboxes").join(DELTAS.to_string()), path.join("receipts")] {
            std::fs::remove_dir_all(dir).unwrap();
        }
        let rebuilt = {
            let server = self.site.serve().await;
            server.folded(STEP_MAX).await;
            assert_eq!(seals(&server).await, BTreeMap::new());
            let (sender, group) = (&self.sender, &self.groups[2]);
            assert_eq!(last_word(&server, sender, group).await, (2, 0), "what was lost of the deltas came again");
            server.term().await;
            digests(&self.site.dir)
        };
        let fresh = Site { dir: DataDir::new(), ..self.site };
        let server = fresh.serve().await;
        server.folded(STEP_MAX).await;
        server.term().await;
        assert_eq!(digests(&fresh.dir), rebuilt, "as a fold from scratch");
    }
}

/// The counts of the last that a sender's stream says of the first message of a group.
async fn last_word(server: &Server, sender: &str, group: &str) -> (u32, u32) {
    let start = Some(v1::subscribe_message_read_receipts_request::Start::Oldest(v1::Oldest {}));
    let request = v1::SubscribeMessageReadReceiptsRequest { user_id: sender.to_owned(), start };
    let mut stream = server.receipts().subscribe_message_read_receipts(request).await.unwrap().into_inner();
    let mut last = None;
    for delta in stream.message().await.unwrap().expect("a first response").deltas {
        if let Some(Change::Receipt(receipt)) = delta.change
            && receipt.conversation_id == group
        {
            last = Some((receipt.read_count, receipt.unread_count));
        }
    }
    last.expect("a delta of it")
}

fn signal(server: &Server, name: &str) {
    let pid = server.pid().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_truncation_while_receiptd_is_stopped_is_noticed_at_the_start() {
    let (mut lossy, server) = Lossy::new().await;
    server.term().await;
    lossy.site.broker.stop().await;
    lossy.truncate();
    lossy.site.broker.restart().await;
    lossy.grow(3).await;
    let server = lossy.site.serve_unchecked().await;
    lossy.is_sealed(&server).await;
    lossy.put_right(server, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_truncation_while_receiptd_runs_is_noticed() {
    let (mut lossy, server) = Lossy::new().await;
    lossy.site.broker.kill_9();
    lossy.truncate();
    lossy.site.broker.restart().await;
    lossy.grow(3).await;
    lossy.is_sealed(&server).await;
    lossy.put_right(server, 3).await;
}

/// It comes to an end that is where the old one was: no offset says that anything happened.
#[tokio::test(flavor = "multi_thread")]
async fn r7_a_truncation_while_receiptd_is_paused_is_noticed() {
    let (mut lossy, server) = Lossy::new().await;
    signal(&server, "-STOP");
    lossy.site.broker.stop().await;
    lossy.truncate();
    lossy.site.broker.restart().await;
    lossy.grow(0).await;
    signal(&server, "-CONT");
    lossy.is_sealed(&server).await;
    lossy.put_right(server, 0).await;
}

/// The record that would be read back is gone, and rightly so.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_trimmed_up_to_where_the_state_is_was_not_truncated() {
    let (lossy, server) = Lossy::new().await;
    server.term().await;
    let log = Log::open_kafka(lossy.site.options()).await.unwrap();
    for (topic, partition) in LOSSY {
        log.trim(topic, partition, log.end_offset(topic, partition)).unwrap();
    }
    log.close().unwrap();
    let server = lossy.site.serve().await;
    read(&server, &lossy.groups[0], "bob").await;
    publish(&server, events::sent_to_all(&lossy.groups[1], "m3", &lossy.other)).await;
    server.folded(STEP_MAX).await;
    assert_eq!(seals(&server).await, BTreeMap::new());
    assert_eq!(
        counts(&server, &lossy.groups[1], &["m1", "m2", "m3"]).await,
        Ok(vec![Some((2, 0)), Some((0, 2)), Some((0, 2))])
    );
}

/// A snapshot that has a lost record is none to go back to, and an older one is.
#[tokio::test(flavor = "multi_thread")]
async fn r7_a_rebuild_begins_with_a_snapshot_that_has_none_of_the_lost_records() {
    let mut site = Site::new().await;
    let (servers, place) = (site.broker.bootstrap(), site.dir.beside("snapshots").display().to_string());
    let flags = [&Site::flags(&servers)[..], &["--snapshots", &place]].concat();
    let server = Server::start(&site.dir, &flags).await;
    let log = Log::open_kafka(site.options()).await.unwrap();
    let (group, sender) = (name(&log, "group", READS), name(&log, "sender", UNHARMED));
    publish(&server, events::group_created(&group, "work", &[sender.as_str(), "ann", "bob"])).await;
    publish(&server, events::sent_to_all(&group, "m1", &sender)).await;
    for reader in ["ann", "bob"] {
        read(&server, &group, reader).await;
        server.folded(STEP_MAX).await;
        drop(ctl::stdout(&ctl::run(&server, &["snapshot", "create"]).await));
    }
    server.term().await;
    site.broker.stop().await;
    site.broker.truncate(&format!("{PREFIX}{}", Topic::Reads.name()), READS, 1);
    site.broker.restart().await;
    for _ in 0..4 {
        log.append(Topic::Reads, READS, vec![read_of(&group, "ann")]).await.unwrap();
    }
    log.close().unwrap();

    let server = Server::start_unchecked(&site.dir, "127.0.0.1:0", &flags).await;
    until("what was lost is noticed", STEP_MAX, async || {
        seals(&server).await.values().any(|why| why.contains("was truncated on Kafka")).then_some(())
    })
    .await;
    let partition = READS.to_string();
    let rebuild = ["replay", "rebuild", "--partition", &partition, "--from-snapshot", "--json"];
    let rebuilt = ctl::json(&ctl::run(&server, &rebuild).await);
    let at = &rebuilt["partitions"][0];
    assert!(at["reads_offset"] == 1 && at["messages"] == 1, "the older one, and not the log's beginning: {rebuilt}");
    let served = until("it serves again", STEP_MAX, async || counts(&server, &group, &["m1"]).await.ok()).await;
    assert_eq!(served, [Some((1, 1))], "bob's read was lost");
    drop(ctl::stdout(&ctl::run(&server, &["replay", "verify", "--from-snapshot"]).await));
}
