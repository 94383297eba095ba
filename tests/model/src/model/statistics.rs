//! That the histories drawn reach what the rules are about: else the properties tested on them would say little.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use receipt_domain::{
    event::{AudienceSpec, Change, Event, ReadTarget},
    limits::TIME_AHEAD_MAX_MS,
};

use super::{
    Model,
    answers::{KindState, LogicalState, Status},
    conversations::{Conversation, EventResult, Message},
    reads::{self, Reach, Read},
    times::{Age, age, counts},
};
use crate::history::{Action, History, Topic, histories};

const HISTORIES: usize = 2_000;

/// In how many histories, at least, each case is to be found.
const EXPECTED: &[(&str, usize)] = &[
    // What becomes of records.
    ("Applied", 1_900),
    ("Repeated", 1_000),
    ("repeated by its id", 300),
    ("repeated by its version", 300),
    ("Rejected(Unreadable)", 400),
    ("Rejected(KnownWithOtherSender)", 300),
    ("Rejected(NoSuchGroup)", 300),
    ("Rejected(Dismissed)", 150),
    ("Rejected(CreatedBefore)", 150),
    ("Rejected(WrongKind)", 200),
    ("Rejected(OtherPeople)", 200),
    ("Rejected(UnknownMessage)", 300),
    ("Rejected(TooManyMembers)", 200),
    ("an arrival behind log time", 500),
    ("asks against the policy", 100),
    ("lists a stranger", 300),
    ("sent far ahead of its record", 100),
    // Windows.
    ("early, and counts", 400),
    ("early at the bound", 40),
    ("early past the bound", 40),
    ("late at the bound", 40),
    ("late past the bound", 40),
    ("kept at the bound", 20),
    ("expired", 400),
    ("forgotten", 400),
    ("an id used again", 200),
    ("an id used again is read", 40),
    // Who reads, and how.
    ("reader left", 150),
    ("reader left and is back", 40),
    ("left unread", 200),
    ("left unread and is back", 40),
    ("two readers", 300),
    ("two readers in one second", 100),
    ("read twice", 300),
    ("read twice, earlier time last", 100),
    ("read before it was sent", 200),
    ("read far ahead of its record", 100),
    ("recalled", 100),
    ("recalled and read", 40),
    ("dismissed and read", 20),
    ("one-to-one is read", 200),
    // Marks.
    ("a mark covers two", 300),
    ("a mark with an earlier time than one before it", 80),
    ("a mark behind one before it", 50),
    ("a mark covers what it is too late for", 20),
    ("a time mark covers", 200),
    ("a time mark covers at its bound", 50),
    ("a time mark covers what comes after it", 40),
    ("a time mark is past what comes after it", 40),
    ("a time mark is ahead of its arrival", 40),
    ("a time mark is before the first message", 100),
    ("a time mark is too early for the first message", 40),
    ("a time mark far ahead of its record", 40),
    ("a time mark on a group", 100),
    ("both parties marked", 40),
    ("a note to oneself", 40),
    ("read within the second it was sent in", 100),
    // What is answered.
    ("outcome Pending", 400),
    ("outcome NotRequested", 200),
    ("outcome Expired", 400),
    ("outcome NotInAudience", 400),
    ("outcome Read", 1_000),
    // The way through.
    ("read again into the state", 400),
    ("restored", 400),
];

type Seen = BTreeSet<String>;

#[test]
fn histories_reach_the_cases_that_matter() {
    let (mut runner, strategy) = (TestRunner::deterministic(), histories());
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..HISTORIES {
        let history = strategy.new_tree(&mut runner).unwrap().current();
        for case in look(&history) {
            *found.entry(case).or_default() += 1;
        }
    }
    for (case, count) in &found {
        println!("{count:5} {case}");
    }
    let count = |case: &str| found.get(case).copied().unwrap_or(0);
    let missing: Vec<_> = EXPECTED.iter().filter(|(case, least)| count(case) < *least).collect();
    assert!(missing.is_empty(), "too few: {missing:?}");
    let unnamed: Vec<_> = found.keys().filter(|found| EXPECTED.iter().all(|(case, _)| case != found)).collect();
    assert!(unnamed.is_empty(), "not expected: {unnamed:?}");
}

fn look(history: &History) -> Seen {
    let mut seen = Seen::new();
    let mut see = |case: &str, holds: bool| {
        if holds {
            seen.insert(case.to_owned());
        }
    };
    let mut folded = [0, 0];
    for stage in history.stages() {
        match &stage.action {
            Action::Restore(_) => see("restored", true),
            Action::Batch(picks) => {
                let before = |topic| folded[usize::from(topic == Topic::Reads)];
                see("read again into the state", picks.iter().any(|pick| pick.index < before(pick.topic)));
            }
        }
        folded = [stage.conversations, stage.reads];
        let reads = &history.reads[..stage.reads];
        let model = Model::at(&history.settings, &history.conversations[..stage.conversations], reads);
        look_at(&mut see, history, &model);
    }
    seen
}

