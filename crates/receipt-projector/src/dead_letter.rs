//! Records that can't be applied: on their way to receipts.dead-letter, and as they are read from there (R8).

use bytes::Bytes;
use receipt_domain::event::Rejection;
use receipt_log::{
    NewRecord, RECORD_HEADERS_MAX, RECORD_KEY_AND_HEADERS_MAX_BYTES, RECORD_VALUE_MAX_BYTES, StoredRecord, Topic,
};

/// Begins the names of the headers below, and of no others of a dead letter.
const RESERVED: &str = "receipts.";
/// Header: the topic the record came from.
const TOPIC: &str = "receipts.topic";
/// Header: its partition.
const PARTITION: &str = "receipts.partition";
/// Header: its offset.
const OFFSET: &str = "receipts.offset";
/// Header: why it was not applied.
const REASON: &str = "receipts.reason";
/// Bytes of a reason, at most. It is a line of text; the longest names a key and a conversation.
const REASON_MAX_BYTES: usize = 1024;
/// Bytes of all reserved headers together, at most.
const RESERVED_MAX_BYTES: usize = 2 * REASON_MAX_BYTES;

/// Reserved headers of a dead letter, at most: the four above, and one for each part that is left out.
const RESERVED_MAX: usize = 4 + Part::ALL.len();

/// A part of a record that may be too large for its dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its key.
    Key,
    /// Its value.
    Value,
    /// Its own headers, all of them.
    Headers,
}

impl Part {
    const ALL: [Part; 3] = [Part::Key, Part::Value, Part::Headers];

    /// Header: the part was left out, and had so many bytes.
    fn header(self) -> &'static str {
        match self {
            Part::Key => "receipts.key_bytes",
            Part::Value => "receipts.value_bytes",
            Part::Headers => "receipts.headers_bytes",
        }
    }
}

/// The dead letter of a record: its own key, value and headers, and where it came from and why.
///
/// It always fits into the log: other producers' records may be over its limits, or so near that the reason would not
/// fit too. What has no room is left out, and how long it was is noted. The record itself still has it.
pub(crate) fn of(topic: Topic, partition: u32, record: &StoredRecord, why: &Rejection) -> NewRecord {
    let mut left_out = Vec::new();
    let mut fits = |part: Part, bytes: usize, fits: bool| {
        if !fits {
            left_out.push(header(part.header(), bytes));
        }
        fits
    };
    let fitting = |value: &Bytes| fits(Part::Value, value.len(), value.len() <= RECORD_VALUE_MAX_BYTES);
    let value = record.value.clone().filter(fitting);
    let room = RECORD_KEY_AND_HEADERS_MAX_BYTES - RESERVED_MAX_BYTES;
    let key = record.key.clone().filter(|key| fits(Part::Key, key.len(), key.len() <= room));
    let room = room - key.as_ref().map_or(0, Bytes::len);
    let bytes = own_headers(record).map(|(name, value)| name.len() + value.len()).sum();
    let few = own_headers(record).nth(RECORD_HEADERS_MAX - RESERVED_MAX).is_none();
    let mut headers: Vec<_> = match fits(Part::Headers, bytes, few && bytes <= room) {
        true => own_headers(record).cloned().collect(),
        false => Vec::new(),
    };
    headers.append(&mut left_out);
    headers.push(header(TOPIC, topic.name()));
    headers.push(header(PARTITION, partition));
    headers.push(header(OFFSET, record.offset));
    headers.push(header(REASON, start_of(&why.to_string(), REASON_MAX_BYTES)));
    NewRecord { key, value, headers }
}

/// A record's own headers.
fn own_headers(record: &StoredRecord) -> impl Iterator<Item = &(String, Bytes)> {
    record.headers.iter().filter(|(name, _)| !name.starts_with(RESERVED))
}

fn header(name: &str, value: impl ToString) -> (String, Bytes) {
    (name.to_owned(), Bytes::from(value.to_string().into_bytes()))
}

fn start_of(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

/// Where a refused record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Its topic, which is one that events are read from.
    pub topic: Topic,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
}

/// A dead letter as it stands in the log. Nothing in it is taken for granted: others may write there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where the record came from; `None` where that is not said, or is no place of events.
    pub source: Option<Source>,
    /// Why it was not applied.
    pub reason: String,
    /// What is not in it, and how many bytes that had.
    pub left_out: Vec<(Part, u64)>,
    /// The record's own headers.
    pub headers: Vec<(String, Bytes)>,
}

impl DeadLetter {
    /// What a record of receipts.dead-letter says.
    #[must_use]
    pub fn read(record: &StoredRecord) -> DeadLetter {
        let text = |name: &str| {
            let found = record.headers.iter().rfind(|(found, _)| found == name);
            found.and_then(|(_, value)| std::str::from_utf8(value).ok())
        };
        let number = |name: &str| text(name)?.parse().ok();
        let source = || {
            let topic = Topic::from_name(text(TOPIC)?)?;
            let partition = text(PARTITION)?.parse().ok()?;
            let events = matches!(topic, Topic::Conversations | Topic::Reads);
            events.then_some(Source { topic, partition, offset: number(OFFSET)? })
        };
        DeadLetter {
            source: source(),
            reason: start_of(text(REASON).unwrap_or_default(), REASON_MAX_BYTES).to_owned(),
            left_out: Part::ALL.into_iter().filter_map(|part| Some((part, number(part.header())?))).collect(),
            headers: own_headers(record).cloned().collect(),
        }
    }

    /// How long a part was that is not in it.
    #[must_use]
    pub fn left_out(&self, part: Part) -> Option<u64> {
        self.left_out.iter().find(|(left_out, _)| *left_out == part).map(|(_, bytes)| *bytes)
    }
}

