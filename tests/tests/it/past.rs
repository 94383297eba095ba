//! The state as it was at a moment, folded aside from a real log, equals the model's at that prefix.

use proptest::prelude::*;
use receipt_domain::event::{Event, ReadEvent, Record};
use receipt_fold_tests::{
    logical::{logical_state, normalised},
    runner::{check, histories_wanted},
};
use receipt_log::{Clock, CopiedRecord, Log, NewRecord, Topic};
use receipt_model::{History, Model, histories};
use receipt_projector::{Moment, Offsets, Past, PastOptions, PastStep, ProjectorError, Reached, facts, identity};
use receipt_proto::v1;
use receipt_snapshot::{Place, Unit};
use receipt_store::Resources;
use receipt_tests::{dir, random::Random, whole::whole};
use tokio::{runtime::Runtime, sync::watch};

use prost::Message as _;

/// Moments of each history.
const MOMENTS: usize = 10;

/// A history's two topics in a log of one partition, each record with its arrival.
fn log_of(history: &History, dir: &std::path::Path, runtime: &Runtime) -> Log {
    let options = receipt_test_engine::options(&dir.join("log"), Clock::System);
    let log = Log::open_embedded(receipt_log::EmbeddedOptions { partitions: 1, ..options }).unwrap();
    let conversations = history.conversations.iter().map(conversation_record).collect();
    runtime.block_on(log.append_copied(Topic::Conversations, 0, conversations)).unwrap();
    let reads = history.reads.iter().map(read_record).collect();
    runtime.block_on(log.append_copied(Topic::Reads, 0, reads)).unwrap();
    log
}

fn conversation_record(record: &Record<Event>) -> CopiedRecord {
    let new = record.event.as_ref().ok().map(|event| {
        let value = v1::ConversationEvent::from(event).encode_to_vec();
        match event {
            Event::Conversation(event) => NewRecord::new(event.conversation.as_str().to_owned(), value),
            Event::PolicyChanged(_) | Event::Tick => {
                NewRecord { key: None, value: Some(value.into()), headers: Vec::new() }
            }
        }
    });
    copied(new, record.arrival_ms)
}

fn read_record(record: &Record<ReadEvent>) -> CopiedRecord {
    let new = record.event.as_ref().ok().map(|event| {
        NewRecord::new(event.conversation.as_str().to_owned(), v1::ReadEvent::from(event).encode_to_vec())
    });
    copied(new, record.arrival_ms)
}

/// What cannot be read is a record that is none.
fn copied(record: Option<NewRecord>, arrival_ms: u64) -> CopiedRecord {
    let record = record.unwrap_or_else(|| NewRecord::new("unreadable", vec![0xff; 3]));
    CopiedRecord { record, timestamp_ms: (arrival_ms > 0).then_some(arrival_ms) }
}

/// As the rule says it: each topic up to its first record past the time.
fn until(arrivals: impl Iterator<Item = u64>, time_ms: u64) -> u64 {
    arrivals.take_while(|arrival_ms| *arrival_ms <= time_ms).count() as u64
}

fn by_time(history: &History, time_ms: u64) -> Offsets {
    Offsets {
        conversations: until(history.conversations.iter().map(|record| record.arrival_ms), time_ms),
        reads: until(history.reads.iter().map(|record| record.arrival_ms), time_ms),
    }
}

/// A moment of the history, and the offsets it is at.
fn draw(history: &History, random: &mut Random) -> (Moment, Offsets) {
    let (conversations, reads) = (history.conversations.len() as u64, history.reads.len() as u64);
    match random.below(4) {
        0 => {
            let to = Offsets { conversations: random.below(conversations + 1), reads: random.below(reads + 1) };
            (Moment::Offsets(to), to)
        }
        1 => {
            let to = random.below(conversations + 1);
            let last = to.checked_sub(1).map(|last| history.conversations[last as usize].arrival_ms);
            let reads = last.map_or(0, |last_ms| by_time(history, last_ms).reads);
            (Moment::Conversations(to), Offsets { conversations: to, reads })
        }
        _ => {
            // At a record's arrival, or just before or after it.
            let at = random.below(conversations + reads) as usize;
            let arrivals = history.conversations.iter().map(|record| record.arrival_ms);
            let arrivals: Vec<_> = arrivals.chain(history.reads.iter().map(|record| record.arrival_ms)).collect();
            let time_ms = (arrivals[at] + random.below(3)).saturating_sub(1);
            (Moment::TimeMs(time_ms), by_time(history, time_ms))
        }
    }
}