fn look_at(see: &mut impl FnMut(&str, bool), history: &History, model: &Model<'_>) {
    records(see, history, model);
    for (id, conversation) in &model.conversations {
        let reads = reads::of(&model.settings, id, conversation, model.reads);
        for (place, message) in conversation.messages.iter().enumerate() {
            windows(see, model, conversation, &reads, message);
            if age(&model.settings, message.log_time_ms, model.log_time_ms) == Age::Kept && message.asks {
                readers(see, model, conversation, &reads, place, message);
            }
        }
        marks(see, model, conversation, &reads);
    }
    answers(see, &model.state());
    for outcome in (0..model.reads.len()).flat_map(|index| model.outcomes(index)) {
        see(&format!("outcome {outcome:?}"), true);
    }
}

fn records(see: &mut impl FnMut(&str, bool), history: &History, model: &Model<'_>) {
    let mut log_time_ms = 0;
    for (record, result) in history.conversations.iter().zip(model.results()) {
        see(&format!("{result:?}"), true);
        see("an arrival behind log time", record.arrival_ms < log_time_ms);
        log_time_ms = log_time_ms.max(record.arrival_ms);
        let Ok(Event::Conversation(event)) = &record.event else { continue };
        let repeated = *result == EventResult::Repeated;
        see("repeated by its id", repeated && event.version == 0);
        // Only a message can be a repeat otherwise.
        see("repeated by its version", repeated && !matches!(event.change, Change::MessageSent { .. }));
        let Change::MessageSent { message, need_read_receipt, audience, .. } = &event.change else { continue };
        let far_ahead = event.occurred_at_ms.is_some_and(|ms| ms > record.arrival_ms + TIME_AHEAD_MAX_MS);
        see("sent far ahead of its record", far_ahead && *result == EventResult::Applied);
        let applied = model.conversations.get(&event.conversation).and_then(|c| c.last_message(message));
        let Some((_, applied)) = applied.filter(|_| *result == EventResult::Applied) else { continue };
        see("asks against the policy", *need_read_receipt && !applied.asks);
        if let AudienceSpec::Listed(users) = audience {
            let listed: BTreeSet<_> = users.iter().filter(|user| **user != applied.sender).collect();
            see("lists a stranger", listed.len() > applied.audience.len());
        }
    }
}

