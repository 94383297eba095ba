use std::io::BufReader;

use proptest::{collection::vec, option, prelude::*};
use prost::Message as _;
use receipt_log::{StoredRecord, Topic};
use receipt_proto::v1;

use super::*;

fn header() -> Header {
    let section = |topic, partition, from_offset| Section { topic, partition, from_offset, to_offset: u64::MAX };
    let sections = vec![section(Topic::Conversations, 0, 0), section(Topic::Reads, 3, 7), section(Topic::Deltas, 1, 0)];
    Header::new("id".to_owned(), "a log".to_owned(), 4, sections)
}

/// An event as it may stand in a log, also of shapes that are refused.
fn event() -> impl Strategy<Value = Vec<u8>> {
    use v1::{conversation_event::Event, message_sent::Audience, read_event::Target};
    let id = || "[a-zé\\n\"]{0,6}";
    let time = || {
        option::of((any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos }))
    };
    let kind = prop_oneof![
        Just(None),
        Just(Some(Event::Tick(v1::Tick {}))),
        Just(Some(Event::GroupDismissed(v1::GroupDismissed {}))),
        (id(), vec(id(), 0..3)).prop_map(|(group_type, member_ids)| Some(Event::GroupCreated(v1::GroupCreated {
            group_type,
            member_ids
        }))),
        vec(id(), 0..3).prop_map(|member_ids| Some(Event::MembersAdded(v1::MembersAdded { member_ids }))),
        vec(id(), 0..3).prop_map(|member_ids| Some(Event::MembersRemoved(v1::MembersRemoved { member_ids }))),
        id().prop_map(|message_id| Some(Event::MessageRecalled(v1::MessageRecalled { message_id }))),
        (any::<bool>(), vec(id(), 0..3)).prop_map(|(every_group_type, group_types)| {
            let policy = Some(v1::ReceiptPolicy { every_group_type, group_types });
            Some(Event::PolicyChanged(v1::PolicyChanged { policy }))
        }),
        (id(), any::<bool>(), option::of(vec(id(), 0..3))).prop_map(|(message_id, need_read_receipt, listed)| {
            let audience = Some(match listed {
                Some(member_ids) => Audience::ListedMembers(v1::ListedMembers { member_ids }),
                None if need_read_receipt => Audience::AllMembers(v1::AllMembers {}),
                None => Audience::PeerId(message_id.clone()),
            });
            let sender_id = "s".to_owned();
            Some(Event::MessageSent(v1::MessageSent { message_id, sender_id, need_read_receipt, audience }))
        }),
    ];
    let target = prop_oneof![
        Just(None),
        vec(id(), 0..3).prop_map(|message_ids| Some(Target::Messages(v1::MessageIds { message_ids }))),
        id().prop_map(|id| Some(Target::UpToMessageId(id))),
        time().prop_map(|time| time.map(Target::UpToTime)),
    ];
    let conversation = (id(), time(), any::<u64>(), kind).prop_map(|(conversation_id, occurred_at, version, event)| {
        v1::ConversationEvent { conversation_id, occurred_at, version, event }.encode_to_vec()
    });
    let read = (id(), time(), target).prop_map(|(conversation_id, read_at, target)| {
        let reader_id = "r".to_owned();
        v1::ReadEvent { conversation_id, reader_id, read_at, target }.encode_to_vec()
    });
    prop_oneof![conversation, read, vec(any::<u8>(), 0..20)]
}

/// Records with all there is, or without it, by section.
fn records() -> impl Strategy<Value = Vec<(u32, StoredRecord)>> {
    let bytes = || prop_oneof![vec(any::<u8>(), 0..9), "[a-z]{0,5}".prop_map(String::into_bytes)];
    let headers = vec(("[a-zé\"]{0,4}", bytes()), 0..3);
    let headers = headers.prop_map(|headers| headers.into_iter().map(|(name, value)| (name, value.into())).collect());
    let parts = (any::<Option<u64>>(), option::of(bytes()), option::of(event()), headers);
    // Without an offset yet.
    let record = parts.prop_map(|(timestamp_ms, key, value, headers)| {
        let (key, value) = (key.map(Into::into), value.map(Into::into));
        StoredRecord { offset: 0, timestamp_ms, key, value, headers, leader_epoch: None }
    });
    vec((0..3_u32, 0..4_u64, record), 0..12).prop_map(|mut drawn| {
        drawn.sort_by_key(|(section, ..)| *section);
        let mut next = 7;
        let mut records = Vec::with_capacity(drawn.len());
        for (section, gap, record) in drawn {
            let offset = next + gap;
            next = offset + 1;
            records.push((section, StoredRecord { offset, ..record }));
        }
        records
    })
}

