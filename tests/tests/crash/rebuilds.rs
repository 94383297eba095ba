//! Partitions are rebuilt and verified beside the live ones, under load: no call fails, nothing goes back, and what was
//! acknowledged is there.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use receipt_proto::v1::{
    self, rebuild_partitions_response::Told as Rebuild, verify_partitions_response::Told as Verify,
};
use receipt_test_seed::seed;
use receipt_tests::{
    random::Random,
    server::{Admin, Receipts},
};
use tokio::task::JoinSet;

use crate::{
    client::Client,
    compare::{self, Report},
    ear::{self, Ear},
    load::{Load, user},
    oracle::{Oracle, message_id},
    site::{FOLD_MAX, Site, Victim, setting},
};

const SENDERS: u64 = 6;
const USERS: u64 = 120;
const READERS: u64 = 6;
/// Who ask all the time, and how often each does.
const ASKERS: u64 = 4;
const ASK_EVERY: Duration = Duration::from_millis(3);
/// Messages of one question.
const ASKED_AT_A_TIME: u64 = 20;

/// What asking came to.
#[derive(Debug, Default)]
struct Asked {
    counts: AtomicU64,
    pages: AtomicU64,
    slowest_us: AtomicU64,
}

/// R2, R3, R6: a swap under load is noticed by nobody but for its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_under_load_fails_no_query_and_changes_no_answer() {
    let _shared = crate::MACHINE.read().await;
    let (seed, rounds) = (seed(), setting("RECEIPT_REBUILDS", 15));
    println!("RECEIPT_REBUILDS={rounds}");
    let mut random = Random::new(seed);
    let site = Site::start(&mut random, &["--write-buffer-mib", "4"]).await;
    let load = Load::new(Client::new(site.channel()), SENDERS, USERS);
    let mut ears = Vec::new();
    for sender in 0..SENDERS {
        ears.push(Ear::open(site.channel(), &user(sender)).await);
    }
    let (start, asked) = (Instant::now(), Arc::new(Asked::default()));
    let (mut report, mut swaps, mut verified) = (Report::default(), 0, 0);
    for round in 0..rounds {
        let active: Vec<String> = [format!("g{round}a"), format!("g{round}b"), format!("d{round}")].into();
        let load = Load { stop: Arc::new(AtomicBool::new(false)), ..load.clone() };
        let mut tasks = JoinSet::new();
        for id in &active {
            tasks.spawn(load.clone().write(id.clone(), Random::new(random.below(u64::MAX))));
        }
        for _ in 0..READERS {
            tasks.spawn(load.clone().read(active.clone(), Random::new(random.below(u64::MAX))));
        }
        for _ in 0..ASKERS {
            let seed = random.below(u64::MAX);
            tasks.spawn(ask(Receipts::new(site.channel()), load.clone(), Random::new(seed), Arc::clone(&asked)));
        }
        let mut admin = Admin::new(site.channel());
        swaps += rebuild(&mut admin).await;
        verified += verify(&mut admin).await;
        load.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = tasks.join_next().await {
            ended.expect("a task that goes on until it is told to stop");
        }
        let partitions = site.server().folded(FOLD_MAX).await;
        assert!(partitions.iter().all(|partition| partition.sealed.is_empty()), "{partitions:?}");
        let oracle = load.oracle.lock().unwrap();
        let mut client = Receipts::new(site.channel());
        compare::counts(&mut client, &oracle.all(), &mut report).await;
        compare::lists(&mut client, &oracle.part(&active), &mut random, &mut report).await;
        ear::last_words(&ear::all(&ears), &oracle.all()).await;
        report.assert_same();
    }
    let (totals, seconds) = (&load.totals, start.elapsed().as_secs_f64());
    println!("{swaps} swaps and {verified} partitions verified in {seconds:.0} s: {totals:?}, {asked:?}, {report:?}");
    assert_eq!(load.totals.again.load(Ordering::Relaxed), 0, "a write was refused");
    assert!(asked.pages.load(Ordering::Relaxed) > 0, "nobody asked");
}

/// R2: whenever the server is killed while it rebuilds, it comes back with a complete state.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_rebuild_loses_nothing() {
    let _shared = crate::MACHINE.read().await;
    let (seed, kills) = (seed(), setting("RECEIPT_REBUILD_KILLS", 6));
    println!("RECEIPT_REBUILD_KILLS={kills}");
    let mut random = Random::new(seed);
    let mut site = Site::start(&mut random, &["--write-buffer-mib", "4"]).await;
    let load = Load::new(Client::new(site.channel()), SENDERS, USERS);
    let active: Vec<String> = (0..6).map(|n| format!("g{n}")).chain((0..3).map(|n| format!("d{n}"))).collect();
    let mut tasks = JoinSet::new();
    for id in &active {
        tasks.spawn(load.clone().write(id.clone(), Random::new(random.below(u64::MAX))));
    }
    for _ in 0..READERS {
        tasks.spawn(load.clone().read(active.clone(), Random::new(random.below(u64::MAX))));
    }
    for _ in 0..kills {
        site.server().folded(FOLD_MAX).await;
        let mut admin = Admin::new(site.channel());
        let rebuilds = tokio::spawn(async move {
            // Until it is killed in the middle of one.
            while let Ok(responses) = admin.rebuild_partitions(v1::RebuildPartitionsRequest::default()).await {
                let mut responses = responses.into_inner();
                while let Ok(Some(_)) = responses.message().await {}
            }
        });
        // At a random moment, which is what this is about.
        tokio::time::sleep(Duration::from_millis(random.below(300))).await;
        site.kill_9(Victim::Server).await;
        rebuilds.abort();
    }
    load.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a task that goes on until all is acknowledged");
    }
    let partitions = site.server().folded(FOLD_MAX).await;
    assert!(partitions.iter().all(|partition| partition.sealed.is_empty()), "{partitions:?}");
    let (mut client, mut report) = (Receipts::new(site.channel()), Report::default());
    let oracle = load.oracle.lock().unwrap();
    compare::counts(&mut client, &oracle.all(), &mut report).await;
    compare::lists(&mut client, &oracle.all(), &mut random, &mut report).await;
    println!("{kills} kills: {:?}, {report:?}", load.totals);
    report.assert_same();
    verify(&mut Admin::new(site.channel())).await;
}