fn as_the_model(history: &History, runtime: &Runtime, random: &mut Random) -> Result<(), TestCaseError> {
    let dir = dir::temporary();
    let log = log_of(history, dir.path(), runtime);
    let resources = Resources::new(1 << 20, 1 << 20);
    let options =
        PastOptions { dir: dir.path().join("replay/as-of"), settings: history.settings, resources, snapshots: None };
    let (_stop, stopped) = watch::channel(false);
    for _ in 0..MOMENTS {
        let (moment, to) = draw(history, random);
        let past = match Past::fold(&log, 0, moment, &options, runtime.handle(), &stopped, |_| {}) {
            Err(ProjectorError::BeforeLog { .. }) => {
                prop_assert!(matches!(moment, Moment::TimeMs(_)) && to.conversations == 0, "{:?}", moment);
                continue;
            }
            past => past.map_err(|why| TestCaseError::fail(why.to_string()))?,
        };
        let end = Offsets { conversations: history.conversations.len() as u64, reads: history.reads.len() as u64 };
        let at_end = matches!(moment, Moment::TimeMs(_)) && to == end;
        prop_assert_eq!(past.reached(), Reached { to, past_end: at_end }, "{:?}", moment);
        let prefix = (&history.conversations[..to.conversations as usize], &history.reads[..to.reads as usize]);
        let model = Model::at(&history.settings, prefix.0, prefix.1);
        let state = logical_state(&whole(past.store()), &history.settings);
        let state = state.map_err(|needs| TestCaseError::fail(format!("{needs:?}")))?;
        prop_assert_eq!(&state, &normalised(model.state()), "at {:?}, {:?}", moment, to);
        past.delete().map_err(|why| TestCaseError::fail(why.to_string()))?;
    }
    prop_assert!(!dir.path().join("replay").exists(), "nothing is left over");
    Ok(())
}

#[test]
fn at_100_random_moments_of_embedded_logs_the_state_is_the_models() {
    let runtime = Runtime::new().unwrap();
    check("states of the past", histories_wanted(10), &histories(), |history| {
        // The same ones for a history that is tried again, as when it is shrunk.
        let mut random = Random::of_history([history.conversations.len(), history.reads.len()]);
        as_the_model(&history, &runtime, &mut random)
    });
}

/// Takes snapshots at two random cuts, the earlier first, and trims the log behind the earlier one; the cuts, and where the
/// log begins then.
fn trimmed(
    history: &History,
    log: &Log,
    (options, place): (&PastOptions, &Place),
    runtime: &Runtime,
    random: &mut Random,
) -> ([Offsets; 2], Offsets) {
    let mut cut = |of: usize| {
        let mut cuts = [random.below(of as u64 + 1), random.below(of as u64 + 1)];
        cuts.sort_unstable();
        cuts
    };
    let (conversations, reads) = (cut(history.conversations.len()), cut(history.reads.len()));
    let cuts = [0, 1].map(|n| Offsets { conversations: conversations[n], reads: reads[n] });
    let (_stop, stopped) = watch::channel(false);
    for (n, to) in cuts.iter().enumerate() {
        let past = Past::fold(log, 0, Moment::Offsets(*to), options, runtime.handle(), &stopped, |_| {}).unwrap();
        let copy = options.dir.join(format!("copy-{n}"));
        past.store().checkpoint(&copy).unwrap();
        let log_time_ms = past.store().view().unwrap().progress().log_time_ms;
        let offsets = [(Topic::Conversations, to.conversations), (Topic::Reads, to.reads)];
        let facts = facts::of_store(&identity(log, 0, options.settings), Unit::Receipts(0), &offsets, log_time_ms);
        receipt_snapshot::create(place, &facts, &copy, &mut |_| true).unwrap();
        past.delete().unwrap();
        std::fs::remove_dir_all(copy).unwrap();
    }
    let start =
        Offsets { conversations: random.below(cuts[0].conversations + 1), reads: random.below(cuts[0].reads + 1) };
    log.trim(Topic::Conversations, 0, start.conversations).unwrap();
    log.trim(Topic::Reads, 0, start.reads).unwrap();
    (cuts, start)
}

