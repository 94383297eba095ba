//! S1 to S9: who is counted.

use super::{EventResult::Applied, EventResult::Repeated, Log, RETENTION, START, rejected};
use crate::model::{
    answers::{
        KindState,
        Outcome::{NotInAudience, Pending, Read},
    },
    conversations::Reason,
};
use receipt_domain::event::AudienceSpec;

#[test]
fn s01_audience_is_fixed_when_a_message_is_sent() {
    let mut log = Log::with_group("a b c");
    log.send("m1", "a");
    assert_eq!(log.show("g", "m1"), "read [] unread [b c] left []");
    log.add("d");
    assert_eq!(log.show("g", "m1"), "read [] unread [b c] left []");
    log.send("m2", "a");
    assert_eq!(log.show("g", "m2"), "read [] unread [b c d] left []");
}

#[test]
fn s02_who_joins_later_is_not_in_the_audience() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    log.add("c");
    assert_eq!(log.read("g", "c", "m1"), [NotInAudience]);
    assert_eq!(log.show("g", "m1"), "read [] unread [b] left []");
}

#[test]
fn s03_leaver_is_no_longer_unread() {
    let mut log = Log::with_group("a b c");
    log.send("m1", "a");
    log.read("g", "b", "m1");
    log.remove("c");
    assert_eq!(log.show("g", "m1"), "read [b@0] unread [] left [c]");
}

#[test]
fn s04_reader_who_left_stays_a_reader() {
    let mut log = Log::with_group("a b c");
    log.send("m1", "a");
    log.read("g", "b", "m1");
    log.remove("b");
    assert_eq!(log.show("g", "m1"), "read [b@0*] unread [c] left []");
}

#[test]
fn s05_who_comes_back_is_a_new_membership() {
    let mut log = Log::with_group("a b c");
    log.send("m1", "a");
    log.remove("b");
    log.send("m2", "a");
    log.add("b");
    log.send("m3", "a");
    assert_eq!(log.show("g", "m1"), "read [] unread [c] left [b]", "not unread again");
    assert_eq!(log.show("g", "m2"), "read [] unread [c] left []", "not in between");
    assert_eq!(log.show("g", "m3"), "read [] unread [c b] left []", "by the order of memberships");
    assert_eq!(log.at(1000).read("g", "b", "m1 m2 m3"), [Read, NotInAudience, Read]);
    assert_eq!(log.show("g", "m1"), "read [b@1*] unread [c] left []", "as the membership that ended");
    assert_eq!(log.show("g", "m2"), "read [] unread [c] left []");
    assert_eq!(log.show("g", "m3"), "read [b@1] unread [c] left []");
}

#[test]
fn s05_a_mark_belongs_to_the_user_not_to_a_membership() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    log.mark("g", "b", "m2");
    log.remove("b");
    log.add("b");
    log.send("m2", "a");
    assert_eq!(log.show("g", "m1"), "read [b@0*] unread [] left []");
    assert_eq!(log.show("g", "m2"), "read [b@0] unread [] left []");
}

#[test]
fn s06_sender_alone_has_no_audience() {
    let mut log = Log::with_group("a");
    log.send("m1", "a");
    assert_eq!(log.show("g", "m1"), "read [] unread [] left []");
}

#[test]
fn s07_targeted_message_is_for_the_members_among_the_listed() {
    let mut log = Log::with_group("a b c d");
    log.remove("d");
    log.send_to("m1", "a", "stranger c a b d b");
    assert_eq!(log.show("g", "m1"), "read [] unread [b c] left []", "by membership, not as listed");
    assert_eq!(log.read("g", "d", "m1"), [NotInAudience]);
    log.send_to("m2", "a", "");
    assert_eq!(log.show("g", "m2"), "read [] unread [] left []");
}

#[test]
fn s08_nothing_happens_in_a_group_that_was_never_created() {
    let mut log = Log::new();
    for result in [log.add("a"), log.remove("a"), log.dismiss(), log.send("m1", "a"), log.send_to("m1", "a", "b")] {
        assert_eq!(result, rejected(Reason::NoSuchGroup));
    }
    assert!(log.state().conversations.is_empty());
}

#[test]
fn s08_nothing_happens_in_a_group_after_its_dismissal() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    assert_eq!(log.dismiss(), Applied);
    let before = log.state();
    for result in [log.add("c"), log.remove("a"), log.dismiss(), log.send("m2", "a")] {
        assert_eq!(result, rejected(Reason::Dismissed));
    }
    assert_eq!(log.create("g", "a"), rejected(Reason::CreatedBefore));
    assert_eq!(log.send("m1", "a"), Repeated, "a known id is looked at first (S12)");
    assert_eq!(log.state(), before);
}

