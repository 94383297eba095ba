//! Rebuild and verify, beside a bare read of the same log in the same run: of both data sets, and of generated receipts.

use std::{path::Path, time::Instant};

use anyhow::{Context, ensure};
use prost::Message as _;
use receipt_ctl::dataset::Kind;
use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, ReadEvent, ReadTarget},
    id::{ConversationId, GroupType, MessageId, UserId},
    settings::Settings,
};
use receipt_log::{Log, NewRecord, Topic};
use receipt_projector::{Aside, identity, side_by_side};
use receipt_proto::v1;
use receipt_store::{Resources, Store};
use receipt_tests::random::Random;
use tokio::sync::watch;

use crate::{
    data,
    fold::{bare_read, cpu_s, ends, open_log, write},
};

/// Receipts that are generated, where nothing else is said.
pub(crate) const RECEIPTS: u64 = 20_000_000;
const SEED: u64 = 7;
/// Members of a group, at least, and how many times as many at most: most groups are small, few are large.
const MEMBERS_MIN: u64 = 5;
const MEMBERS_FACTOR_MAX: u64 = 400;
/// Rounds of talk in a group, and messages of a round, at most.
const ROUNDS_MAX: u64 = 60;
const MESSAGES_MAX: u64 = 8;
/// Of a hundred members so many mark each round as read; of the others, so many of a hundred read it message by message.
const READERS_PERCENT: u64 = 80;
const MARKS_PERCENT: u64 = 30;
/// Records of one append.
const APPEND: usize = 5000;

pub(crate) fn run(receipts: u64) -> anyhow::Result<()> {
    for (kind, file) in [(Kind::UbuntuIrc, "ubuntu-irc.tsv.gz"), (Kind::CollegeMsg, "college-msg.tsv.gz")] {
        let dir = tempfile::tempdir()?;
        let log = open_log(dir.path());
        write(&log, kind, &data(file))?;
        measure(kind.name(), &log, dir.path())?;
    }
    let dir = tempfile::tempdir()?;
    let log = open_log(dir.path());
    let wrote = generate(&log, receipts)?;
    let folded = measure("generated", &log, dir.path())?;
    ensure!(folded == wrote, "{folded} receipts folded, {wrote} written");
    Ok(())
}

/// A partition that was worked on: records, and seconds.
type Part = (u64, f64);

/// Rebuilds and verifies all partitions; how many receipts there are.
fn measure(name: &str, log: &Log, dir: &Path) -> anyhow::Result<u64> {
    let cpu = cpu_s()?;
    let (records, bare) = bare_read(log)?;
    let bare_cpu_s = cpu_s()? - cpu;
    println!("{name}: {records} records");
    let bare_s = bare.as_secs_f64();
    line("bare read of the log", records, bare_s, bare_cpu_s, bare_s);

    let runtime = tokio::runtime::Runtime::new()?;
    let (_stop, stopped) = watch::channel(false);
    let resources = Resources::default();
    let (rebuilt, verified) = (dir.join("rebuilt"), dir.join("verified"));
    let aside =
        |dir| Aside { log, resources: &resources, dir, runtime: runtime.handle(), stopped: &stopped, snapshots: None };
    let partitions: Vec<u32> = (0..log.partitions()).collect();
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let of = |partition| identity(log, partition, Settings::default());

    let rebuild = |partition| -> anyhow::Result<(Store, Part)> {
        let (start, to) = (Instant::now(), ends(log, partition));
        let store = aside(&rebuilt).fold(&of(partition), to, |_| {})?;
        store.flush()?;
        Ok((store, (to.records(), start.elapsed().as_secs_f64())))
    };
    let (start, cpu) = (Instant::now(), cpu_s()?);
    let done = side_by_side(&partitions, threads, rebuild).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    line("rebuild", records, start.elapsed().as_secs_f64(), cpu_s()? - cpu, bare_s);
    parts(done.iter().map(|(_, part)| *part));
    let stores: Vec<Store> = done.into_iter().map(|(store, _)| store).collect();
    let mut receipts = 0;
    for store in &stores {
        receipts += store.view()?.progress().receipts;
    }

    let verify = |partition: u32| -> anyhow::Result<Part> {
        let (start, to) = (Instant::now(), ends(log, partition));
        let store = stores.get(usize::try_from(partition)?).context("a store")?;
        let found = aside(&verified).verify(&of(partition), store, |_| {})?;
        ensure!(found.is_equal(), "partition {partition}: {found:?}");
        Ok((to.records(), start.elapsed().as_secs_f64()))
    };
    let (start, cpu) = (Instant::now(), cpu_s()?);
    let done = side_by_side(&partitions, threads, verify).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    line("verify, all equal", records, start.elapsed().as_secs_f64(), cpu_s()? - cpu, bare_s);
    parts(done.into_iter());
    println!("  {receipts} receipts");
    Ok(receipts)
}

