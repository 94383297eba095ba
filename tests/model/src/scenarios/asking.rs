//! S10 to S12, S24: asking for receipts, and what is answered.

use super::{EventResult::Applied, EventResult::Repeated, Log, RETENTION, START, rejected};
use crate::model::{
    answers::Outcome::{NotRequested, Read},
    conversations::Reason,
};
use receipt_domain::event::AudienceSpec;

#[test]
fn s10_a_message_that_does_not_ask_is_not_tracked() {
    let mut log = Log::with_group("a b");
    log.post("g", "m1", "a", false, AudienceSpec::AllMembers);
    assert_eq!(log.read("g", "b", "m1"), [NotRequested]);
    assert_eq!(log.read("g", "stranger", "m1"), [NotRequested], "before NOT_IN_AUDIENCE");
    assert_eq!(log.show("g", "m1"), "not requested");
}

#[test]
fn s11_the_policy_at_that_point_decides_whether_a_group_may_ask() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    log.policy("public");
    log.send("m2", "a");
    assert_eq!(log.tell("m1", "a", "b"), Applied);
    log.policy("public work");
    log.send("m3", "a");
    log.policy("");
    log.send("m4", "a");
    let shown = ["m1", "m2", "m3", "m4"].map(|id| log.show("g", id));
    let open = "read [] unread [b] left []";
    assert_eq!(shown, [open, "not requested", open, "not requested"]);
    assert_eq!(log.show("p", "m1"), open, "one-to-one always may");
    assert_eq!(log.state().policies_applied, 3);
}

#[test]
fn s12_a_version_at_or_below_the_last_is_a_repeat() {
    let mut log = Log::new();
    assert_eq!(log.version(5).create("g", "a b"), Applied);
    assert_eq!(log.version(5).add("c"), Repeated);
    assert_eq!(log.version(4).add("c"), Repeated);
    assert_eq!(log.version(5).create("g", "a"), Repeated, "version before S8");
    assert_eq!(log.add("c"), Applied, "0: none is given");
    assert_eq!(log.version(6).add("c"), Applied);
    assert_eq!(log.conversation("g").last_version, 6, "used up, though it changed nothing");
}

#[test]
fn s12_a_dead_letter_does_not_use_up_its_version() {
    let mut log = Log::new();
    assert_eq!(log.version(7).send("m1", "a"), rejected(Reason::NoSuchGroup));
    assert_eq!(log.version(3).create("g", "a b"), Applied);
    assert_eq!(log.version(7).recall("g", "m1"), rejected(Reason::UnknownMessage));
    assert_eq!(log.version(7).send("m1", "a"), Applied, "judged again");
    assert_eq!(log.version(7).send("m1", "b"), Repeated, "version before the known id");
}

#[test]
fn s12_of_a_known_id_the_first_stands() {
    let mut log = Log::with_group("a b c");
    log.send_to("m1", "a", "b");
    assert_eq!(log.send("m1", "b"), rejected(Reason::KnownWithOtherSender));
    assert_eq!(log.version(9).send("m1", "a"), Repeated);
    assert_eq!(log.conversation("g").last_version, 0, "a repeat by its id does not use up its version");
    assert_eq!(log.show("g", "m1"), "read [] unread [b] left []");
    assert_eq!(log.post("g", "m1", "a", true, AudienceSpec::Peer(super::user("b"))), Repeated, "known id before S8");
    log.tell("m1", "a", "b");
    assert_eq!(log.show("p", "m1"), "read [] unread [b] left []", "an id is its conversation's");
}

#[test]
fn s12_a_forgotten_id_is_free() {
    let mut log = Log::with_group("a b c");
    log.send("m1", "a");
    assert_eq!(log.at(2 * RETENTION).send("m1", "a"), Repeated);
    assert_eq!(log.at(2 * RETENTION + 1).send("m1", "b"), Applied);
    assert_eq!(log.read("g", "c", "m1"), [Read]);
    assert_eq!(log.show("g", "m1"), "read [c@200] unread [a] left []");
}

#[test]
fn s12_an_unreadable_record_is_a_dead_letter_and_moves_log_time() {
    let mut log = Log::with_group("a b");
    assert_eq!(log.at(7).unreadable(), rejected(Reason::Unreadable));
    assert_eq!(log.state().log_time_ms, super::START + 7);
    log.at(3).tick();
    assert_eq!(log.state().log_time_ms, super::START + 7, "the highest arrival so far");
}

#[test]
fn s24_counts_of_the_audience_of_readers_who_left_and_until_when_it_is_kept() {
    let mut log = Log::with_group("a b c d e");
    log.at(7).send("m1", "a");
    log.read("g", "b", "m1");
    log.read("g", "c", "m1");
    log.remove("c d");
    let receipt = log.receipt("g", "m1");
    assert_eq!((receipt.audience_count, receipt.read_count, receipt.unread_count), (4, 2, 1));
    assert_eq!(receipt.read_left_count, 1);
    assert_eq!(receipt.left_unread.len(), 1, "the rest of the audience");
    assert_eq!(receipt.kept_until_ms, Some(START + 7 + RETENTION));
    log.read("g", "d", "m1");
    assert_eq!(log.receipt("g", "m1").read_left_count, 2, "who reads after leaving has left");
    log.settings.retention_ms = 0;
    assert_eq!(log.receipt("g", "m1").kept_until_ms, None);
}
