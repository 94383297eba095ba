//! The crash harness: load with an oracle, kill -9 at random moments, and what was acknowledged compared. On Kafka the
//! broker is killed too, and both at once.
//!
//! After each round all that the round may have changed is compared, and a random part of what is older; in the end,
//! everything. So a round costs the same however much was written before. What is older is all there is in a run of
//! twenty kills, counts and last words of which are so compared after each round.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use receipt_test_seed::seed;
use receipt_tests::{random::Random, server::Receipts};
use tokio::task::JoinSet;

use crate::{
    client::Client,
    compare::{self, Report},
    ear::{self, Ear},
    load::{Load, user},
    oracle::Oracle,
    site::{FOLD_MAX, Site, Victim, setting},
};

/// So little memory that the stores flush now and then, and not only at their end.
const FLAGS: [&str; 2] = ["--write-buffer-mib", "4"];
const SENDERS: u64 = 10;
const USERS: u64 = 160;
const READERS: u64 = 6;
/// Conversations that are new in each round, two groups and sometimes one of two.
const ROUNDS_ACTIVE: u64 = 3;
/// The server ends well before every so manieth round, so that its stores come back at different places.
const ENDS_WELL_EVERY: u64 = 15;
/// Older conversations whose counts and last words are compared after each round, and of those, whose lists are.
const OLDER_MAX: usize = 60;
const OLDER_LISTED_MAX: usize = 3;

/// R1, R2, R6, S29, S32 to S34: what was acknowledged is there, in counts, lists, times and streams.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_whenever_the_server_is_killed() {
    let _shared = crate::MACHINE.read().await;
    let (seed, kills) = (seed(), setting("RECEIPT_KILLS", 20));
    println!("RECEIPT_KILLS={kills}");
    let mut random = Random::new(seed);
    let site = Site::start(&mut random, &FLAGS).await;
    let kills = usize::try_from(kills).unwrap();
    under_load(site, vec![Victim::Server; kills], &mut random).await;
}

/// The same where the log is on Kafka, and its broker is killed as well: alone, and together with receiptd.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_whenever_the_broker_the_server_or_both_are_killed() {
    let _shared = crate::MACHINE.read().await;
    let (seed, kills) = (seed(), setting("RECEIPT_BROKER_KILLS", 2));
    println!("RECEIPT_BROKER_KILLS={kills}: twice as many of receiptd, half as many of both");
    let mut random = Random::new(seed);
    let site = Site::on_broker(&mut random, &FLAGS).await;
    let times = |victim, kills: u64| vec![victim; usize::try_from(kills).unwrap()];
    let mut victims = times(Victim::Broker, kills);
    victims.extend(times(Victim::Server, kills * 2));
    victims.extend(times(Victim::Both, kills.div_ceil(2)));
    random.shuffle(&mut victims);
    under_load(site, victims, &mut random).await;
}

/// Load on a site, until all of these are killed.
async fn under_load(mut site: Site, mut victims: Vec<Victim>, random: &mut Random) {
    let load = Load::new(Client::new(site.channel()), SENDERS, USERS);
    let mut ears = Vec::new();
    for sender in 0..SENDERS {
        ears.push(Ear::open(site.channel(), &user(sender)).await);
    }
    let (start, mut report, kills, mut round) = (Instant::now(), Report::default(), victims.len(), 0);
    while !victims.is_empty() {
        round += 1;
        let active = active(round);
        one_round(&mut site, &load, round, &active, &mut victims, random).await;
        let compared = Compared::after_round(&load.oracle, active, random);
        report.add(compare(&site, &load.oracle, &ears, &compared, random).await);
        if round % 10 == 0 || victims.is_empty() {
            let killed = kills - victims.len();
            println!("{killed} kills in {:.0} s: {:?}, {report:?}", start.elapsed().as_secs_f64(), load.totals);
        }
        report.assert_same();
    }
    let last = compare(&site, &load.oracle, &ears, &Compared::all(&load.oracle), random).await;
    println!("in the end: {last:?}");
    last.assert_same();
    report.add(last);
    let oracle = load.oracle.lock().unwrap();
    ear::last_words(&ear::all(&ears), &oracle.all()).await;
    let told = ears.iter().map(|ear| ear.heard.lock().unwrap().deltas).sum::<u64>();
    let messages = oracle.0.values().map(|conversation| conversation.messages.len()).sum::<usize>();
    let (seconds, totals) = (start.elapsed().as_secs_f64(), &load.totals);
    println!("{kills} kills in {seconds:.0} s: {messages} messages, {told} deltas, {totals:?}, {report:?}");
    assert!(load.totals.again.load(Ordering::Relaxed) > 0, "nobody noticed a crash");
}

