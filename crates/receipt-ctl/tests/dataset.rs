//! The data sets as their publishers count them, and as the events they become.

#![allow(clippy::expect_used, clippy::panic)]

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Read as _,
    path::PathBuf,
};

use receipt_ctl::dataset::{self, DataEvent, Events, Kind};
use receipt_proto::{
    conversation_event, read_event,
    v1::{self, conversation_event::Event, message_sent::Audience, read_event::Target},
};

fn path(kind: Kind) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/data/{}.tsv.gz", kind.name()))
}

fn data(kind: Kind) -> Events {
    dataset::open(kind, &path(kind)).expect("the file")
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    created: usize,
    messages: usize,
    added: usize,
    removed: usize,
    first_members: usize,
    up_to: usize,
    receipts: usize,
    receipt_messages: usize,
    people: HashSet<String>,
    versions: HashMap<String, u64>,
    ids: HashSet<(String, String)>,
}

impl Totals {
    /// Counts, and checks what holds of both: shapes are right, versions are ordinals, what is read was sent.
    fn of(events: Events) -> Self {
        let mut totals = Self::default();
        for event in events {
            match event.expect("an event") {
                DataEvent::Conversation(event) => {
                    conversation_event(event.clone()).expect("a right shape");
                    totals.conversation(event);
                }
                DataEvent::Read(event) => {
                    read_event(event.clone()).expect("a right shape");
                    totals.read(event);
                }
            }
        }
        totals
    }

