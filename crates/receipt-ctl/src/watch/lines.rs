//! Responses of a stream, as lines for people and as JSON.

use std::{fmt::Write as _, time::SystemTime};

use prost_types::Timestamp;
use receipt_proto::v1::{self, receipt_delta::Change};
use serde_json::{Value, json};

use crate::render;

/// So many new readers are named in a line.
const NAMED_MAX: usize = 5;

/// Now, in whole milliseconds.
pub(super) fn now() -> Timestamp {
    let mut now = Timestamp::from(SystemTime::now());
    now.nanos -= now.nanos % 1_000_000;
    now
}

/// A change in one line.
pub(super) fn line(received_at: &Timestamp, delta: &v1::ReceiptDelta) -> String {
    let mut line = format!("{received_at}  ");
    match &delta.change {
        Some(Change::Receipt(receipt)) => {
            let v1::MessageReceipt { conversation_id, message_id, read_count, unread_count, recalled, .. } = receipt;
            let _ = write!(line, "{conversation_id} {message_id}: {read_count} read, {unread_count} unread");
            if *recalled {
                line.push_str(", recalled");
            }
        }
        Some(Change::PeerReadMark(mark)) => {
            let until = render::time(mark.up_to_time.as_ref());
            let _ = write!(line, "{}: {} has read everything up to {until}", mark.conversation_id, mark.peer_id);
        }
        None => line.push_str("a change that this receiptctl does not know"),
    }
    line + &readers(delta)
}

/// Who is new.
fn readers(delta: &v1::ReceiptDelta) -> String {
    let (first, rest) = delta.new_readers.split_at(delta.new_readers.len().min(NAMED_MAX));
    let mut names: Vec<_> = first.iter().map(|reader| reader.user_id.clone()).collect();
    if !rest.is_empty() {
        names.push(format!("{} more", rest.len()));
    }
    if delta.more_readers {
        names.push("others".to_owned());
    }
    if names.is_empty() { String::new() } else { format!("; new: {}", names.join(", ")) }
}

/// A response as one JSON object: its token is of after all of its changes.
pub(super) fn json(received_at: &Timestamp, response: &v1::SubscribeMessageReadReceiptsResponse) -> Value {
    json!({
        "received_at": received_at.to_string(),
        "deltas": response.deltas.iter().map(delta_json).collect::<Vec<_>>(),
        "resume_token": response.resume_token,
        "reset": response.reset,
    })
}

fn delta_json(delta: &v1::ReceiptDelta) -> Value {
    let readers = delta.new_readers.iter();
    let readers = readers.map(|reader| {
        let read_at = render::time_json(reader.read_at.as_ref());
        json!({ "user_id": reader.user_id, "read_at": read_at })
    });
    let mut json = json!({
        "new_readers": readers.collect::<Vec<_>>(),
        "more_readers": delta.more_readers,
        "consistency_token": delta.consistency_token,
    });
    match &delta.change {
        Some(Change::Receipt(receipt)) => json["receipt"] = render::receipt_json(receipt),
        Some(Change::PeerReadMark(mark)) => {
            json["peer_read_mark"] = json!({
                "conversation_id": mark.conversation_id,
                "peer_id": mark.peer_id,
                "up_to_time": render::time_json(mark.up_to_time.as_ref()),
            });
        }
        None => {}
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(n: usize) -> v1::Reader {
        v1::Reader { user_id: format!("u{n}"), read_at: None }
    }

    #[test]
    fn a_change_is_one_line() {
        let at = Timestamp { seconds: 1_738_324_800, nanos: 500_000_000 };
        let receipt = v1::MessageReceipt {
            conversation_id: "team".into(),
            message_id: "m1".into(),
            read_count: 7,
            unread_count: 2,
            recalled: true,
            ..Default::default()
        };
        let mut delta = v1::ReceiptDelta { change: Some(Change::Receipt(receipt)), ..Default::default() };
        assert_eq!(line(&at, &delta), "2025-01-31T12:00:00.500Z  team m1: 7 read, 2 unread, recalled");
        delta.new_readers = (0..7).map(reader).collect();
        delta.more_readers = true;
        assert!(line(&at, &delta).ends_with("recalled; new: u0, u1, u2, u3, u4, 2 more, others"));
    }

    #[test]
    fn a_mark_names_the_peer() {
        let at = Timestamp { seconds: 1_738_324_800, nanos: 0 };
        let mark = v1::PeerReadMark { conversation_id: "a-b".into(), peer_id: "bob".into(), up_to_time: Some(at) };
        let change = Some(Change::PeerReadMark(mark));
        let delta = v1::ReceiptDelta { change, new_readers: vec![], ..Default::default() };
        let expected = "2025-01-31T12:00:00Z  a-b: bob has read everything up to 2025-01-31T12:00:00Z";
        assert_eq!(line(&at, &delta), expected);
        assert_eq!(delta_json(&delta)["peer_read_mark"]["peer_id"], "bob");
    }
}
