//! What a leave costs, and how long after it the senders know: groups of 10 to 100,000, with 10 and with 10,000 kept
//! messages; one member who leaves, and one in a hundred.

use std::time::{Duration, Instant};

use anyhow::ensure;
use prost::Message;
use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, ReadEvent, ReadTarget},
    id::{ConversationId, GroupType, MessageId, UserId},
    settings::Settings,
};
use receipt_log::{Clock, Log, NewRecord, Topic};
use receipt_projector::{Offsets, Options, Projector};
use receipt_proto::v1;
use receipt_store::Resources;
use tokio::runtime::Runtime;

use crate::fold::{cpu_s, open_log};

/// Of those who stay, so many have read everything: more than stand in a message's own row.
const READERS_MAX: usize = 300;
/// Messages that are notified of at once (S3).
const PROMPT: u64 = 1_000;
const GIVE_UP: Duration = Duration::from_secs(600);
const GROUP: &str = "group";

pub(crate) fn run() -> anyhow::Result<()> {
    println!("who leaves a group, and how long after that the senders know:");
    println!("  members  messages  leave   first delta    newest 1,000      all  CPU a message");
    for members in [10, 1_000, 100_000] {
        for messages in [10, 10_000] {
            measure(members, messages)?;
        }
    }
    Ok(())
}

fn measure(members: usize, messages: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (log, runtime) = (open_log(dir.path()), Runtime::new()?);
    let partition = log.partition_for(GROUP.as_bytes());
    let users = (0..members).map(|n| Ok(UserId::new(&format!("user-{n:06}"))?)).collect::<anyhow::Result<Vec<_>>>()?;
    fill(&log, partition, &users, messages)?;
    let options = Options {
        dir: dir.path().join("stores"),
        settings: Settings::default(),
        resources: Resources::default(),
        clock: Clock::System,
    };
    let projector = Projector::start(&log, &options, runtime.handle())?;
    let folded = &projector.partitions()[partition as usize];
    let end = Offsets {
        conversations: log.end_offset(Topic::Conversations, partition),
        reads: log.end_offset(Topic::Reads, partition),
    };
    runtime.block_on(folded.settled());
    runtime.block_on(folded.reached(end)).map_err(|why| anyhow::anyhow!("{why:?}"))?;
    // Those at the end have read nothing; one in a hundred, and at least one, leaves.
    let mut leaving: Vec<&[UserId]> = vec![&users[members - 1..]];
    if members >= 1_000 {
        leaving.push(&users[members - 1 - members / 100..members - 1]);
    }
    for leaving in leaving {
        leave(&log, partition, leaving, members, messages as u64)?;
    }
    runtime.block_on(projector.stop());
    Ok(())
}

fn fill(log: &Log, partition: u32, users: &[UserId], messages: usize) -> anyhow::Result<()> {
    let append = |topic, records| log.append_blocking(topic, partition, records);
    let created = Change::GroupCreated { group_type: GroupType::new("work")?, members: Vec::new() };
    append(Topic::Conversations, vec![event(created)?])?;
    for chunk in users.chunks(10_000) {
        append(Topic::Conversations, vec![event(Change::MembersAdded(chunk.to_vec()))?])?;
    }
    let sent = |n: usize| {
        event(Change::MessageSent {
            message: MessageId::new(&format!("m{n}"))?,
            sender: users[0].clone(),
            need_read_receipt: true,
            audience: AudienceSpec::AllMembers,
        })
    };
    for first in (0..messages).step_by(1_000) {
        let sent = (first..messages.min(first + 1_000)).map(sent).collect::<anyhow::Result<Vec<_>>>()?;
        append(Topic::Conversations, sent)?;
    }
    for reader in users.iter().skip(1).take(READERS_MAX.min(users.len() / 2)) {
        let target = ReadTarget::UpToMessage(MessageId::new(&format!("m{}", messages - 1))?);
        let read =
            ReadEvent { conversation: ConversationId::new(GROUP)?, reader: reader.clone(), read_at_ms: None, target };
        append(Topic::Reads, vec![NewRecord::new(GROUP, v1::ReadEvent::from(&read).encode_to_vec())])?;
    }
    Ok(())
}

fn leave(log: &Log, partition: u32, leaving: &[UserId], members: usize, messages: u64) -> anyhow::Result<()> {
    let deltas = || (0..log.partitions()).map(|partition| log.end_offset(Topic::Deltas, partition)).sum::<u64>();
    let (before, cpu, start) = (deltas(), cpu_s()?, Instant::now());
    log.append_blocking(Topic::Conversations, partition, vec![event(Change::MembersRemoved(leaving.to_vec()))?])?;
    let (mut first, mut prompt) = (None, None);
    let all = loop {
        let (told, elapsed) = (deltas() - before, start.elapsed());
        if told > 0 {
            first.get_or_insert(elapsed);
        }
        if told >= PROMPT.min(messages) {
            prompt.get_or_insert(elapsed);
        }
        if told >= messages {
            break elapsed;
        }
        ensure!(elapsed < GIVE_UP, "{told} of {messages} deltas");
        std::thread::sleep(Duration::from_millis(1));
    };
    #[allow(clippy::cast_precision_loss)]
    let a_message_us = (cpu_s()? - cpu) * 1e6 / messages as f64;
    let ms = |time: Option<Duration>| time.unwrap_or(all).as_secs_f64() * 1e3;
    println!(
        "  {members:>7} {messages:>9} {:>6} {:>10.1} ms {:>12.1} ms {:>8.2} s {a_message_us:>8.1} us",
        leaving.len(),
        ms(first),
        ms(prompt),
        all.as_secs_f64()
    );
    Ok(())
}

fn event(change: Change) -> anyhow::Result<NewRecord> {
    let conversation = ConversationId::new(GROUP)?;
    let event = ConversationEvent { conversation, occurred_at_ms: None, version: 0, change };
    let value = v1::ConversationEvent::from(&Event::Conversation(event)).encode_to_vec();
    Ok(NewRecord::new(GROUP, value))
}