fn windows(
    see: &mut impl FnMut(&str, bool),
    model: &Model<'_>,
    conversation: &Conversation,
    reads: &[Read<'_>],
    message: &Message,
) {
    let settings = &model.settings;
    let log_time_ms = message.log_time_ms;
    see("kept at the bound", settings.retention_ms > 0 && model.log_time_ms == log_time_ms + settings.retention_ms);
    see("forgotten", age(settings, log_time_ms, model.log_time_ms) == Age::Forgotten);
    let audience: Vec<_> = message.audience.iter().map(|number| &conversation.memberships[*number].user).collect();
    for read in reads.iter().filter(|read| audience.contains(&read.reader)) {
        let Reach::Ids(ids) = read.reach else { continue };
        if ids.contains(&message.id) && message.asks {
            let (arrival_ms, early_ms) = (read.arrival_ms, settings.early_window_ms);
            see("early, and counts", arrival_ms < log_time_ms && counts(settings, arrival_ms, log_time_ms));
            see("early at the bound", early_ms > 0 && arrival_ms + early_ms == log_time_ms);
            see("early past the bound", arrival_ms + early_ms + 1 == log_time_ms);
            let late_ms = settings.retention_ms;
            see("late at the bound", late_ms > 0 && arrival_ms == log_time_ms + late_ms);
            see("late past the bound", late_ms > 0 && arrival_ms == log_time_ms + late_ms + 1);
        }
    }
}

fn readers(
    see: &mut impl FnMut(&str, bool),
    model: &Model<'_>,
    conversation: &Conversation,
    reads: &[Read<'_>],
    place: usize,
    message: &Message,
) {
    let settings = &model.settings;
    let again = conversation.messages[..place].iter().any(|earlier| earlier.id == message.id);
    see("an id used again", again);
    for number in &message.audience {
        let stay = &conversation.memberships[*number];
        let back = conversation.memberships.iter().any(|other| !other.ended && other.user == stay.user);
        let of_reader = reads.iter().filter(|read| *read.reader == stay.user);
        let covering: Vec<_> = of_reader.filter(|read| read.covers(settings, place, message)).collect();
        let (is_reader, left) = (!covering.is_empty(), stay.ended);
        see("reader left", is_reader && left);
        see("reader left and is back", is_reader && left && back);
        see("left unread", !is_reader && left);
        see("left unread and is back", !is_reader && left && back);
        see("an id used again is read", is_reader && again);
        let seconds: Vec<_> = covering.iter().map(|read| read.at_ms.max(message.sent_at_ms) / 1000).collect();
        see("read twice", covering.len() > 1);
        see("read twice, earlier time last", seconds.windows(2).any(|pair| pair[1] < pair[0]));
        for read in covering {
            see("read before it was sent", read.at_ms < message.sent_at_ms);
            let counts = counts(settings, read.arrival_ms, message.log_time_ms);
            see("a mark covers what it is too late for", matches!(read.reach, Reach::Place(_)) && !counts);
            if let Reach::Time(until_ms) = read.reach {
                see("a time mark covers", true);
                see("a time mark covers at its bound", until_ms == message.sent_at_ms);
                see("a time mark covers what comes after it", read.arrival_ms < message.log_time_ms);
            }
            let within = read.at_ms / 1000 == message.sent_at_ms / 1000 && !message.sent_at_ms.is_multiple_of(1000);
            see("read within the second it was sent in", within);
        }
        for read in reads.iter().filter(|read| *read.reader == stay.user) {
            let Reach::Time(until_ms) = read.reach else { continue };
            let past = message.sent_at_ms <= until_ms && counts(settings, read.arrival_ms, message.log_time_ms);
            see("a time mark is past what comes after it", past && !read.covers(settings, place, message));
        }
    }
}

fn marks(see: &mut impl FnMut(&str, bool), model: &Model<'_>, conversation: &Conversation, reads: &[Read<'_>]) {
    let settings = &model.settings;
    for (index, read) in reads.iter().enumerate() {
        if let Reach::Place(last) = read.reach {
            let kept = conversation.messages[..=last].iter().filter(|message| {
                let is_kept = age(settings, message.log_time_ms, model.log_time_ms) == Age::Kept;
                let mut stays = message.audience.iter().map(|number| &conversation.memberships[*number]);
                is_kept && message.asks && stays.any(|stay| stay.user == *read.reader)
            });
            let kept = kept.count();
            see("a mark covers two", kept > 1);
            for before in reads[..index].iter().filter(|before| before.reader == read.reader && kept > 0) {
                if let Reach::Place(reached) = before.reach {
                    see("a mark with an earlier time than one before it", read.at_ms / 1000 < before.at_ms / 1000);
                    see("a mark behind one before it", last < reached);
                }
            }
        }
        if let (Reach::Time(_), Some(first)) = (&read.reach, conversation.messages.first()) {
            let in_time = super::times::not_too_early(settings, read.arrival_ms, first.log_time_ms);
            see("a time mark is before the first message", in_time && read.arrival_ms < first.log_time_ms);
            see("a time mark is too early for the first message", !in_time);
            see("a time mark is ahead of its arrival", matches!(read.reach, Reach::Time(ms) if ms > read.arrival_ms));
        }
    }
    for record in model.reads {
        let Ok(event) = &record.event else { continue };
        let far_ahead = |ms: u64| ms > record.arrival_ms + TIME_AHEAD_MAX_MS;
        see("read far ahead of its record", event.read_at_ms.is_some_and(far_ahead));
        if let ReadTarget::UpToTime(ms) = event.target {
            see("a time mark far ahead of its record", far_ahead(ms));
            let is_group = |c: &Conversation| matches!(c.kind, super::conversations::Kind::Group { .. });
            see("a time mark on a group", model.conversations.get(&event.conversation).is_some_and(is_group));
        }
    }
}

fn answers(see: &mut impl FnMut(&str, bool), state: &LogicalState) {
    for conversation in state.conversations.values() {
        let mut dismissed = false;
        match &conversation.kind {
            KindState::OneToOne(parties) => {
                see("both parties marked", parties.iter().all(|party| party.highest_mark_ms.is_some()));
                see("a note to oneself", parties[0].user == parties[1].user);
            }
            KindState::Group(group) => dismissed = group.dismissed,
        }
        for message in conversation.messages.values() {
            see("expired", message.status == Status::Expired);
            let Status::Kept(receipt) = &message.status else { continue };
            let read = receipt.read_count > 0;
            see("two readers", receipt.read_count > 1);
            let same_second = receipt.read.windows(2).any(|pair| pair[0].read_at_ms == pair[1].read_at_ms);
            see("two readers in one second", same_second);
            see("recalled", receipt.recalled);
            see("recalled and read", receipt.recalled && read);
            see("dismissed and read", dismissed && read);
            see("one-to-one is read", receipt.peer.is_some() && read);
        }
    }
}
