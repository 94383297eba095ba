//! R8: what a backlog takes of memory is bounded by settings in bytes, whatever is in it.

use std::time::Duration;

use prost::Message as _;
use receipt_log::{Clock, EmbeddedOptions, Log, NewRecord, Topic};
use receipt_proto::v1::{self, read_event::Target};
use receipt_tests::{
    events,
    server::{DataDir, Server},
};

/// As little as is of use: what is measured is the batch.
const FLAGS: [&str; 8] =
    ["--block-cache-mib", "8", "--write-buffer-mib", "8", "--batch-mib", "16", "--partitions", "1"];
/// Of the whole process. The embedded log has up to 192 MiB of write buffers of its own.
const RESIDENT_MAX_MIB: u64 = 384;
const FOLD_MAX: Duration = Duration::from_secs(300);

/// The log of a receiptd that has not started yet: all of it is a backlog.
struct Backlog {
    dir: DataDir,
    log: Log,
}

impl Backlog {
    fn new() -> Self {
        let dir = DataDir::by_flags();
        let (retention_ms, clock) = (30 * 24 * 3_600_000, Clock::System);
        let options = EmbeddedOptions {
            dir: dir.path().join("log"),
            partitions: 1,
            retention_ms,
            accept_clock_jump: false,
            clock,
        };
        std::fs::create_dir_all(dir.path()).unwrap();
        Self { dir, log: Log::open_embedded(options).unwrap() }
    }

    async fn append(&self, topic: Topic, records: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let records: Vec<_> = records.into_iter().map(|(key, value)| NewRecord::new(key, value)).collect();
        self.log.append(topic, 0, records).await.unwrap();
    }

    async fn events(&self, events: impl IntoIterator<Item = v1::ConversationEvent>) {
        let records = events.into_iter().map(|event| (event.conversation_id.clone(), event.encode_to_vec()));
        self.append(Topic::Conversations, records).await;
    }

    /// Folds it; the server, and the most memory that was resident at a time, in MiB.
    async fn folded(self) -> (Server, DataDir, u64) {
        let Self { dir, log } = self;
        log.close().unwrap();
        drop(log);
        let server = Server::start(&dir, &FLAGS).await;
        server.folded(FOLD_MAX).await;
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
        let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        println!("{} MiB were resident at most", peak_kib / 1024);
        (server, dir, peak_kib / 1024)
    }
}

/// How many times as much as usual is in a backlog.
fn times() -> usize {
    std::env::var("RECEIPT_BACKLOG").map_or(1, |times| times.parse().unwrap())
}

fn within_bounds(resident_mib: u64) {
    assert!(resident_mib < RESIDENT_MAX_MIB, "{resident_mib} MiB");
}

/// The names of so many members, of some 100 bytes each where they are `long`.
fn members(count: usize, long: bool) -> Vec<String> {
    let filler = if long { "x".repeat(90) } else { String::new() };
    (0..count).map(|n| format!("member-{n:06}{filler}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn r8_many_large_dead_letters_are_not_in_memory_at_once() {
    let poison = 450 * times();
    let backlog = Backlog::new();
    // Of a group that was never created, 900 kB each.
    let event = events::members_added("nobody", &members(8_700, true));
    let value = event.encode_to_vec();
    assert!((880_000..1_000_000).contains(&value.len()), "{}", value.len());
    for _ in 0..poison {
        backlog.append(Topic::Conversations, [("nobody".to_owned(), value.clone())]).await;
    }
    let (server, _dir, resident_mib) = backlog.folded().await;
    within_bounds(resident_mib);
    let letters = v1::ListDeadLettersRequest { page_size: 1, ..Default::default() };
    let letters = server.admin().list_dead_letters(letters).await.unwrap().into_inner();
    assert_eq!(letters.dead_letters.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r8_many_large_groups_are_not_in_memory_at_once() {
    let groups = 100 * times();
    let backlog = Backlog::new();
    let members = members(10_000, false);
    for n in 0..groups {
        let id = format!("g{n}");
        let events = [events::group_created(&id, "public", &members), events::sent_to_all(&id, "m", &members[0])];
        backlog.events(events).await;
    }
    let (server, _dir, resident_mib) = backlog.folded().await;
    within_bounds(resident_mib);
    let asked = v1::GetMessageReadReceiptsRequest {
        messages: vec![events::message_ref("g0", "m"), events::message_ref(&format!("g{}", groups - 1), "m")],
        ..Default::default()
    };
    let answer = server.receipts().get_message_read_receipts(asked).await.unwrap().into_inner();
    for result in answer.results {
        let Some(v1::receipt_result::Result::Receipt(receipt)) = result.result else { panic!("{result:?}") };
        assert_eq!(receipt.unread_count, 9_999);
    }
}

/// Each mark touches another part of every message's read set.
#[tokio::test(flavor = "multi_thread")]
async fn r8_marks_in_a_group_of_100_000_are_not_in_memory_at_once() {
    const MEMBERS: usize = 100_000;
    const MESSAGES: usize = 1_000;
    /// So many that each read set is a large one.
    const READERS: usize = 270;
    const MARKS: usize = 98;
    let backlog = Backlog::new();
    let members = members(MEMBERS, false);
    let (first, others) = members.split_at(10_000);
    backlog.events([events::group_created("crowd", "public", first)]).await;
    backlog.events(others.chunks(10_000).map(|some| events::members_added("crowd", some))).await;
    let messages: Vec<_> = (0..MESSAGES).map(|n| format!("m{n}")).collect();
    backlog.events(messages.iter().map(|message| events::sent_to_all("crowd", message, &members[0]))).await;
    let read = |reader: &str, target| {
        let conversation_id = "crowd".to_owned();
        let event =
            v1::ReadEvent { conversation_id, reader_id: reader.to_owned(), read_at: None, target: Some(target) };
        ("crowd".to_owned(), event.encode_to_vec())
    };
    for reader in &members[1..=READERS] {
        let some = messages.chunks(100);
        let reads = some.map(|some| read(reader, Target::Messages(v1::MessageIds { message_ids: some.to_vec() })));
        backlog.append(Topic::Reads, reads).await;
    }
    let last = messages.last().unwrap();
    let marks = (0..MARKS).map(|n| read(&members[n * 1_024 + 300], Target::UpToMessageId(last.clone())));
    backlog.append(Topic::Reads, marks).await;
    let (server, _dir, resident_mib) = backlog.folded().await;
    within_bounds(resident_mib);
    let asked = v1::GetMessageReadReceiptsRequest {
        messages: vec![events::message_ref("crowd", "m0"), events::message_ref("crowd", last)],
        ..Default::default()
    };
    let answer = server.receipts().get_message_read_receipts(asked).await.unwrap().into_inner();
    for result in answer.results {
        let Some(v1::receipt_result::Result::Receipt(receipt)) = result.result else { panic!("{result:?}") };
        assert_eq!(receipt.read_count as usize, READERS + MARKS);
    }
}