/// The ids of the conversations that are written in a round.
fn active(round: u64) -> Vec<String> {
    let rounds = round.saturating_sub(ROUNDS_ACTIVE - 1).max(1)..=round;
    rounds.flat_map(|round| [format!("g{round}a"), format!("g{round}b"), format!("d{round}")]).collect()
}

/// The ids of conversations to be compared.
struct Compared {
    /// Counts and last words.
    counted: Vec<String>,
    listed: Vec<String>,
}

impl Compared {
    fn all(oracle: &Mutex<Oracle>) -> Self {
        let all: Vec<String> = oracle.lock().unwrap().0.keys().cloned().collect();
        Self { counted: all.clone(), listed: all }
    }

    /// All that were written or read in this round, and some of the others.
    fn after_round(oracle: &Mutex<Oracle>, active: Vec<String>, random: &mut Random) -> Self {
        let mut older = Self::all(oracle).counted;
        older.retain(|id| !active.contains(id));
        random.shuffle(&mut older);
        older.truncate(OLDER_MAX);
        let mut listed = active.clone();
        listed.extend(older.iter().take(OLDER_LISTED_MAX).cloned());
        Self { counted: [active, older].concat(), listed }
    }
}

/// Load, and a crash or two in the middle of it; returns once all is acknowledged.
async fn one_round(
    site: &mut Site,
    load: &Load,
    round: u64,
    active: &[String],
    victims: &mut Vec<Victim>,
    random: &mut Random,
) {
    let load = Load { stop: Arc::new(AtomicBool::new(false)), ..load.clone() };
    let mut tasks = JoinSet::new();
    for id in active {
        tasks.spawn(load.clone().write(id.clone(), Random::new(random.below(u64::MAX))));
    }
    for _ in 0..READERS {
        tasks.spawn(load.clone().read(active.to_vec(), Random::new(random.below(u64::MAX))));
    }
    while let Some(victim) = victims.pop() {
        // At a random moment, which is what this is about.
        tokio::time::sleep(Duration::from_millis(random.below(500))).await;
        site.kill_9(victim).await;
        if random.below(5) > 0 {
            break;
        }
    }
    if round.is_multiple_of(ENDS_WELL_EVERY) {
        site.server().folded(FOLD_MAX).await;
        site.term().await;
    }
    tokio::time::sleep(Duration::from_millis(random.below(200))).await;
    load.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a task that goes on until all is acknowledged");
    }
}

/// Counts, lists, and every sender's last word.
async fn compare(
    site: &Site,
    oracle: &Mutex<Oracle>,
    ears: &[Ear],
    compared: &Compared,
    random: &mut Random,
) -> Report {
    let partitions = site.server().folded(FOLD_MAX).await;
    assert!(partitions.iter().all(|partition| partition.sealed.is_empty()), "{partitions:?}");
    let oracle = oracle.lock().unwrap();
    let (mut client, mut report) = (Receipts::new(site.channel()), Report::default());
    let counted = oracle.part(&compared.counted);
    compare::counts(&mut client, &counted, &mut report).await;
    compare::lists(&mut client, &oracle.part(&compared.listed), random, &mut report).await;
    ear::last_words(&ear::all(ears), &counted).await;
    report
}
