//! S13 to S23: reading.

use super::{EARLY, Log, RETENTION, START};
use crate::model::answers::Outcome::{Expired, NotInAudience, Pending, Read};

const AHEAD: u64 = 5 * 60 * 1000;

#[test]
fn s13_one_outcome_for_each_id_given() {
    let mut log = Log::with_group("a b c");
    log.send("m1", "a");
    log.send_to("m2", "a", "c");
    assert_eq!(log.read("g", "b", "m1 nothing m2 m1"), [Read, Pending, NotInAudience, Read]);
    assert_eq!(log.show("g", "m1"), "read [b@0] unread [c] left []");
    assert_eq!(log.mark("g", "b", "nothing"), [Pending]);
    assert_eq!(log.mark("g", "b", "m2"), [Read], "of the message it names, whoever marks");
    assert_eq!(log.read("nowhere", "b", "m1"), [Pending]);
    assert_eq!(log.mark_time("nowhere", "b", START), [Read]);
}

#[test]
fn s13_a_read_outside_the_windows_is_expired() {
    let mut log = Log::with_group("a b");
    log.at(EARLY + 1).send("m1", "a");
    assert_eq!(log.at(0).read("g", "b", "m1"), [Expired], "too early");
    assert_eq!(log.mark("g", "b", "m1"), [Expired]);
    assert_eq!(log.at(EARLY + 2 + RETENTION).read("g", "b", "m1"), [Expired], "too late, though the message is kept");
    assert_eq!(log.show("g", "m1"), "read [] unread [b] left []");
}

#[test]
fn s14_reading_twice_is_reading_once_at_the_earliest_time() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    log.at(2000).read("g", "b", "m1");
    log.at(3000).read("g", "b", "m1");
    assert_eq!(log.show("g", "m1"), "read [b@2] unread [] left []");
    log.at(4000).read_at(START + 1999).read("g", "b", "m1");
    assert_eq!(log.show("g", "m1"), "read [b@1] unread [] left []");
}

#[test]
fn s15_the_sender_is_not_in_the_audience() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    assert_eq!(log.read("g", "a", "m1"), [NotInAudience]);
    assert_eq!(log.show("g", "m1"), "read [] unread [b] left []");
}

#[test]
fn s16_a_read_counts_within_both_windows_bounds_included() {
    for (arrival, counted) in
        [(0, false), (1, true), (EARLY + 1, true), (EARLY + 1 + RETENTION, true), (EARLY + 2 + RETENTION, false)]
    {
        let mut log = Log::with_group("a b");
        log.at(arrival).read_at(START + EARLY + 1).read("g", "b", "m1");
        log.at(EARLY + 1).send("m1", "a");
        let shown = if counted { "read [b@10] unread [] left []" } else { "read [] unread [b] left []" };
        assert_eq!(log.show("g", "m1"), shown, "{arrival}");
    }
}

#[test]
fn s16_a_read_too_late_for_one_use_of_an_id_counts_for_the_next() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    let next = 2 * RETENTION + 1;
    assert_eq!(log.at(next - EARLY).read("g", "b", "m1"), [Expired]);
    log.at(next).send("m1", "a");
    assert_eq!(log.show("g", "m1"), "read [b@200] unread [] left []");
}

#[test]
fn s16_windows_go_by_the_log_time_not_by_the_messages_own_arrival() {
    let mut log = Log::with_group("a b");
    log.at(EARLY + 1).tick();
    log.at(0).send("m1", "a");
    assert_eq!(log.read("g", "b", "m1"), [Expired]);
}

#[test]
fn s16_retention_0_is_never_too_late() {
    let mut log = Log::with_group("a b");
    log.settings.retention_ms = 0;
    log.send("m1", "a");
    assert_eq!(log.at(1_000_000_000).read("g", "b", "m1"), [Read]);
}

#[test]
fn s17_up_to_a_message_is_all_before_it_that_the_reader_was_to_read() {
    let mut log = Log::with_group("a b c");
    log.send("m1", "a");
    log.send("m2", "b");
    log.send_to("m3", "a", "c");
    log.send("m4", "a");
    log.send("m5", "a");
    assert_eq!(log.mark("g", "b", "m4"), [Read]);
    let shown = ["m1", "m2", "m3", "m4", "m5"].map(|id| log.show("g", id));
    assert_eq!(
        shown,
        [
            "read [b@0] unread [c] left []",
            "read [] unread [a c] left []",
            "read [] unread [c] left []",
            "read [b@0] unread [c] left []",
            "read [] unread [b c] left []",
        ]
    );
    log.mark("g", "b", "m1");
    assert_eq!(log.show("g", "m4"), "read [b@0] unread [c] left []", "a mark behind undoes nothing");
}

