//! All that a server answers about the data sets, compared with what is right.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use receipt_ctl::dataset::Kind;
use receipt_proto::{
    timestamp_from_ms,
    v1::{self, receipt_result},
};
use receipt_tests::{
    dataset_model::{self, Conversation, Message},
    random::Random,
    server::{Receipts, Server},
};
use tokio::{sync::Semaphore, sync::mpsc, task::JoinSet};

use crate::{
    import,
    lists::{self, ListsOf},
};

/// Messages of one call for counts.
const COUNTS_OF_A_CALL: usize = 100;
/// Calls in flight.
const CALLS: usize = 16;
/// Differences that are shown.
const SHOWN: usize = 20;

/// Of which messages the lists are walked; the receipts of all are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) seed: u64,
    /// One message in so many.
    pub(crate) one_in: u64,
}

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Receipts of messages, by counts.
    pub(crate) receipts: u64,
    /// Lists, walked to the end.
    pub(crate) lists: u64,
    /// Their entries.
    pub(crate) entries: u64,
    /// Their pages.
    pub(crate) pages: u64,
    different: u64,
    shown: Vec<String>,
}

impl Report {
    /// Something is not as it should be.
    pub(crate) fn differs(&mut self, of: &str, expected: &dyn std::fmt::Debug, got: &dyn std::fmt::Debug) {
        self.different += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(format!("{of}\n  expected {expected:?}\n  got      {got:?}"));
        }
    }

    fn add(&mut self, other: Self) {
        self.receipts += other.receipts;
        self.lists += other.lists;
        self.entries += other.entries;
        self.pages += other.pages;
        self.different += other.different;
        self.shown.extend(other.shown);
        self.shown.truncate(SHOWN);
    }
}

/// What one task compares.
enum Job {
    /// These receipts, by one call.
    Counts(Vec<v1::MessageReceipt>),
    /// Both lists of a message.
    Lists(Box<ListsOf>),
}

/// Compares the receipts of all messages, and the lists of some.
///
/// # Panics
/// If anything is not as it should be.
pub(crate) async fn compare(server: &Server, sample: Sample) -> Report {
    let start = Instant::now();
    let (jobs, mut to_do) = mpsc::channel(CALLS);
    let model = tokio::task::spawn_blocking(move || produce(&jobs, sample));
    let client = server.receipts();
    let report = Arc::new(Mutex::new(Report::default()));
    let permits = Arc::new(Semaphore::new(CALLS));
    let mut tasks = JoinSet::new();
    while let Some(job) = to_do.recv().await {
        let permit = permits.clone().acquire_owned().await.unwrap();
        let (client, report) = (client.clone(), report.clone());
        tasks.spawn(async move {
            let compared = work(client, job).await;
            report.lock().unwrap().add(compared);
            drop(permit);
        });
        while let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let totals = model.await.unwrap();
    let report = std::mem::take(&mut *report.lock().unwrap());
    let report = finish(report, start.elapsed());
    check_totals(server, &totals).await;
    report
}

fn finish(report: Report, time: Duration) -> Report {
    let Report { receipts, lists, entries, pages, different, shown } = &report;
    println!(
        "compared {receipts} receipts and {lists} lists with {entries} entries on {pages} pages in {:.1} s: {different} \
         differences",
        time.as_secs_f64()
    );
    assert!(*different == 0, "{different} differences, the first of them:\n{}", shown.join("\n"));
    report
}

/// The numbers of receipts in the data sets are known, and the partitions count as many.
async fn check_totals(server: &Server, totals: &BTreeMap<&str, u64>) {
    for (kind, _, receipts) in import::DATA_SETS {
        assert_eq!(totals[kind.name()], receipts, "receipts in {}", kind.name());
    }
    let counted: u64 = server.receipt_partitions().await.iter().map(|partition| partition.receipts).sum();
    assert_eq!(counted, totals.values().sum::<u64>(), "receipts that the partitions count");
}

/// Plays the data sets, and hands out what is to be compared; how many receipts are in each.
fn produce(jobs: &mpsc::Sender<Job>, sample: Sample) -> BTreeMap<&'static str, u64> {
    let mut random = Random::new(sample.seed);
    let mut totals = BTreeMap::new();
    let mut call = Vec::with_capacity(COUNTS_OF_A_CALL);
    for (kind, ..) in import::DATA_SETS {
        let total: &mut u64 = totals.entry(Kind::name(kind)).or_default();
        dataset_model::for_each_conversation(kind, &import::file(kind), |conversation| {
            for message in conversation.messages() {
                let (receipt, lists) = expected(conversation, message, &mut random, sample.one_in);
                *total += u64::from(receipt.read_count);
                call.push(receipt);
                if call.len() == COUNTS_OF_A_CALL {
                    // Whoever takes them is there until all are handed out.
                    let full = std::mem::replace(&mut call, Vec::with_capacity(COUNTS_OF_A_CALL));
                    jobs.blocking_send(Job::Counts(full)).ok().unwrap();
                }
                if let Some(lists) = lists {
                    jobs.blocking_send(Job::Lists(Box::new(lists))).ok().unwrap();
                }
            }
        });
    }
    if !call.is_empty() {
        jobs.blocking_send(Job::Counts(call)).ok().unwrap();
    }
    totals
}