#[allow(clippy::cast_precision_loss)]
fn line(what: &str, records: u64, seconds: f64, cpu_s: f64, bare_s: f64) {
    println!(
        "  {what:22} {seconds:8.2} s  {:>10.0} records/s  {cpu_s:8.2} CPU s  {:6.1} times a bare read",
        records as f64 / seconds,
        seconds / bare_s
    );
}

#[allow(clippy::cast_precision_loss)]
fn parts(parts: impl Iterator<Item = Part>) {
    for (partition, (records, seconds)) in parts.enumerate() {
        let rate = records as f64 / seconds;
        println!("    partition {partition}          {seconds:8.2} s  {rate:>10.0} records/s of {records}");
    }
}

/// Groups of all sizes that talk in rounds: a few messages, then most members read them, each by itself or up to the last.
fn generate(log: &Log, wanted: u64) -> anyhow::Result<u64> {
    let mut writer = Writer { log, batches: Vec::new() };
    let (mut random, mut receipts, mut group) = (Random::new(SEED), 0, 0);
    while receipts < wanted {
        let id = ConversationId::new(&format!("group-{group}"))?;
        group += 1;
        // Twice drawn, so that there are many small ones.
        let factor = random.below(MEMBERS_FACTOR_MAX) + 1;
        let members = MEMBERS_MIN * (random.below(factor) + 1);
        let users = (0..members).map(|user| UserId::new(&format!("user-{user}"))).collect::<Result<Vec<_>, _>>()?;
        let [sender, readers @ ..] = users.as_slice() else { continue };
        writer.event(&id, Change::GroupCreated { group_type: GroupType::new("team")?, members: users.clone() })?;
        let mut sent = 0;
        for _ in 0..=random.below(ROUNDS_MAX) {
            let mut messages = Vec::new();
            for _ in 0..=random.below(MESSAGES_MAX) {
                let message = MessageId::new(&format!("m{sent}"))?;
                sent += 1;
                let audience = AudienceSpec::AllMembers;
                let (sender, need_read_receipt) = (sender.clone(), true);
                let change = Change::MessageSent { message: message.clone(), sender, need_read_receipt, audience };
                writer.event(&id, change)?;
                messages.push(message);
            }
            // Who marks has read all rounds before, so that a mark covers this one and no more.
            let marks = readers.len() as u64 * MARKS_PERCENT / 100;
            for (n, reader) in (0..).zip(readers) {
                let target = if n < marks {
                    ReadTarget::UpToMessage(messages.last().context("a message")?.clone())
                } else if random.below(100) < READERS_PERCENT {
                    ReadTarget::Messages(messages.clone())
                } else {
                    continue;
                };
                receipts += messages.len() as u64;
                writer.read(&id, reader, target)?;
            }
        }
    }
    writer.append()?;
    Ok(receipts)
}

struct Writer<'a> {
    log: &'a Log,
    batches: Vec<(Topic, u32, Vec<NewRecord>)>,
}

impl Writer<'_> {
    fn event(&mut self, conversation: &ConversationId, change: Change) -> anyhow::Result<()> {
        let event = ConversationEvent { conversation: conversation.clone(), occurred_at_ms: None, version: 0, change };
        let value = v1::ConversationEvent::from(&Event::Conversation(event)).encode_to_vec();
        self.put(Topic::Conversations, conversation, value)
    }

    fn read(&mut self, conversation: &ConversationId, reader: &UserId, target: ReadTarget) -> anyhow::Result<()> {
        let (conversation_id, reader) = (conversation.clone(), reader.clone());
        let event = ReadEvent { conversation: conversation_id, reader, read_at_ms: None, target };
        self.put(Topic::Reads, conversation, v1::ReadEvent::from(&event).encode_to_vec())
    }

    fn put(&mut self, topic: Topic, conversation: &ConversationId, value: Vec<u8>) -> anyhow::Result<()> {
        let partition = self.log.partition_for(conversation.as_str().as_bytes());
        let record = NewRecord::new(conversation.as_str().to_owned(), value);
        self.batches.push((topic, partition, vec![record]));
        if self.batches.len() == APPEND { self.append() } else { Ok(()) }
    }

    fn append(&mut self) -> anyhow::Result<()> {
        self.log.append_many_blocking(std::mem::take(&mut self.batches))?;
        Ok(())
    }
}