#[test]
fn s17_a_mark_waits_for_its_message_as_a_read_does() {
    for (arrival, shown) in [(EARLY, "read [b@10] unread [] left []"), (EARLY - 1, "read [] unread [b] left []")] {
        let mut log = Log::with_group("a b");
        log.send("m1", "a");
        assert_eq!(log.at(arrival).mark("g", "b", "m2"), [Pending]);
        log.at(2 * EARLY).send("m2", "bot");
        assert_eq!(log.show("g", "m1"), shown);
    }
}

#[test]
fn s17_the_windows_are_those_of_the_message_named() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    log.at(1).send("m2", "a");
    log.at(RETENTION + 1).mark("g", "b", "m2");
    assert_eq!(log.show("g", "m1"), "read [b@100] unread [] left []", "too late by itself, but the mark is not");
}

#[test]
fn s18_reads_and_marks_are_a_union_with_the_earliest_time() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    log.send("m2", "a");
    log.at(5000).read("g", "b", "m1");
    log.at(6000).read_at(START + 3000).mark("g", "b", "m2");
    log.at(7000).read_at(START + 1000).mark("g", "b", "m1");
    assert_eq!(log.show("g", "m1"), "read [b@1] unread [] left []");
    assert_eq!(log.show("g", "m2"), "read [b@3] unread [] left []");
}

#[test]
fn s19_up_to_a_time_covers_what_was_sent_by_then_whenever_it_is_logged() {
    let mut log = Log::new();
    log.at(1000).tell("m1", "a", "b");
    log.at(1000).tell("own", "b", "a");
    assert_eq!(log.at(2000).mark_time("p", "b", START + 2000), [Read]);
    log.at(3000).occurred_at(START + 2000).tell("m2", "a", "b");
    log.occurred_at(START + 2001).tell("m3", "a", "b");
    log.at(2000 + EARLY).occurred_at(START + 1500).tell("m4", "a", "b");
    log.at(2001 + EARLY).occurred_at(START + 1500).tell("m5", "a", "b");
    let shown = ["m1", "own", "m2", "m3", "m4", "m5"].map(|id| log.show("p", id));
    let (read, unread) = ("read [b@2] unread [] left []", "read [] unread [b] left []");
    assert_eq!(shown, [read, "read [] unread [a] left []", read, unread, read, unread]);
    let peer = log.receipt("p", "m1").peer.unwrap();
    assert_eq!((peer.peer.as_str(), peer.is_peer_read, peer.peer_read_at_ms), ("b", true, Some(START + 2000)));
}

#[test]
fn s19_a_mark_never_covers_what_came_after_it() {
    let (read, unread) = ("read [b@240] unread [] left []", "read [] unread [b] left []");
    let mut log = Log::new();
    log.occurred_at(START + 240_000).tell("m1", "a", "b");
    log.at(1000).mark_time("p", "b", START + 240_000);
    log.at(2000).tell("m2", "a", "b");
    log.at(3000).tell("m3", "a", "b");
    log.occurred_at(START + 1000).tell("m4", "a", "b");
    log.occurred_at(START + 1001).tell("m5", "a", "b");
    let shown = ["m1", "m2", "m3", "m4", "m5"].map(|id| log.show("p", id));
    assert_eq!(shown, [read, unread, unread, "read [b@1] unread [] left []", unread]);
    assert_eq!(log.marks("p"), [None, Some(START + 1000)], "at most the mark's arrival");
    log.at(1000).tell("m6", "a", "b");
    assert_eq!(log.show("p", "m6"), "read [b@1] unread [] left []", "sent by then, whatever its log time");
}