/// The time by which reads count at a moment; `None`: it is given by offsets.
fn reads_by_ms(history: &History, moment: Moment) -> Option<u64> {
    match moment {
        Moment::TimeMs(time_ms) => Some(time_ms),
        Moment::Offsets(_) | Moment::Conversations(0) => None,
        Moment::Conversations(to) => Some(history.conversations[to as usize - 1].arrival_ms),
    }
}

/// Whether a moment has to be refused, or may be: no snapshot is a beginning of it, or nothing shows that one is.
fn may_be_refused(history: &History, moment: Moment, to: Offsets, oldest: Offsets, start: Offsets) -> bool {
    let log_time_ms =
        history.conversations[..oldest.conversations as usize].iter().map(|record| record.arrival_ms).max();
    let is_behind = !to.include(&oldest);
    let is_later =
        matches!(moment, Moment::TimeMs(time_ms) if log_time_ms.is_some_and(|log_time_ms| log_time_ms > time_ms));
    let is_unproved = reads_by_ms(history, moment).is_some_and(|by_ms| {
        let arrivals = history.reads[start.reads as usize..].iter().map(|record| record.arrival_ms);
        until(arrivals, by_ms) < oldest.reads.saturating_sub(start.reads).max(1)
    });
    is_behind || is_later || is_unproved
}

fn as_the_model_from_snapshots(history: &History, runtime: &Runtime, random: &mut Random) -> Result<(), TestCaseError> {
    let dir = dir::temporary();
    let log = log_of(history, dir.path(), runtime);
    let resources = Resources::new(1 << 20, 1 << 20);
    let place = Place::open(dir.path().join("place").to_str().unwrap(), runtime.handle().clone()).unwrap();
    let (scratch, settings) = (dir.path().join("replay/as-of"), history.settings);
    let options = PastOptions { dir: scratch, settings, resources, snapshots: Some(place.clone()) };
    let ([oldest, _], start) = trimmed(history, &log, (&options, &place), runtime, random);
    let (_stop, stopped) = watch::channel(false);
    let fold = |moment| Past::fold(&log, 0, moment, &options, runtime.handle(), &stopped, |_| {});
    for _ in 0..MOMENTS {
        let (moment, to) = draw(history, random);
        let at = match fold(moment) {
            Err(ProjectorError::BeforeLog { .. }) => {
                prop_assert!(start.conversations == 0 && to.conversations == 0, "{:?}", moment);
                continue;
            }
            Err(ProjectorError::UnknownArrival { .. }) => {
                prop_assert!(matches!(moment, Moment::Conversations(to) if to <= start.conversations), "{:?}", moment);
                continue;
            }
            Err(ProjectorError::TooEarly { conversations, reads, .. }) => {
                prop_assert_eq!(Offsets { conversations, reads }, oldest);
                prop_assert!(may_be_refused(history, moment, to, oldest, start), "{:?}, {:?}", moment, to);
                fold(Moment::Offsets(oldest))
                    .and_then(Past::delete)
                    .map_err(|why| TestCaseError::fail(why.to_string()))?;
                continue;
            }
            past => past.map_err(|why| TestCaseError::fail(why.to_string()))?,
        };
        let reached = at.reached().to;
        if reached != to {
            // Only where arrivals went backwards in what is gone: that cannot be known.
            let by_ms = reads_by_ms(history, moment);
            let gone = &history.reads[..start.reads as usize];
            let backwards = by_ms.is_some_and(|by_ms| gone.iter().any(|record| record.arrival_ms > by_ms));
            prop_assert!(
                backwards && reached.conversations == to.conversations,
                "{:?}: {:?}, {:?}",
                moment,
                reached,
                to
            );
        }
        let prefix =
            (&history.conversations[..reached.conversations as usize], &history.reads[..reached.reads as usize]);
        let model = Model::at(&history.settings, prefix.0, prefix.1);
        let state = logical_state(&whole(at.store()), &history.settings);
        let state = state.map_err(|needs| TestCaseError::fail(format!("{needs:?}")))?;
        prop_assert_eq!(&state, &normalised(model.state()), "at {:?}, {:?}", moment, reached);
        at.delete().map_err(|why| TestCaseError::fail(why.to_string()))?;
    }
    prop_assert!(!dir.path().join("replay").exists(), "nothing is left over");
    Ok(())
}

