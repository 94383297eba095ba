//! Crashes of the server and of the client in the middle of an import.

use std::time::Duration;

use receipt_ctl::dataset::Kind;
use receipt_proto::v1;
use receipt_test_seed::seed;
use receipt_tests::{
    poll::until,
    port,
    random::Random,
    server::{DataDir, Server},
};

use crate::{
    compare::{Sample, compare},
    conversations::FOLD_MAX,
    import,
};

/// So little memory that the stores flush now and then, and not only at their end.
const FLAGS: [&str; 2] = ["--write-buffer-mib", "4"];
/// How long the import may take to get to where it is interrupted.
const PROGRESS_MAX: Duration = Duration::from_secs(300);
/// How long an orderly end may take.
const END_MAX: Duration = Duration::from_secs(15);

/// R1, R2: what was acknowledged is there, what was not is sent again, and nothing counts twice.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_the_middle_of_an_import_loses_nothing() {
    let seed = seed();
    let mut random = Random::new(seed);
    let dir = DataDir::new();
    let addr = port::lasting(&mut random);
    let mut server = Server::start_unchecked(&dir, &addr.to_string(), &FLAGS).await;
    let college = import::start(&server, &dir, Kind::CollegeMsg);
    let mut irc = import::start(&server, &dir, Kind::UbuntuIrc);
    // Records are a little more than events, as some are sent twice.
    let events: u64 = import::DATA_SETS.iter().map(|(_, events, _)| events).sum();
    let part = events / 5;
    let mut came_back = 0;
    for round in 0..4 {
        let at = round as u64 * part + part / 5 + random.below(part * 4 / 5);
        let (signal, ctl) = [("9", ""), ("9", ", and of receiptctl"), ("9", ""), ("TERM", "")][round];
        println!("kill -{signal} of receiptd at {at} of {events} records{ctl}");
        progress(&server, at).await;
        if round == 1 {
            // It notes it now and then; without, it would begin again.
            let noted = async || import::state_file(&dir, Kind::UbuntuIrc).is_file().then_some(());
            until("receiptctl notes how far it is", PROGRESS_MAX, noted).await;
        }
        assert!(!irc.has_ended(), "the import is over before it is interrupted");
        if signal == "9" {
            server.kill_9();
        } else {
            // With calls in flight and a backlog to fold.
            let (status, time) = server.term().await;
            assert!(status.code() == Some(0) && time < END_MAX, "{status} after {time:?}");
        }
        if round == 1 {
            irc.kill_9();
        }
        // It takes writes before it serves, so the next crash may come before that, too.
        server = Server::start_unchecked(&dir, &addr.to_string(), &FLAGS).await;
        came_back += came_back_at(&server).await;
        if round == 1 {
            irc = import::start(&server, &dir, Kind::UbuntuIrc);
        }
    }
    assert!(came_back > 0, "no store had flushed anything before a crash");
    let college = import::end(college).await;
    let irc = import::end(irc).await;
    assert!(college["retries"].as_u64() > Some(0) || irc["retries"].as_u64() > Some(0), "nobody noticed a crash");
    assert!(irc["resumed_at"].as_u64() > Some(0), "the second import went on where the first was: {irc}");
    let partitions = server.folded(FOLD_MAX).await;
    assert!(partitions.iter().all(|partition| partition.sealed.is_empty()), "{partitions:?}");
    let report = compare(&server, Sample { seed, one_in: 300 }).await;
    assert!(report.lists > 1_000, "{report:?}");
}

/// Waits until the log holds so many records.
async fn progress(server: &Server, records: u64) {
    until("the import gets on", PROGRESS_MAX, async || {
        (sum(&server.receipt_partitions().await, |at| at.end_offset) >= records).then_some(())
    })
    .await;
}

/// How far the stores were after a crash, which is what had been flushed; the rest is folded again.
async fn came_back_at(server: &Server) -> u64 {
    let partitions = server.receipt_partitions().await;
    let durable = sum(&partitions, |at| at.durable_offset);
    println!("the stores came back at {durable} of {} records", sum(&partitions, |at| at.end_offset));
    durable
}

fn sum(partitions: &[v1::PartitionStatus], offset: impl Fn(&v1::TopicPosition) -> u64) -> u64 {
    partitions.iter().flat_map(|partition| &partition.positions).map(offset).sum()
}
