//! S26 and S30: the order of lists, and how long messages are kept.

use super::{EventResult::Applied, Log, RETENTION};
use crate::model::answers::Outcome::{Expired, NotRequested, Pending};
use receipt_domain::event::AudienceSpec;

#[test]
fn s26_readers_are_by_second_and_then_by_membership() {
    let mut log = Log::with_group("a b c d");
    log.send("m1", "a");
    log.at(1000).read("g", "d", "m1");
    log.at(1900).read("g", "c", "m1");
    log.at(900).read("g", "b", "m1");
    assert_eq!(log.show("g", "m1"), "read [b@0 c@1 d@1] unread [] left []");
}

#[test]
fn s30_kept_then_expired_then_forgotten_bounds_included() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    log.post("g", "silent", "a", false, AudienceSpec::AllMembers);
    log.at(RETENTION).tick();
    assert_eq!(log.show("g", "m1"), "read [] unread [b] left []");
    log.at(RETENTION + 1).tick();
    assert_eq!([log.show("g", "m1"), log.show("g", "silent")], ["expired", "not requested"]);
    assert_eq!(log.at(0).read("g", "b", "m1 silent"), [Expired, NotRequested]);
    assert_eq!(log.mark("g", "b", "silent"), [Expired], "of a mark, nobody asks whether its message asks");
    log.at(2 * RETENTION).tick();
    assert_eq!([log.show("g", "m1"), log.show("g", "silent")], ["expired", "not requested"]);
    log.at(2 * RETENTION + 1).tick();
    assert_eq!([log.show("g", "m1"), log.show("g", "silent")], ["-", "-"]);
    assert_eq!(log.read("g", "b", "m1"), [Pending]);
}

#[test]
fn s30_log_time_decides_not_the_messages_own_time() {
    let mut log = Log::with_group("a b");
    log.at(5 * RETENTION).tick();
    log.at(0).occurred_at(0).send("m1", "a");
    assert_eq!(log.show("g", "m1"), "read [] unread [b] left []", "history brought in late lives as long as news");
}

#[test]
fn s30_retention_0_is_for_ever() {
    let mut log = Log::with_group("a b");
    log.settings.retention_ms = 0;
    log.send("m1", "a");
    assert_eq!(log.at(u64::MAX - super::START).tick(), Applied);
    assert_eq!(log.show("g", "m1"), "read [] unread [b] left []");
}
