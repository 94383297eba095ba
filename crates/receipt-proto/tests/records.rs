//! Records of the input topics, good, bad and arbitrary.

#![allow(clippy::expect_used, clippy::panic)]

mod generated;

use proptest::prelude::*;
use prost::Message;
use receipt_domain::event::{Event, ReadEvent, Rejection};
use receipt_proto::{
    decode_conversation_record, decode_read_record,
    v1::{self, conversation_event::Event as Kind, read_event::Target},
};

use generated::{arbitrary_event, arbitrary_read};

fn recalled(conversation: &str) -> Vec<u8> {
    v1::ConversationEvent {
        conversation_id: conversation.into(),
        event: Some(Kind::MessageRecalled(v1::MessageRecalled { message_id: "m".into() })),
        ..Default::default()
    }
    .encode_to_vec()
}

fn read(conversation: &str) -> Vec<u8> {
    v1::ReadEvent {
        conversation_id: conversation.into(),
        reader_id: "u".into(),
        read_at: None,
        target: Some(Target::UpToMessageId("m".into())),
    }
    .encode_to_vec()
}

fn rejection<T: std::fmt::Debug>(result: Result<T, Rejection>) -> String {
    result.expect_err("a dead letter").0
}

#[test]
fn s39_values_are_there_and_not_too_long() {
    let long = vec![0; 1_000_001];
    let why = "the value has 1000001 bytes, at most 1000000 are allowed";
    assert_eq!(rejection(decode_conversation_record(None, Some(&long))), why);
    assert_eq!(rejection(decode_read_record(None, Some(&long))), why);
    assert_eq!(rejection(decode_conversation_record(Some(b"c"), None)), "the record has no value");
    assert_eq!(rejection(decode_read_record(Some(b"c"), None)), "the record has no value");
    let padded = v1::ReadEvent { conversation_id: "x".repeat(999_995), ..Default::default() }.encode_to_vec();
    assert!(padded.len() <= 1_000_000);
    assert!(rejection(decode_read_record(None, Some(&padded))).starts_with("conversation_id has 999995 bytes"));
}

#[test]
fn undecodable_values_say_so() {
    let garbage = [0xff, 0xff, 0xff];
    assert!(
        rejection(decode_conversation_record(None, Some(&garbage))).starts_with("the value is no ConversationEvent")
    );
    assert!(rejection(decode_read_record(None, Some(&garbage))).starts_with("the value is no ReadEvent"));
    let not_utf8 = [0x0a, 2, 0xc3, 0x28];
    assert!(rejection(decode_read_record(None, Some(&not_utf8))).contains("conversation_id"));
    assert!(rejection(decode_conversation_record(None, Some(&not_utf8))).contains("conversation_id"));
    assert_eq!(rejection(decode_conversation_record(None, Some(b""))), "event must be given");
    assert_eq!(rejection(decode_read_record(None, Some(b""))), "conversation_id must not be empty");
}

#[test]
fn the_key_is_the_conversation() {
    decode_conversation_record(Some(b"c"), Some(&recalled("c"))).expect("its own key");
    decode_read_record(Some(b"c"), Some(&read("c"))).expect("its own key");
    let other = "the key \"d\\u{fffd}\\n\" is not the event's conversation_id \"c\"";
    assert_eq!(rejection(decode_conversation_record(Some(b"d\xff\n"), Some(&recalled("c")))), other);
    assert_eq!(rejection(decode_read_record(Some(b"d\xff\n"), Some(&read("c")))), other);
    let none = "the key \"\" is not the event's conversation_id \"c\"";
    assert_eq!(rejection(decode_conversation_record(None, Some(&recalled("c")))), none);
    assert_eq!(rejection(decode_read_record(None, Some(&read("c")))), none);
}

