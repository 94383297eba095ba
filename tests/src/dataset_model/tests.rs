//! The program checked by hand on conversations of a few lines.

use std::io::Cursor;

use super::*;

/// The only conversation of a data set that is given as text.
fn of(kind: Kind, text: &str) -> Conversation {
    let mut conversation = None;
    for event in dataset::from_reader(kind, Cursor::new(text.to_owned())) {
        match event.unwrap() {
            DataEvent::Conversation(event) => {
                conversation.get_or_insert_with(|| Conversation::new(&event.conversation_id)).apply(&event);
            }
            DataEvent::Read(event) => conversation.as_mut().unwrap().read(&event),
        }
    }
    conversation.unwrap()
}

/// Readers with minutes since `10:00` and a star for those who left, then who has not read it.
fn told(conversation: &Conversation, index: usize) -> String {
    let answer = conversation.answer(&conversation.messages()[index]);
    let ten = 1_072_915_200 + 600 * 60;
    let read = answer.read.iter().map(|reader| {
        let star = if reader.left { "*" } else { "" };
        format!("{}{star}@{}", reader.user, (reader.read_at_ms / 1000 - ten) / 60)
    });
    format!("{} | {}", read.collect::<Vec<_>>().join(" "), answer.unread.join(" "))
}

#[test]
fn s1_s3_s4_s5_a_stretch_by_hand() {
    let text = "s\t10:00\tmessage\ta\t
s\t10:01\tmessage\tb\t
s\t10:02\tleave\tb\t
s\t10:03\tmessage\ta\t
s\t10:04\tjoin\tb\t
s\t10:05\tmessage\tc\t
s\t10:06\tleave\td\t
s\t10:07\tmessage\tb\t
";
    let stretch = of(Kind::UbuntuIrc, text);
    // First members are a, b, c and d. b read message 1 when it wrote, and left; d left without reading.
    assert_eq!(told(&stretch, 0), "b*@1 c@5 | ");
    // a read it when it wrote at 10:03, c at 10:05.
    assert_eq!(told(&stretch, 1), "a@3 c@5 | ");
    // S5: sent while b was away.
    assert_eq!(told(&stretch, 2), "c@5 | ");
    // To a, b as a new member, and d.
    assert_eq!(told(&stretch, 3), "b@7 | a");
    assert_eq!(told(&stretch, 4), " | a c");
}

#[test]
fn s17_s18_explicit_receipts_reach_back_to_the_stay_before() {
    let mut text = String::from("s\t10:00\tmessage\ta\t\ns\t10:00\tleave\tb\t\ns\t10:01\tjoin\tb\t\n");
    for minute in 2..10 {
        text += &format!("s\t10:0{minute}\tmessage\ta\t\n");
    }
    // The tenth message is preceded by explicit receipts for the nine before.
    text += "s\t10:10\tmessage\tb\t\ns\t10:11\tmessage\tb\t\n";
    let stretch = of(Kind::UbuntuIrc, &text);
    assert_eq!(told(&stretch, 0), "b*@10 | ", "read as the membership that ended");
    assert_eq!(told(&stretch, 8), "b@10 | ", "the earlier time stands");
    assert_eq!(told(&stretch, 9), " | a");
}

#[test]
fn s20_one_to_one_reads_are_not_before_their_messages() {
    let conversation = of(Kind::CollegeMsg, "1\t2\t100\n2\t1\t90\n1\t2\t95\n");
    let receipts: Vec<_> = conversation.messages().iter().map(|m| conversation.receipt(m).0).collect();
    // m1 was sent at 100 and read by 2 at 90; m2 was sent at 90 and read at 95; m3 is not read.
    assert_eq!(receipts[0].peer_read_at, Some(timestamp_from_ms(100_000)));
    assert_eq!(receipts[1].peer_read_at, Some(timestamp_from_ms(95_000)));
    assert_eq!((receipts[1].peer_id.as_str(), receipts[1].read_count, receipts[1].unread_count), ("1", 1, 0));
    assert_eq!((receipts[2].is_peer_read, receipts[2].peer_read_at, receipts[2].unread_count), (false, None, 1));
}

#[test]
fn s26_readers_of_one_second_stand_in_the_order_of_joining() {
    let text = "s\t10:00\tmessage\ta\t\ns\t10:01\tjoin\tz\t\ns\t10:01\tmessage\ta\t\ns\t10:01\tmessage\tz\t\n\
                s\t10:01\tmessage\tb\t\n";
    let stretch = of(Kind::UbuntuIrc, text);
    assert_eq!(told(&stretch, 0), "b@1 | ");
    assert_eq!(told(&stretch, 1), "b@1 z@1 | ");
}