#[test]
fn s08_a_group_is_created_once() {
    let mut log = Log::with_group("a b");
    assert_eq!(log.create("g", "c"), rejected(Reason::CreatedBefore));
}

#[test]
fn s08_group_and_one_to_one_do_not_mix() {
    let mut log = Log::with_group("a b");
    assert_eq!(log.post("g", "m1", "a", true, AudienceSpec::Peer(super::user("b"))), rejected(Reason::WrongKind));
    assert_eq!(log.tell("m1", "a", "b"), Applied);
    assert_eq!(log.post("p", "m2", "a", true, AudienceSpec::AllMembers), rejected(Reason::WrongKind));
    assert_eq!(log.create("p", "a b"), rejected(Reason::WrongKind));
}

#[test]
fn s08_one_to_one_is_between_its_first_two_people() {
    let mut log = Log::new();
    assert_eq!(log.tell("m1", "b", "a"), Applied);
    assert_eq!(log.tell("m2", "a", "b"), Applied);
    assert_eq!(log.tell("m3", "a", "c"), rejected(Reason::OtherPeople));
    assert_eq!(log.tell("m3", "c", "a"), rejected(Reason::OtherPeople));
    assert_eq!(log.tell("m3", "a", "a"), rejected(Reason::OtherPeople));
    let KindState::OneToOne(parties) = log.conversation("p").kind else { panic!("a group") };
    assert_eq!(parties.map(|party| party.user.to_string()), ["b", "a"]);
}

#[test]
fn s08_a_note_to_oneself_is_nobodys_to_read_and_nobody_else_sends_in_it() {
    let mut log = Log::new();
    assert_eq!(log.tell("m1", "a", "a"), Applied);
    assert_eq!(log.show("p", "m1"), "read [] unread [] left []");
    assert_eq!(log.receipt("p", "m1").audience_count, 0);
    assert_eq!(log.tell("m2", "a", "b"), rejected(Reason::OtherPeople));
    assert_eq!(log.tell("m2", "b", "a"), rejected(Reason::OtherPeople));
    assert_eq!(log.tell("m2", "b", "b"), rejected(Reason::OtherPeople));
    assert_eq!(log.add("b"), rejected(Reason::NoSuchGroup));
    assert_eq!(log.create("p", "a"), rejected(Reason::WrongKind));
    assert_eq!(log.tell("m2", "a", "a"), Applied);
    assert_eq!(log.read("p", "a", "m1"), [NotInAudience]);
    log.mark_time("p", "a", START + 9);
    log.mark("p", "a", "m2");
    assert_eq!(log.marks("p"), [None, None], "nobody is to be notified");
    assert_eq!(log.show("p", "m1"), "read [] unread [] left []");
    let peer = log.receipt("p", "m1").peer.unwrap();
    assert_eq!((peer.peer.as_str(), peer.is_peer_read, peer.peer_read_at_ms), ("a", false, None));
}

#[test]
fn s08_recall_needs_a_known_message() {
    let mut log = Log::with_group("a b");
    assert_eq!(log.recall("g", "m1"), rejected(Reason::UnknownMessage));
    assert_eq!(log.recall("nowhere", "m1"), rejected(Reason::UnknownMessage));
    log.send("m1", "a");
    assert_eq!(log.at(2 * RETENTION).recall("g", "m1"), Applied, "an expired one is known");
    assert_eq!(log.at(2 * RETENTION + 1).recall("g", "m1"), rejected(Reason::UnknownMessage));
}

#[test]
fn s08_some_things_change_nothing_silently() {
    let mut log = Log::with_group("a b");
    let before = log.state();
    assert_eq!([log.add("a b b"), log.remove("stranger")], [Applied, Applied]);
    assert_eq!(log.state(), before);
    assert_eq!(log.send("m1", "bot"), Applied, "a sender need not be a member");
    assert_eq!(log.show("g", "m1"), "read [] unread [a b] left []");
}

#[test]
fn s09_a_change_past_the_limit_is_not_half_applied() {
    let mut log = Log::new();
    assert_eq!(log.create("g", "a b c d e f"), rejected(Reason::TooManyMembers));
    assert!(Reason::TooManyMembers.to_string().contains("max_group_members"));
    assert_eq!(log.create("g", "a b c a b c"), Applied, "the same user twice counts once");
    assert_eq!(log.add("d e f"), rejected(Reason::TooManyMembers));
    assert_eq!(log.add("d a e"), Applied, "members already do not count again");
    assert_eq!(log.add("f"), rejected(Reason::TooManyMembers));
    log.remove("a");
    assert_eq!(log.add("f"), Applied, "at a time");
    log.send("m1", "bot");
    assert_eq!(log.show("g", "m1"), "read [] unread [b c d e f] left []");
    assert_eq!(log.read("g", "f", "m2"), [Pending]);
}