/// As where the log has lost its beginning.
#[test]
fn at_random_moments_of_trimmed_logs_the_state_is_the_models_or_the_moment_is_refused() {
    let runtime = Runtime::new().unwrap();
    check("states of the past from snapshots", histories_wanted(20), &histories(), |history| {
        let mut random = Random::of_history([history.conversations.len(), history.reads.len()]);
        as_the_model_from_snapshots(&history, &runtime, &mut random)
    });
}

/// What was folded for a later moment than is asked for cannot be used; for an earlier one it can.
#[test]
fn an_interrupted_one_goes_on_and_an_earlier_moment_begins_anew() {
    let (dir, runtime) = (dir::temporary(), Runtime::new().unwrap());
    let tick = |at_ms| {
        let value = v1::ConversationEvent::from(&Event::Tick).encode_to_vec();
        copied(Some(NewRecord { key: None, value: Some(value.into()), headers: Vec::new() }), at_ms)
    };
    let options = receipt_test_engine::options(&dir.path().join("log"), Clock::System);
    let log = Log::open_embedded(receipt_log::EmbeddedOptions { partitions: 1, ..options }).unwrap();
    // More than one batch.
    let ticks = (1..=20_000).map(tick).collect();
    runtime.block_on(log.append_copied(Topic::Conversations, 0, ticks)).unwrap();
    let settings = receipt_domain::settings::Settings::default();
    let resources = Resources::new(1 << 20, 1 << 20);
    let options = PastOptions { dir: dir.path().join("as-of"), settings, resources, snapshots: None };
    let (stop, stopped) = watch::channel(false);
    let fold = |moment, told: &mut dyn FnMut(PastStep)| {
        Past::fold(&log, 0, moment, &options, runtime.handle(), &stopped, told)
    };
    let interrupted = fold(Moment::TimeMs(18_000), &mut |step| {
        if matches!(step, PastStep::Folding(folded, _) if folded > 0) {
            stop.send_replace(true);
        }
    });
    assert!(matches!(interrupted, Err(ProjectorError::Stopped)));
    stop.send_replace(false);
    let first_step = |moment| {
        let mut first = None;
        let past = fold(moment, &mut |step| {
            if let PastStep::Folding(folded, all) = step {
                first.get_or_insert((folded, all));
            }
        });
        let past = past.unwrap();
        assert_eq!(past.store().view().unwrap().progress().log_time_ms, past.reached().to.conversations);
        (past, first.unwrap())
    };
    let (past, (from, all)) = first_step(Moment::TimeMs(18_000));
    assert!(from > 0 && all == 18_000, "it goes on from {from} of {all}");
    assert_eq!(past.reached(), Reached { to: Offsets { conversations: 18_000, reads: 0 }, past_end: false });
    // As when the process ended before it was deleted.
    past.store().flush().unwrap();
    drop(past);
    let (past, step) = first_step(Moment::TimeMs(17_000));
    assert_eq!(step, (0, 17_000));
    past.delete().unwrap();
    let (past, _) = first_step(Moment::TimeMs(99_999));
    assert!(past.reached().past_end);
    let past_offsets = Moment::Offsets(Offsets { conversations: 20_000, reads: 1 });
    drop(past);
    assert!(first_step(past_offsets).0.reached().past_end);
    let error = fold(Moment::TimeMs(0), &mut |_| {}).err().unwrap().to_string();
    assert!(error.contains("arrived at 1970-01-01T00:00:00.001Z, after the moment asked for"), "{error}");
    log.trim(Topic::Conversations, 0, 5).unwrap();
    let error = fold(Moment::TimeMs(18_000), &mut |_| {}).err().unwrap().to_string();
    assert!(error.contains("begins at offset 5"), "{error}");
}