/// Rebuilds all partitions; how many.
async fn rebuild(admin: &mut Admin) -> usize {
    let request = v1::RebuildPartitionsRequest { partition: None, from_snapshot: false };
    let mut responses = admin.rebuild_partitions(request).await.expect("a rebuild").into_inner();
    let mut rebuilt = 0;
    while let Some(response) = responses.message().await.expect("a rebuild that goes on") {
        rebuilt += usize::from(matches!(response.told, Some(Rebuild::Rebuilt(_))));
    }
    assert_eq!(rebuilt, 4);
    rebuilt
}

/// Verifies all partitions; how many.
async fn verify(admin: &mut Admin) -> usize {
    let request = v1::VerifyPartitionsRequest { partition: None, from_snapshot: false };
    let mut responses = admin.verify_partitions(request).await.expect("a verify").into_inner();
    let mut verified = 0;
    while let Some(response) = responses.message().await.expect("a verify that goes on") {
        let Some(Verify::Verified(found)) = response.told else { continue };
        assert!(found.equal && found.state_digest == found.log_digest, "{found:?}");
        verified += 1;
    }
    assert_eq!(verified, 4);
    verified
}

/// Asks for counts and pages until it is told to stop. None may fail; who has read has read; and a page is of the same
/// moment as the counts beside it.
async fn ask(mut client: Receipts, load: Load, mut random: Random, asked: Arc<Asked>) {
    let mut read_before: HashMap<(String, String), u32> = HashMap::new();
    let mut ticks = tokio::time::interval(ASK_EVERY);
    while !load.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let messages = some_messages(&load.oracle.lock().unwrap(), &mut random);
        if messages.is_empty() {
            continue;
        }
        let start = Instant::now();
        let request = v1::GetMessageReadReceiptsRequest { messages: messages.clone(), ..Default::default() };
        let answer = client.get_message_read_receipts(request).await.expect("counts under a rebuild").into_inner();
        for (message, result) in messages.iter().zip(answer.results) {
            // One that is not sent yet, or asks for no receipts, has an error.
            let Some(v1::receipt_result::Result::Receipt(receipt)) = result.result else { continue };
            let key = (message.conversation_id.clone(), message.message_id.clone());
            let before = read_before.insert(key, receipt.read_count).unwrap_or_default();
            assert!(receipt.read_count >= before, "{before} had read {message:?}, and now {receipt:?}");
            asked.counts.fetch_add(1, Ordering::Relaxed);
        }
        page(&mut client, random.one_of(&messages), &asked).await;
        let took_us = u64::try_from(start.elapsed().as_micros()).unwrap();
        asked.slowest_us.fetch_max(took_us, Ordering::Relaxed);
    }
}

/// Everybody who has not read a message, in one page, and the counts of the same moment.
async fn page(client: &mut Receipts, message: &v1::MessageRef, asked: &Asked) {
    let request = v1::GetGroupMessageReadMemberListRequest {
        message: Some(message.clone()),
        filter: v1::MemberFilter::Unread.into(),
        page_size: 1000,
        ..Default::default()
    };
    match client.get_group_message_read_member_list(request).await {
        Ok(page) => {
            let page = page.into_inner();
            let unread = page.receipt.as_ref().map(|receipt| receipt.unread_count as usize);
            assert_eq!(Some(page.members.len()), unread, "{page:?}");
            asked.pages.fetch_add(1, Ordering::Relaxed);
        }
        // It is not sent yet, or asks for no receipts.
        Err(status) if [tonic::Code::NotFound, tonic::Code::FailedPrecondition].contains(&status.code()) => {}
        Err(status) => panic!("a page under a rebuild: {status:?}"),
    }
}

fn some_messages(oracle: &Oracle, random: &mut Random) -> Vec<v1::MessageRef> {
    let ids: Vec<&String> = oracle.0.keys().collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let one = |random: &mut Random| {
        let id = (*random.one_of(&ids)).clone();
        let messages = oracle.0.get(&id).map_or(0, |conversation| conversation.messages.len() as u64);
        let number = usize::try_from(random.below(messages + 1)).unwrap();
        v1::MessageRef { conversation_id: id, message_id: message_id(number) }
    };
    (0..ASKED_AT_A_TIME).map(|_| one(random)).collect()
}
