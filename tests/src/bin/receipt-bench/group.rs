//! Joining, sending, and a page in the middle, inside the store: a group of 100,000 against one of 200.

use std::time::{Duration, Instant};

use anyhow::Context;
use receipt_codec::row::identity::Identity;
use receipt_domain::{
    event::{AudienceSpec, Change, ConversationEvent, Event, ReadEvent, ReadTarget, Record},
    fold::{Advance, Fold, Outcome},
    id::{ConversationId, GroupType, MessageId, UserId},
    settings::Settings,
};
use receipt_store::{MemberFilter, PageRequest, Resources, Store};

const ROUNDS: usize = 400;

pub(crate) fn run() -> anyhow::Result<()> {
    let small = measure(200)?;
    let large = measure(100_000)?;
    println!("in the store, median:        group of 200  group of 100,000  ratio");
    for ((name, small), (_, large)) in small.iter().zip(&large) {
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        println!("  {name:24} {:>10.1} us {:>14.1} us  {ratio:5.2}", us(*small), us(*large));
    }
    Ok(())
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

struct Bench {
    store: Store,
    fold: Fold,
    conversation: ConversationId,
    conversations: u64,
    reads: u64,
}

impl Bench {
    fn advance(&mut self) -> anyhow::Result<()> {
        loop {
            match self.fold.advance() {
                Advance::Needs(needs) => self.store.load(&needs, &mut self.fold.rows)?,
                Advance::Stepped => {}
                Advance::Done(Outcome::Applied) => return Ok(()),
                Advance::Done(other) => anyhow::bail!("{other:?}"),
            }
        }
    }

    fn event(&mut self, change: Change) -> anyhow::Result<()> {
        let event =
            ConversationEvent { conversation: self.conversation.clone(), occurred_at_ms: None, version: 0, change };
        let record =
            Record { offset: self.conversations, arrival_ms: 1_000_000, event: Ok(Event::Conversation(event)) };
        self.conversations += 1;
        self.fold.take_conversations(record);
        self.advance()
    }

    fn read(&mut self, reader: UserId, message: &MessageId, at_ms: u64) -> anyhow::Result<()> {
        let event = ReadEvent {
            conversation: self.conversation.clone(),
            reader,
            read_at_ms: None,
            target: ReadTarget::Messages(vec![message.clone()]),
        };
        self.fold.take_reads(Record { offset: self.reads, arrival_ms: at_ms, event: Ok(event) });
        self.reads += 1;
        self.advance()
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        Ok(self.store.commit(&mut self.fold.rows)?)
    }
}

fn user(n: usize) -> anyhow::Result<UserId> {
    Ok(UserId::new(&format!("user-{n:06}"))?)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn sent(message: &MessageId) -> anyhow::Result<Change> {
    Ok(Change::MessageSent {
        message: message.clone(),
        sender: user(0)?,
        need_read_receipt: true,
        audience: AudienceSpec::AllMembers,
    })
}

fn measure(members: usize) -> anyhow::Result<Vec<(&'static str, Duration)>> {
    let dir = tempfile::tempdir()?;
    let settings = Settings { max_group_members: 1_000_000, ..Settings::default() };
    let identity = Identity { log_id: [1; 16], partition: 0, partitions: 1, settings, origin: String::new() };
    let store = Store::open(dir.path(), &Resources::default(), &identity)?;
    let fold = Fold::new(settings, store.working_set()?);
    let conversation = ConversationId::new("group")?;
    let mut bench = Bench { store, fold, conversation, conversations: 0, reads: 0 };
    let users = (0..members).map(user).collect::<anyhow::Result<Vec<_>>>()?;
    bench.event(Change::GroupCreated { group_type: GroupType::new("work")?, members: Vec::new() })?;
    for chunk in users.chunks(10_000) {
        bench.event(Change::MembersAdded(chunk.to_vec()))?;
        bench.commit()?;
    }
    let message = MessageId::new("m")?;
    bench.event(sent(&message)?)?;
    for (index, reader) in users.iter().enumerate().filter(|(index, _)| index % 2 == 1) {
        bench.read(reader.clone(), &message, 1_000_000 + index as u64 * 20)?;
        if index % 2000 == 1999 {
            bench.commit()?;
        }
    }
    bench.commit()?;
    bench.store.flush()?;
    bench.store.compact();
    if members == 100_000 {
        disk(&bench)?;
    }
    let mut results = Vec::new();
    // Pages first: half have read, half have not.
    for (name, filter) in [("page of 40, READ", MemberFilter::Read), ("page of 40, UNREAD", MemberFilter::Unread)] {
        results.push((name, page_in_the_middle(&bench, &message, filter, members)?));
    }
    results.push(("join", timed(&mut bench, |bench, n| bench.event(Change::MembersAdded(vec![user(members + n)?])))?));
    results.push(("send", timed(&mut bench, |bench, n| bench.event(sent(&MessageId::new(&format!("m{n}"))?)?))?));
    let unread = |n: usize| user(n * 2 % members);
    results.push(("one read", timed(&mut bench, |bench, n| bench.read(unread(n)?, &message, 9_000_000))?));
    Ok(results)
}

fn disk(bench: &Bench) -> anyhow::Result<()> {
    use receipt_codec::key::Kind;
    let (mut sets, mut all) = (0, 0);
    for row in bench.store.rows() {
        let (key, value) = row?;
        let bytes = key.len() + value.len();
        all += bytes;
        if matches!(Kind::of(&key), Some(Kind::ReadChunk | Kind::TimeChunk | Kind::Message)) {
            sets += bytes;
        }
    }
    let receipts = bench.store.view()?.progress().receipts;
    #[allow(clippy::cast_precision_loss)]
    let per = |bytes: usize| bytes as f64 / receipts as f64;
    println!(
        "group of 100,000, {receipts} receipts: {:.2} bytes a receipt for its read sets, {:.2} with all member rows, \
         {:.2} in files",
        per(sets),
        per(all),
        per(usize::try_from(bench.store.disk_bytes())?)
    );
    Ok(())
}

fn timed(bench: &mut Bench, mut work: impl FnMut(&mut Bench, usize) -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let start = Instant::now();
        work(bench, round)?;
        bench.commit()?;
        times.push(start.elapsed());
    }
    Ok(median(times))
}

fn page_in_the_middle(
    bench: &Bench,
    message: &MessageId,
    filter: MemberFilter,
    members: usize,
) -> anyhow::Result<Duration> {
    let mut request = PageRequest {
        conversation: &bench.conversation,
        message,
        asker: None,
        filter,
        latest_first: false,
        size: 40,
        start: None,
    };
    // Half of the list is walked to come to its middle.
    for _ in 0..(members / 4 / 1000).max(1) {
        let mut view = bench.store.view()?;
        let walk = PageRequest { size: (members / 4).min(1000), ..request };
        let page = view.page(&walk)?.map_err(|why| anyhow::anyhow!("{why:?}"))?;
        request.start = Some((page.next.context("more to come")?, page.conversation, page.position));
    }
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let page = bench.store.view()?.page(&request)?.map_err(|why| anyhow::anyhow!("{why:?}"))?;
        times.push(start.elapsed());
        anyhow::ensure!(page.members.len() == 40, "{} entries", page.members.len());
    }
    Ok(median(times))
}