#[cfg(test)]
mod tests {
    use receipt_log::check_limits;

    use super::*;

    const ROOM: usize = RECORD_KEY_AND_HEADERS_MAX_BYTES - RESERVED_MAX_BYTES;

    fn record(key_bytes: usize, value_bytes: usize, headers_bytes: usize) -> StoredRecord {
        let bytes = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
        StoredRecord {
            offset: u64::MAX,
            timestamp_ms: Some(7),
            key: Some(bytes(key_bytes)),
            value: Some(bytes(value_bytes)),
            headers: vec![("h".to_owned(), bytes(headers_bytes - 1))],
            leader_epoch: None,
        }
    }

    /// The dead letter of a record as it is read back, after the log's limits were looked at.
    fn sent(record: &StoredRecord, why: &str) -> (StoredRecord, DeadLetter) {
        let NewRecord { key, value, headers } = of(Topic::Reads, u32::MAX, record, &Rejection(why.to_owned()));
        assert_eq!(check_limits(key.as_deref(), value.as_deref(), &headers), Ok(()));
        let stored = StoredRecord { offset: 0, timestamp_ms: Some(8), key, value, headers, leader_epoch: None };
        let read = DeadLetter::read(&stored);
        (stored, read)
    }

    #[test]
    fn a_dead_letter_holds_its_record_and_says_where_it_came_from_and_why() {
        let refused = record(3, RECORD_VALUE_MAX_BYTES, 5);
        let (stored, letter) = sent(&refused, "S8: no such group");
        assert_eq!((&stored.key, &stored.value), (&refused.key, &refused.value));
        let source = Some(Source { topic: Topic::Reads, partition: u32::MAX, offset: u64::MAX });
        let reason = "S8: no such group".to_owned();
        assert_eq!(letter, DeadLetter { source, reason, left_out: Vec::new(), headers: refused.headers });
    }

    #[test]
    fn r8_what_is_over_a_limit_is_left_out_and_its_length_is_noted() {
        let cases = [
            (record(3, RECORD_VALUE_MAX_BYTES + 1, 5), vec![(Part::Value, RECORD_VALUE_MAX_BYTES as u64 + 1)]),
            // The log takes such a record, but not with four more headers.
            (record(256, 9, RECORD_KEY_AND_HEADERS_MAX_BYTES - 256), vec![(Part::Headers, 65_280)]),
            (record(256, 9, 2_000_000), vec![(Part::Headers, 2_000_000)]),
            (record(ROOM + 1, 9, 5), vec![(Part::Key, ROOM as u64 + 1)]),
            (
                record(2_000_000, 2_000_000, 2_000_000),
                [Part::Key, Part::Value, Part::Headers].map(|part| (part, 2_000_000)).to_vec(),
            ),
            (record(ROOM - 5, RECORD_VALUE_MAX_BYTES, 5), Vec::new()),
        ];
        for (refused, left_out) in cases {
            // A reason far longer than any that there is.
            let (stored, letter) = sent(&refused, &"é".repeat(100_000));
            assert_eq!(letter.left_out, left_out);
            assert_eq!(letter.reason.len(), REASON_MAX_BYTES);
            assert!(letter.source.is_some());
            let has = |part| letter.left_out(part).is_none();
            assert_eq!(stored.key, refused.key.filter(|_| has(Part::Key)));
            assert_eq!(stored.value, refused.value.filter(|_| has(Part::Value)));
            assert_eq!(letter.headers, if has(Part::Headers) { refused.headers } else { Vec::new() });
        }
    }

    #[test]
    fn r8_headers_without_bytes_are_counted() {
        let most = RECORD_HEADERS_MAX - RESERVED_MAX;
        for (headers, left_out) in [(most, Vec::new()), (most + 1, vec![(Part::Headers, 0)])] {
            let headers = vec![(String::new(), Bytes::new()); headers];
            let refused = StoredRecord { headers, ..record(3, 3, 5) };
            let (stored, letter) = sent(&refused, "why");
            assert_eq!(letter.left_out, left_out);
            assert_eq!(letter.headers, if left_out.is_empty() { refused.headers } else { Vec::new() });
            assert_eq!(stored.value, refused.value);
        }
    }

    #[test]
    fn a_records_own_headers_cannot_pass_for_ours() {
        let mut refused = record(3, 3, 5);
        let forged = ["receipts.topic", "receipts.value_bytes", "receipts.new"].map(|name| header(name, "7"));
        refused.headers.extend(forged);
        let (stored, letter) = sent(&refused, "why");
        assert_eq!(stored.headers.len(), 5);
        assert_eq!((letter.left_out, letter.headers), (Vec::new(), refused.headers[..1].to_vec()));
        assert!(letter.source.is_some());
    }

    #[test]
    fn what_others_wrote_there_is_no_dead_letter_of_an_event() {
        let stored = |headers: Vec<(String, Bytes)>| StoredRecord { headers, ..record(1, 1, 1) };
        let place = |topic: &str, partition: &str| {
            let headers = vec![header(TOPIC, topic), header(PARTITION, partition), header(OFFSET, 1)];
            DeadLetter::read(&stored(headers)).source
        };
        assert!(place("receipts.reads", "1").is_some());
        assert_eq!(place("receipts.deltas", "1"), None);
        assert_eq!(place("receipts.dead-letter", "1"), None);
        assert_eq!(place("nothing", "1"), None);
        assert_eq!(place("receipts.reads", "-1"), None);
        let nothing = DeadLetter::read(&stored(vec![(REASON.to_owned(), Bytes::from_static(b"\xff"))]));
        assert_eq!((nothing.source, nothing.reason.as_str()), (None, ""));
    }
}