#[test]
fn s19_the_highest_mark_is_each_partys_own() {
    let mut log = Log::new();
    log.at(EARLY).mark_time("p", "b", START + 9);
    log.mark_time("p", "stranger", START + 50);
    log.at(EARLY - 1).mark_time("p", "b", START + 40);
    log.at(2 * EARLY).tell("m1", "a", "b");
    assert_eq!(log.marks("p"), [None, Some(START + 9)], "one came too early, one by a stranger");
    log.mark_time("p", "b", START + 8);
    log.mark("p", "b", "m1");
    assert_eq!(log.marks("p"), [None, Some(START + 9)], "it only rises, and by times marked");
    log.at(9 * RETENTION).mark_time("p", "a", START + 7);
    assert_eq!(log.marks("p"), [Some(START + 7), Some(START + 9)], "whatever is kept still");
}

#[test]
fn s19_up_to_a_time_is_ignored_in_a_group() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    assert_eq!(log.mark_time("g", "b", START + 9), [Read]);
    assert_eq!(log.show("g", "m1"), "read [] unread [b] left []");
}

#[test]
fn s19_marks_up_to_a_message_work_one_to_one() {
    let mut log = Log::new();
    log.tell("m1", "a", "b");
    log.tell("m2", "b", "a");
    assert_eq!(log.mark("p", "b", "m2"), [Read]);
    assert_eq!(log.show("p", "m1"), "read [b@0] unread [] left []");
    assert_eq!(log.show("p", "m2"), "read [] unread [a] left []");
}

#[test]
fn s20_times_left_out_or_far_ahead_are_the_arrival() {
    for (read_at, second) in [(None, 1), (Some(1000 + AHEAD), 301), (Some(1001 + AHEAD), 1)] {
        let mut log = Log::with_group("a b");
        log.send("m1", "a");
        log.at(1000).read_at_ms = read_at.map(|ms| START + ms);
        log.read("g", "b", "m1");
        assert_eq!(log.show("g", "m1"), format!("read [b@{second}] unread [] left []"));
    }
}

#[test]
fn s20_a_mark_far_ahead_is_one_up_to_its_arrival() {
    for (until, covered) in [(AHEAD, 1), (AHEAD + 1, 0)] {
        let mut log = Log::new();
        log.occurred_at(START + 1).tell("m1", "a", "b");
        log.mark_time("p", "b", START + until);
        assert_eq!(log.receipt("p", "m1").read_count, covered);
    }
}

#[test]
fn s20_a_read_time_is_kept_in_whole_seconds_and_never_before_its_message() {
    let mut log = Log::with_group("a b c");
    log.at(900).send("m1", "a");
    log.at(950).read("g", "b", "m1");
    log.at(1950).read("g", "c", "m1");
    let times: Vec<_> = log.receipt("g", "m1").read.iter().map(|reader| reader.read_at_ms).collect();
    assert_eq!(times, [START + 900, START + 1000]);
    log.at(900).tell("m1", "a", "b");
    log.at(950).read("p", "b", "m1");
    assert_eq!(log.receipt("p", "m1").peer.unwrap().peer_read_at_ms, Some(START + 900));
}

#[test]
fn s20_nobody_reads_before_a_message_was_sent() {
    let mut log = Log::with_group("a b c");
    log.occurred_at(START + 2500).send("m1", "a");
    log.occurred_at(START + AHEAD + 1).send("m2", "a");
    log.at(1000).read_at(0).read("g", "b", "m1 m2");
    assert_eq!(log.show("g", "m1"), "read [b@2] unread [c] left []");
    assert_eq!(log.show("g", "m2"), "read [b@0] unread [c] left []", "sent at its arrival");
}

#[test]
fn s21_receipts_never_unread() {
    let mut log = Log::with_group("a b");
    log.send("m1", "a");
    log.read("g", "b", "m1");
    log.remove("b");
    log.add("b");
    log.recall("g", "m1");
    log.dismiss();
    assert_eq!(log.show("g", "m1"), "read [b@0*] unread [] left [], recalled");
}

#[test]
fn s22_receipts_go_on_after_dismissal_and_members_have_not_left() {
    let mut log = Log::with_group("a b c");
    log.send("m1", "a");
    log.dismiss();
    assert_eq!(log.read("g", "b", "m1"), [Read]);
    assert_eq!(log.show("g", "m1"), "read [b@0] unread [c] left []");
}

#[test]
fn s23_receipts_go_on_after_a_recall() {
    let mut log = Log::with_group("a b c");
    log.send("m1", "a");
    log.recall("g", "m1");
    assert_eq!(log.read("g", "b", "m1"), [Read]);
    assert_eq!(log.show("g", "m1"), "read [b@0] unread [c] left [], recalled");
}