    fn conversation(&mut self, event: v1::ConversationEvent) {
        let version = self.versions.entry(event.conversation_id.clone()).or_default();
        *version += 1;
        assert_eq!(event.version, *version);
        match event.event.expect("an event") {
            Event::GroupCreated(e) => {
                self.created += 1;
                self.first_members += e.member_ids.len();
                self.people.extend(e.member_ids);
            }
            Event::MembersAdded(e) => {
                self.added += e.member_ids.len();
                self.people.extend(e.member_ids);
            }
            Event::MembersRemoved(e) => self.removed += e.member_ids.len(),
            Event::MessageSent(e) => {
                self.messages += 1;
                assert!(e.need_read_receipt);
                self.people.insert(e.sender_id);
                if let Some(Audience::PeerId(peer)) = e.audience {
                    self.people.insert(peer);
                }
                assert!(self.ids.insert((event.conversation_id, e.message_id)));
            }
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, event: v1::ReadEvent) {
        assert!(event.read_at.is_some());
        let read = match event.target.expect("a target") {
            Target::UpToMessageId(id) => {
                self.up_to += 1;
                vec![id]
            }
            Target::Messages(m) => {
                self.receipts += 1;
                self.receipt_messages += m.message_ids.len();
                m.message_ids
            }
            Target::UpToTime(_) => panic!("no data set has times"),
        };
        for id in read {
            assert!(self.ids.contains(&(event.conversation_id.clone(), id)));
        }
    }
}

#[test]
fn college_msg_has_its_published_totals() {
    let got = Totals::of(data(Kind::CollegeMsg));
    assert_eq!((got.messages, got.people.len()), (59_835, 1_899));
    assert_eq!((got.receipts, got.receipt_messages, got.up_to), (30_248, 38_236, 0));
    assert_eq!(got.created + got.added + got.removed, 0);
}

#[test]
fn ubuntu_irc_has_its_published_totals() {
    let mut text = String::new();
    let file = File::open(path(Kind::UbuntuIrc)).expect("the file");
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    let lines = |kind: &str| text.lines().filter(|line| line.split('\t').nth(2) == Some(kind)).count();
    assert_eq!(["message", "join", "leave", "rename"].map(lines), [221_512, 16_835, 2_678, 5_104]);

    let got = Totals::of(data(Kind::UbuntuIrc));
    assert_eq!((got.created, got.versions.len(), got.messages), (173, 173, 221_512));
    // Of 16,835 joins 14,226 are of no member, of 5,104 renames 4,785 are to no member and 4,843 of a member; 21
    // messages are by no member; all of 2,678 leaves are of a member.
    assert_eq!((got.added, got.removed), (14_226 + 4_785 + 21, 4_843 + 2_678));
    assert_eq!(got.first_members, 21_137);
    // Each message but a stretch's first is preceded by a read.
    assert_eq!(got.up_to + got.receipts, 221_512 - 173);
    assert_eq!(got.receipts, 22_073);
    assert_eq!(got.people.len(), 29_032);
}

fn small(kind: Kind, text: &'static str) -> Vec<DataEvent> {
    dataset::from_reader(kind, text.as_bytes()).map(|event| event.expect("an event")).collect()
}

/// A line an event, for people and for comparison.
fn shown(event: &DataEvent) -> String {
    match event {
        DataEvent::Conversation(e) => {
            let at = e.occurred_at.expect("a time");
            let what = match e.event.as_ref().expect("an event") {
                Event::GroupCreated(g) => format!("create {} {:?}", g.group_type, g.member_ids),
                Event::MembersAdded(m) => format!("add {:?}", m.member_ids),
                Event::MembersRemoved(m) => format!("remove {:?}", m.member_ids),
                Event::MessageSent(m) => match m.audience.as_ref().expect("an audience") {
                    Audience::PeerId(peer) => format!("send {} {} to {peer}", m.message_id, m.sender_id),
                    Audience::AllMembers(_) => format!("send {} {} to all", m.message_id, m.sender_id),
                    other @ Audience::ListedMembers(_) => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            };
            format!("{at} {} v{} {what}", e.conversation_id, e.version)
        }
        DataEvent::Read(e) => {
            let what = match e.target.as_ref().expect("a target") {
                Target::Messages(m) => format!("messages {:?}", m.message_ids),
                Target::UpToMessageId(id) => format!("up to {id}"),
                Target::UpToTime(t) => format!("up to {t}"),
            };
            format!("{} {} {} read {what}", e.read_at.expect("a time"), e.conversation_id, e.reader_id)
        }
    }
}

fn assert_lines(events: &[DataEvent], expected: &[&str]) {
    assert_eq!(events.iter().map(shown).collect::<Vec<_>>(), expected);
}

#[test]
fn an_answer_reads_what_it_answers() {
    let events = small(Kind::CollegeMsg, "# a comment\n7\t13\t100\n7\t13\t101\n13\t7\t102\n7\t13\t103\n");
    assert_lines(
        &events,
        &[
            "1970-01-01T00:01:40Z c7-13 v1 send m1 7 to 13",
            "1970-01-01T00:01:41Z c7-13 v2 send m2 7 to 13",
            "1970-01-01T00:01:42Z c7-13 13 read messages [\"m1\", \"m2\"]",
            "1970-01-01T00:01:42Z c7-13 v3 send m3 13 to 7",
            "1970-01-01T00:01:43Z c7-13 7 read messages [\"m3\"]",
            "1970-01-01T00:01:43Z c7-13 v4 send m4 7 to 13",
        ],
    );
}

#[test]
fn a_stretch_is_a_group() {
    let text = "# c\n\
        s\t23:59\tmessage\tu1\t\n\
        s\t00:00\tjoin\tu2\t\n\
        s\t00:00\tjoin\tu1\t\n\
        s\t00:00\tmessage\tu2\t\n\
        s\t00:01\trename\tu3\tu4\n\
        s\t00:01\tleave\tu2\t\n\
        s\t00:01\tmessage\tu2\t\n\
        t\t08:00\tleave\tu9\t\n";
    assert_lines(
        &small(Kind::UbuntuIrc, text),
        &[
            "2004-01-01T23:59:00Z irc/s v1 create public [\"u1\", \"u3\"]",
            "2004-01-01T23:59:00Z irc/s v2 send s/1 u1 to all",
            "2004-01-02T00:00:00.001Z irc/s v3 add [\"u2\"]",
            "2004-01-02T00:00:00.003Z irc/s u2 read up to s/1",
            "2004-01-02T00:00:00.003Z irc/s v4 send s/2 u2 to all",
            "2004-01-02T00:01:00.004Z irc/s v5 remove [\"u3\"]",
            "2004-01-02T00:01:00.004Z irc/s v6 add [\"u4\"]",
            "2004-01-02T00:01:00.005Z irc/s v7 remove [\"u2\"]",
            "2004-01-02T00:01:00.006Z irc/s v8 add [\"u2\"]",
            "2004-01-02T00:01:00.006Z irc/s u2 read up to s/2",
            "2004-01-02T00:01:00.006Z irc/s v9 send s/3 u2 to all",
            "2004-01-01T08:00:00Z irc/t v1 create public [\"u9\"]",
            "2004-01-01T08:00:00Z irc/t v2 remove [\"u9\"]",
        ],
    );
}

#[test]
fn every_tenth_message_reads_explicitly() {
    let text: String = (0..130).map(|n| format!("s\t10:00\tmessage\tu{}\t\n", n % 3)).collect();
    let events: Vec<_> = dataset::from_reader(Kind::UbuntuIrc, std::io::Cursor::new(text)).flatten().collect();
    let explicit: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            DataEvent::Read(v1::ReadEvent { target: Some(Target::Messages(m)), .. }) => Some(&m.message_ids),
            _ => None,
        })
        .collect();
    assert_eq!(explicit.len(), 13);
    for (i, ids) in explicit.iter().enumerate() {
        let before: usize = (i + 1) * 10 - 1;
        let expected: Vec<_> = (before.saturating_sub(100) + 1..=before).map(|n| format!("s/{n}")).collect();
        assert_eq!(**ids, expected);
    }
}

#[test]
fn wrong_lines_are_named() {
    for (kind, text, problem) in [
        (Kind::CollegeMsg, "# c\n1\t2\n", "line 2: has 2 tab-separated fields, 3 are expected"),
        (Kind::CollegeMsg, "1\t2\tx\n", "line 1: sender, receiver and time must be numbers"),
        (Kind::UbuntuIrc, "s\t10:00\tpart\tu\t\n", "line 1: \"part\" is no event"),
        (Kind::UbuntuIrc, "s\t10:00\tjoin\tu\t\nt\t10:00\tjoin\tu\t\ns\t10:00\tjoin\tu\t\n", "line 3: the stretch s"),
    ] {
        let results: Vec<_> = dataset::from_reader(kind, text.as_bytes()).collect();
        let error = results.into_iter().find_map(Result::err).expect(text).to_string();
        assert!(error.starts_with(problem), "{error}");
    }
}