/// A receipt without when it expires, which the data sets do not say: by when they were imported.
pub(crate) fn without_kept_until(receipt: &v1::MessageReceipt) -> v1::MessageReceipt {
    assert!(receipt.kept_until.is_some(), "S24: {receipt:?}");
    v1::MessageReceipt { kept_until: None, ..receipt.clone() }
}

/// A message's receipt, and its lists if it is of the sample.
fn expected(
    conversation: &Conversation,
    message: &Message,
    random: &mut Random,
    one_in: u64,
) -> (v1::MessageReceipt, Option<ListsOf>) {
    let (receipt, answer) = conversation.receipt(message);
    if random.below(one_in) != 0 {
        return (receipt, None);
    }
    let read = answer.read.iter().map(|reader| v1::ReadMember {
        user_id: reader.user.to_owned(),
        read_at: Some(timestamp_from_ms(reader.read_at_ms)),
        left: reader.left,
    });
    let unread =
        answer.unread.iter().map(|user| v1::ReadMember { user_id: (*user).to_owned(), ..v1::ReadMember::default() });
    let lists = ListsOf {
        sender: message.sender.clone(),
        receipt: receipt.clone(),
        read: read.collect(),
        unread: unread.collect(),
        seed: random.below(u64::MAX),
    };
    (receipt, Some(lists))
}

async fn work(client: Receipts, job: Job) -> Report {
    match job {
        Job::Counts(expected) => counts(client, expected).await,
        Job::Lists(lists) => lists::walk_both(client, *lists).await,
    }
}

async fn counts(mut client: Receipts, expected: Vec<v1::MessageReceipt>) -> Report {
    let messages: Vec<_> = expected
        .iter()
        .map(|receipt| v1::MessageRef {
            conversation_id: receipt.conversation_id.clone(),
            message_id: receipt.message_id.clone(),
        })
        .collect();
    let request = v1::GetMessageReadReceiptsRequest { messages: messages.clone(), ..Default::default() };
    let response = client.get_message_read_receipts(request).await.expect("counts").into_inner();
    let mut report = Report { receipts: expected.len() as u64, ..Report::default() };
    if response.results.len() != expected.len() {
        report.differs("results of one call", &expected.len(), &response.results.len());
    }
    for ((expected, message), got) in expected.into_iter().zip(messages).zip(response.results) {
        let of = format!("{} {}", message.conversation_id, message.message_id);
        let result = Some(receipt_result::Result::Receipt(expected));
        let expected = v1::ReceiptResult { message: Some(message), result };
        let mut got = got;
        if let Some(receipt_result::Result::Receipt(receipt)) = &mut got.result {
            *receipt = without_kept_until(receipt);
        }
        if got != expected {
            report.differs(&of, &told(&expected), &told(&got));
        }
    }
    report
}

/// A result in few words.
fn told(result: &v1::ReceiptResult) -> String {
    let Some(receipt_result::Result::Receipt(receipt)) = &result.result else { return format!("{result:?}") };
    let v1::MessageReceipt { conversation_id, message_id, read_count, unread_count, recalled, .. } = receipt;
    let recalled = if *recalled { ", recalled" } else { "" };
    let peer = match (receipt.peer_id.as_str(), receipt.is_peer_read) {
        ("", false) => String::new(),
        (peer, is_read) => format!(", {peer} has read it: {is_read}, at {:?}", receipt.peer_read_at),
    };
    format!("{conversation_id} {message_id}: {read_count} read, {unread_count} unread{recalled}{peer}")
}