#[test]
fn events_of_no_conversation_have_no_key() {
    let policy = Some(v1::ReceiptPolicy { every_group_type: true, group_types: vec![] });
    for kind in [Kind::Tick(v1::Tick {}), Kind::PolicyChanged(v1::PolicyChanged { policy })] {
        let value = v1::ConversationEvent { event: Some(kind), ..Default::default() }.encode_to_vec();
        decode_conversation_record(None, Some(&value)).expect("no key");
        decode_conversation_record(Some(b""), Some(&value)).expect("an empty key");
        let why = "the key \"c\" is not the event's conversation_id \"\"";
        assert_eq!(rejection(decode_conversation_record(Some(b"c"), Some(&value))), why);
    }
}

/// The key of an event's record.
fn key(event: &Event) -> Option<&[u8]> {
    match event {
        Event::Conversation(event) => Some(event.conversation.as_str().as_bytes()),
        Event::PolicyChanged(_) | Event::Tick => None,
    }
}

/// Some bytes of `value` changed, cut or added.
fn mutated(mut value: Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    for (at, byte, how) in changes {
        let at = at.index(value.len() + 1);
        match how % 4 {
            0 if at < value.len() => value[at] = *byte,
            1 => value.insert(at, *byte),
            2 => value.truncate(at),
            _ => value.extend_from_within(at..),
        }
    }
    value
}

/// Without the hand-written decoder: what prost and the checks of [`receipt_proto::read_event`] say.
fn by_prost(value: &[u8]) -> Result<ReadEvent, ()> {
    let event = v1::ReadEvent::decode(value).map_err(|_| ())?;
    receipt_proto::read_event(event).map_err(|_| ())
}

fn read_as_by_prost(value: &[u8]) {
    let expected = by_prost(value);
    let key = expected.as_ref().map(|e| e.conversation.as_str().to_owned()).unwrap_or_default();
    assert_eq!(decode_read_record(Some(key.as_bytes()), Some(value)).map_err(|_| ()), expected);
}

proptest! {
    #![proptest_config(receipt_test_seed::config())]

    #[test]
    fn conversation_events_go_back_and_forth(event in arbitrary_event()) {
        let value = v1::ConversationEvent::from(&event).encode_to_vec();
        prop_assert_eq!(decode_conversation_record(key(&event), Some(&value)), Ok(event));
    }

    #[test]
    fn read_events_go_back_and_forth(event in arbitrary_read()) {
        let value = v1::ReadEvent::from(&event).encode_to_vec();
        let key = event.conversation.as_str().as_bytes().to_vec();
        prop_assert_eq!(decode_read_record(Some(&key), Some(&value)), Ok(event));
    }

    #[test]
    fn arbitrary_bytes_never_panic(key in any::<Option<Vec<u8>>>(), value in any::<Option<Vec<u8>>>()) {
        let _ = decode_conversation_record(key.as_deref(), value.as_deref());
        let _ = decode_read_record(key.as_deref(), value.as_deref());
        read_as_by_prost(&value.unwrap_or_default());
    }

    #[test]
    fn mutated_conversation_events_never_panic(
        event in arbitrary_event(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 1..4),
    ) {
        let value = mutated(v1::ConversationEvent::from(&event).encode_to_vec(), &changes);
        let _ = decode_conversation_record(key(&event), Some(&value));
    }

    /// Fields twice, in any order, and between them ones that nobody knows.
    #[test]
    fn joined_read_events_are_as_by_prost(
        events in prop::collection::vec((arbitrary_read(), 7_u8..16, any::<u8>()), 1..4),
    ) {
        let mut value = Vec::new();
        for (event, unknown_tag, varint) in events {
            value.extend([unknown_tag << 3, varint & 0x7f]);
            value.extend(v1::ReadEvent::from(&event).encode_to_vec());
        }
        read_as_by_prost(&value);
    }

    #[test]
    fn mutated_read_events_never_panic(
        event in arbitrary_read(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 1..4),
    ) {
        read_as_by_prost(&mutated(v1::ReadEvent::from(&event).encode_to_vec(), &changes));
    }
}
