//! Hot groups: everybody reads everything. How fast the log gives the records, how fast they are folded, and what each
//! costs in CPU; with one message a record, and with thirty. On Kafka also a consumer with nothing of ours around it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use prost::Message;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, ReadEvent, ReadTarget},
    id::{ConversationId, GroupType, MessageId, UserId},
};
use receipt_log::{Log, NewRecord, Topic};
use receipt_proto::v1;

use crate::fold::{bare_read, cpu_s, open_log, whole};

/// One group a partition, so that all are busy.
const GROUPS: u32 = 4;
const READERS: usize = 5000;
/// Messages of a group that are read one a record, and thirty a record.
const SINGLE_MESSAGES: usize = 100;
const BATCHED_MESSAGES: usize = 1500;
const BATCH: usize = 30;
/// Records of one append.
const APPEND: usize = 5000;

pub(crate) fn run() -> anyhow::Result<()> {
    measure(SINGLE_MESSAGES, 1)?;
    measure(BATCHED_MESSAGES, BATCH)
}

fn measure(messages: usize, a_record: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let log = open_log(dir.path());
    let (wrote, records) = write(&log, messages, a_record)?;
    println!(
        "{GROUPS} groups of {READERS}, {} messages, {a_record} a record: {records} records written in {:.1} s",
        messages * GROUPS as usize,
        wrote.as_secs_f64()
    );
    if let Some(servers) = receipt_test_engine::kafka() {
        let (start, cpu) = (Instant::now(), cpu_s()?);
        let drained = drain(&servers, &receipt_test_engine::topic_prefix(&dir.path().join("log")), &log)?;
        ensure!(drained == records, "{drained} of {records} records drained");
        line("a bare consumer", records, start.elapsed(), cpu_s()? - cpu);
    }
    let cpu = cpu_s()?;
    let (read, time) = bare_read(&log)?;
    ensure!(read == records, "{read} of {records} records read");
    line("a read of the log", records, time, cpu_s()? - cpu);
    let folded = whole(&log, dir.path().join("stores"))?;
    let receipts = (messages * GROUPS as usize * READERS) as u64;
    ensure!(folded.receipts == receipts, "{} of {receipts} receipts folded", folded.receipts);
    line("folded", records, folded.took, folded.cpu_s);
    line("folded, by receipts", receipts, folded.took, folded.cpu_s);
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn line(what: &str, items: u64, time: Duration, cpu_s: f64) {
    let (rate, each) = (items as f64 / time.as_secs_f64(), cpu_s / items as f64 * 1e9);
    println!("  {what:20} {:6.2} s {rate:>12.0}/s {cpu_s:7.2} CPU s {each:>9.0} ns CPU each", time.as_secs_f64());
}

/// Groups that are all in partitions of their own.
fn groups(log: &Log) -> Vec<String> {
    let in_partition = |partition| {
        let mut names = (0..).map(|n| format!("hot-{n}"));
        names.find(|name| log.partition_for(name.as_bytes()) == partition).unwrap_or_default()
    };
    (0..GROUPS.min(log.partitions())).map(in_partition).collect()
}

/// Writes groups, messages and reads; how long that took, and how many records there are.
fn write(log: &Log, messages: usize, a_record: usize) -> anyhow::Result<(Duration, u64)> {
    let start = Instant::now();
    let mut records = 0;
    for (partition, group) in (0..).zip(groups(log)) {
        let conversation = ConversationId::new(&group)?;
        let readers: Vec<UserId> = (0..READERS).map(|n| UserId::new(&format!("r{n}"))).collect::<Result<_, _>>()?;
        let ids: Vec<MessageId> = (0..messages).map(|n| MessageId::new(&format!("m{n}"))).collect::<Result<_, _>>()?;
        let event = |change| {
            let event =
                ConversationEvent { conversation: conversation.clone(), occurred_at_ms: None, version: 0, change };
            let event = v1::ConversationEvent::from(&Event::Conversation(event));
            NewRecord::new(group.clone(), event.encode_to_vec())
        };
        let created = Change::GroupCreated { group_type: GroupType::new("hot")?, members: readers.clone() };
        let sender = UserId::new("sender")?;
        let sent = ids.iter().map(|id| Change::MessageSent {
            message: id.clone(),
            sender: sender.clone(),
            need_read_receipt: true,
            audience: AudienceSpec::AllMembers,
        });
        let events: Vec<_> = std::iter::once(created).chain(sent).map(event).collect();
        records += events.len() as u64;
        log.append_blocking(Topic::Conversations, partition, events)?;
        let mut reads = Vec::with_capacity(APPEND);
        for some in ids.chunks(a_record) {
            for reader in &readers {
                let read = ReadEvent {
                    conversation: conversation.clone(),
                    reader: reader.clone(),
                    read_at_ms: None,
                    target: ReadTarget::Messages(some.to_vec()),
                };
                reads.push(NewRecord::new(group.clone(), v1::ReadEvent::from(&read).encode_to_vec()));
                if reads.len() == APPEND {
                    records += reads.len() as u64;
                    log.append_blocking(Topic::Reads, partition, std::mem::take(&mut reads))?;
                }
            }
        }
        records += reads.len() as u64;
        log.append_blocking(Topic::Reads, partition, reads)?;
    }
    Ok((start.elapsed(), records))
}

/// A consumer of librdkafka's, with the settings of ours, that throws away what it gets.
fn drain(servers: &str, prefix: &str, log: &Log) -> anyhow::Result<u64> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("group.id", "bench").set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false").set("auto.offset.reset", "error").set("check.crcs", "true");
    config.set("enable.partition.eof", "true").set("fetch.queue.backoff.ms", "2").set("fetch.wait.max.ms", "100");
    config.set("queued.min.messages", "100000").set("queued.max.messages.kbytes", "16384");
    let consumer: BaseConsumer = config.create()?;
    let (mut all, mut left) = (TopicPartitionList::new(), 0);
    for topic in [Topic::Conversations, Topic::Reads] {
        for partition in 0..log.partitions() {
            all.add_partition_offset(
                &format!("{prefix}{}", topic.name()),
                i32::try_from(partition)?,
                Offset::Offset(0),
            )?;
            left += 1;
        }
    }
    consumer.assign(&all)?;
    let mut records = 0;
    while left > 0 {
        match consumer.poll(Duration::from_secs(30)).context("the broker sends nothing")? {
            Ok(_) => records += 1,
            Err(KafkaError::PartitionEOF(_)) => left -= 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(records)
}