fn written(format: Format, records: &[(u32, StoredRecord)]) -> Vec<u8> {
    let header = header();
    let mut writer = Writer::new(Vec::new(), format, &header).unwrap();
    for (number, record) in records {
        writer.record(*number, &header.sections[*number as usize], record).unwrap();
    }
    let (bytes, count) = writer.finish().unwrap();
    assert_eq!(count, records.len() as u64);
    bytes
}

/// A header alone.
fn begun(format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    Writer::new(&mut bytes, format, &header()).unwrap();
    bytes
}

type All = Vec<(u32, StoredRecord)>;

/// All records of a file that is whole, or what is wrong.
fn read(bytes: &[u8]) -> Result<All, (FileError, All)> {
    let mut reader = Reader::open(bytes).map_err(|why| (why, Vec::new()))?;
    let mut records = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(record)) => records.push(record),
            Ok(None) => return reader.check_trailer().map(|()| records.clone()).map_err(|why| (why, records)),
            Err(why) => return Err((why, records)),
        }
    }
}

proptest! {
    #![proptest_config(receipt_test_seed::config())]

    #[test]
    fn records_come_back_byte_for_byte(records in records(), json: bool) {
        let format = if json { Format::Jsonl } else { Format::Protobuf };
        let bytes = written(format, &records);
        let back = read(&bytes).map_err(|(why, _)| TestCaseError::fail(why.to_string()))?;
        prop_assert_eq!(&back, &records);
        prop_assert_eq!(written(format, &back), bytes);
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_noticed_and_its_beginning_is_right(
        records in records(), json: bool, cut: prop::sample::Index,
    ) {
        let format = if json { Format::Jsonl } else { Format::Protobuf };
        let mut bytes = written(format, &records);
        bytes.truncate(cut.index(bytes.len()));
        let (why, begun) = read(&bytes).expect_err("cut short");
        prop_assert!(why.cut_short, "{}", why);
        prop_assert_eq!(&begun[..], &records[..begun.len()]);
    }

    #[test]
    fn a_changed_byte_is_noticed(records in records(), json: bool, at: prop::sample::Index, flip in 1..=u8::MAX) {
        let format = if json { Format::Jsonl } else { Format::Protobuf };
        let mut bytes = written(format, &records);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_end_well(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        for header in [begun(Format::Protobuf), begun(Format::Jsonl)] {
            let _ = read(&[&header, &bytes[..], b"\n"].concat());
        }
    }

    #[test]
    fn arbitrary_lines_end_well(line in "\\{\"(topic|log_file|log_file_end|offset)\":[\\[\\]{}\",:a-z0-9]{0,60}") {
        let _ = read(&[&begun(Format::Jsonl), line.as_bytes(), b"\n"].concat());
        let _ = read(line.as_bytes());
    }
}

#[test]
fn a_length_without_its_bytes_takes_no_memory() {
    let header = begun(Format::Protobuf);
    // A frame of 60 MB, of which nothing comes; and one that is too long.
    let (why, _) = read(&[&header[..], &[0x80, 0x8e, 0xce, 0x1c]].concat()).unwrap_err();
    assert!(why.cut_short, "{why}");
    let (why, _) = read(&[&header[..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat()).unwrap_err();
    assert!(why.to_string().starts_with("frame 2: it has 9223372036854775807 bytes"), "{why}");
    assert!(!why.cut_short);
}

/// A record with so many headers, none of which has a byte.
fn with_headers(headers: usize) -> StoredRecord {
    let headers = vec![Default::default(); headers];
    StoredRecord { offset: 0, timestamp_ms: None, key: None, value: None, headers, leader_epoch: None }
}

#[test]
fn s39_headers_without_bytes_are_counted_before_they_are_decoded() {
    for format in [Format::Protobuf, Format::Jsonl] {
        let most = [(0, with_headers(receipt_log::RECORD_HEADERS_MAX))];
        assert_eq!(read(&written(format, &most)).map_err(|(why, _)| why.to_string()), Ok(most.to_vec()));
        let more = [(0, with_headers(receipt_log::RECORD_HEADERS_MAX + 1))];
        let (why, _) = read(&written(format, &more)).unwrap_err();
        assert!(why.to_string().contains("more than 1000 "), "{why}");
    }
    // Two parts of one record are joined, and so are their headers.
    let part = |headers| {
        let record = Some(crate::source::of_contract(&with_headers(headers)));
        let record = v1::LogFileRecord { section: 0, record };
        v1::LogFileFrame { frame: Some(v1::log_file_frame::Frame::Record(record)) }.encode_to_vec()
    };
    let joined = [part(600), part(600)].concat();
    assert!(counts::check_frame(&part(600)).is_ok());
    assert_eq!(counts::check_frame(&joined).unwrap_err().to_string(), "it has more than 1000 headers");
}

#[test]
fn a_header_of_more_sections_than_a_log_may_have_is_refused() {
    let section = |partition| Section { topic: Topic::Reads, partition, from_offset: 0, to_offset: 0 };
    let sections = (0..=counts::SECTIONS_MAX).map(|_| section(0)).collect();
    let header = Header::new("id".to_owned(), "a log".to_owned(), 4, sections);
    for format in [Format::Protobuf, Format::Jsonl] {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes, format, &header).unwrap();
        let (why, _) = read(&bytes).unwrap_err();
        assert!(why.to_string().contains("more than 4096 "), "{why}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let lines = |lines: &[&str]| {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        read(&[&begun(Format::Jsonl), text.as_bytes()].concat()).unwrap_err().0.to_string()
    };
    let first = r#"{"topic":"receipts.reads","partition":3,"offset":9}"#;
    let said = lines(&[first, first]);
    assert_eq!(said, "line 3: offset 9 of receipts.reads/3 is out of order, or not within 7 to 18446744073709551615");
    let said = lines(&[r#"{"topic":"receipts.reads","partition":2,"offset":9}"#]);
    assert_eq!(said, "line 2: receipts.reads/2 is not one of the header's sections");
    let said =
        lines(&[first, r#"{"topic":"reads","partition":3,"offset":10,"event":{"conversation_id":"c","reader":"x"}}"#]);
    assert!(said.starts_with("line 3: event: unknown field `reader`"), "{said}");
    let said = lines(&[r#"{"topic":"chats","partition":3,"offset":10}"#]);
    assert!(said.starts_with("line 2: there is no topic \"chats\": there are receipts.conversations"), "{said}");
    let said = lines(&[r#"{"log_file_end":{"records":1,"blake3":"00"}}"#]);
    assert_eq!(said, "line 2: the trailer counts 1 records, and there are 0");
    let said = lines(&[r#"{"log_file_end":{"records":0,"blake3":"00"}}"#]);
    assert!(said.contains("it was changed or damaged"), "{said}");
    assert_eq!(lines(&[first]), "line 3: the file ends before its trailer: it was cut short");
}

#[test]
fn a_file_of_something_else_is_none() {
    for bytes in [&b""[..], b"\n", b"{}\n", b"PK\x03\x04", b"hello world, this is some text\n", &[0; 100]] {
        assert!(Reader::open(BufReader::new(bytes)).is_err(), "{bytes:?}");
    }
}

#[test]
fn golden_lines() {
    let sent = v1::MessageSent {
        message_id: "m".to_owned(),
        sender_id: "a".to_owned(),
        need_read_receipt: true,
        audience: Some(v1::message_sent::Audience::AllMembers(v1::AllMembers {})),
    };
    let event = Some(v1::conversation_event::Event::MessageSent(sent));
    let value = v1::ConversationEvent { conversation_id: "c".to_owned(), event, ..Default::default() }.encode_to_vec();
    let record = |offset, key: &'static [u8], value: Vec<u8>| StoredRecord {
        offset,
        timestamp_ms: Some(5),
        key: Some(key.into()),
        value: Some(value.into()),
        headers: vec![("h".to_owned(), (&b"\xff"[..]).into())],
        leader_epoch: None,
    };
    // The second one has a field that the contract does not know.
    let unknown = [&value[..], &[0xf8, 0x01, 1]].concat();
    let text = written(Format::Jsonl, &[(0, record(0, b"c", value)), (0, record(1, b"\xff", unknown))]);
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let event = r#"{"conversation_id":"c","event":{"message_sent":{"audience":{"all_members":{}},"message_id":"m","need_read_receipt":true,"sender_id":"a"}},"occurred_at":null,"version":0}"#;
    let headers = r#""headers":[{"name":"h","value_base64":"/w=="}]"#;
    assert_eq!(
        lines[1],
        format!(
            r#"{{"topic":"receipts.conversations","partition":0,"offset":0,"timestamp_ms":5,"key":"c","event":{event},{headers}}}"#
        )
    );
    let value = r#""value_base64":"CgFjcgoKAW0SAWEYASoA+AEB""#;
    assert_eq!(
        lines[2],
        format!(
            r#"{{"topic":"receipts.conversations","partition":0,"offset":1,"timestamp_ms":5,"key_base64":"/w==","event":{event},{value},{headers}}}"#
        )
    );
    assert!(lines[0].starts_with(r#"{"log_file":{"format_version":1,"log_id":"id","origin":"a log","partitions":4,"sections":[{"topic":"receipts.conversations","partition":0,"from_offset":0,"to_offset":18446744073709551615}"#), "{}", lines[0]);
    assert!(lines[3].starts_with(r#"{"log_file_end":{"records":2,"blake3":""#), "{}", lines[3]);
}
