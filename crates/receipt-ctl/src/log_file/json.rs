//! Records as JSON lines. Events are decoded for people; where that would not give the same bytes again, the bytes stand
//! beside them.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use receipt_log::{RECORD_HEADERS_MAX, RECORD_VALUE_MAX_BYTES, StoredRecord, Topic};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::{Header, Section, Trailer, counts};
use crate::event_json;

/// Bytes of an event as JSON, at most: six for each byte of the largest value, as JSON has some characters, and names.
const EVENT_MAX_BYTES: usize = 8 * RECORD_VALUE_MAX_BYTES;
/// Begins the first line, and the last one, and no other.
pub(super) const BEGINNING: &[u8] = b"{\"log_file";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine<H> {
    log_file: H,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrailerLine<T> {
    log_file_end: T,
}

/// `E`: the event. As it is read it is text, which is decoded only where no value stands beside it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "E: Deserialize<'de>"))]
struct RecordLine<E> {
    #[serde(with = "topic")]
    topic: Topic,
    partition: u32,
    offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timestamp_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    /// What the value is; where `value_base64` is given too, for people only.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    event: Option<E>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "counts::at_most::<{ RECORD_HEADERS_MAX }, _, _>"
    )]
    headers: Vec<HeaderOfRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderOfRecord {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

pub(super) fn header(line: &mut Vec<u8>, header: &Header) -> io::Result<()> {
    write(line, &HeaderLine { log_file: header })
}

pub(super) fn trailer(line: &mut Vec<u8>, trailer: &Trailer) -> io::Result<()> {
    write(line, &TrailerLine { log_file_end: trailer })
}

pub(super) fn record(line: &mut Vec<u8>, section: &Section, record: &StoredRecord) -> io::Result<()> {
    let Section { topic, partition, .. } = section;
    let (key, key_base64) = text(record.key.as_deref());
    let (event, value_base64) = match record.value.as_deref() {
        None => (None, None),
        Some(value) => {
            let event = event_json::of_value(*topic, value);
            let lossless = event.as_ref().is_some_and(|event: &Value| {
                event_json::to_value(*topic, &event.to_string()).is_ok_and(|encoded| encoded == value)
            });
            (event, (!lossless).then(|| STANDARD.encode(value)))
        }
    };
    let header = |(name, value): &(String, _)| {
        let (value, value_base64) = text(Some(AsRef::<[u8]>::as_ref(value)));
        HeaderOfRecord { name: name.clone(), value, value_base64 }
    };
    let (offset, timestamp_ms) = (record.offset, record.timestamp_ms);
    let headers = record.headers.iter().map(header).collect();
    let (topic, partition) = (*topic, *partition);
    write(line, &RecordLine { topic, partition, offset, timestamp_ms, key, key_base64, event, value_base64, headers })
}

/// A line that is none of a record.
pub(super) enum Frame {
    Header(Header),
    Trailer(Trailer),
}

pub(super) fn read_frame(line: &[u8]) -> anyhow::Result<Frame> {
    let frame = if line.starts_with(b"{\"log_file_end\"") {
        serde_json::from_slice(line).map(|line: TrailerLine<Trailer>| Frame::Trailer(line.log_file_end))
    } else {
        serde_json::from_slice(line).map(|line: HeaderLine<Header>| Frame::Header(line.log_file))
    };
    frame.map_err(|why| in_line(&why))
}

fn of_event(why: anyhow::Error) -> anyhow::Error {
    why.downcast::<serde_json::Error>().map_or_else(|why| why, |why| in_line(&why))
}

/// What is wrong with a line, whose number is said elsewhere: to JSON's reader each is the first.
fn in_line(why: &serde_json::Error) -> anyhow::Error {
    let text = why.to_string();
    let problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem);
    anyhow::anyhow!("{problem}, at column {}", why.column())
}

pub(super) fn read_record(line: &[u8]) -> anyhow::Result<((Topic, u32), StoredRecord)> {
    let line: RecordLine<Box<RawValue>> = serde_json::from_slice(line).map_err(|why| in_line(&why))?;
    let value = match (line.event.as_deref().map(RawValue::get), line.value_base64) {
        (_, Some(value)) => Some(decoded("value_base64", &value)?),
        (Some(event), None) if event.len() > EVENT_MAX_BYTES => {
            anyhow::bail!("event has {} bytes, and may have {EVENT_MAX_BYTES}", event.len());
        }
        (Some(event), None) => {
            Some(event_json::to_value(line.topic, event).map_err(|why| of_event(why).context("event"))?)
        }
        (None, None) => None,
    };
    let header = |header: HeaderOfRecord| -> anyhow::Result<_> {
        let HeaderOfRecord { name, value, value_base64 } = header;
        let value = bytes("header value", value, value_base64)?.unwrap_or_default();
        Ok((name, value.into()))
    };
    let record = StoredRecord {
        offset: line.offset,
        timestamp_ms: line.timestamp_ms,
        key: bytes("key", line.key, line.key_base64)?.map(Into::into),
        value: value.map(Into::into),
        headers: line.headers.into_iter().map(header).collect::<anyhow::Result<_>>()?,
        leader_epoch: None,
    };
    Ok(((line.topic, line.partition), record))
}

/// Bytes as text, or where they are none in base64.
fn text(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    let Some(bytes) = bytes else { return (None, None) };
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn bytes(what: &str, text: Option<String>, base64: Option<String>) -> anyhow::Result<Option<Vec<u8>>> {
    match (text, base64) {
        (Some(_), Some(_)) => anyhow::bail!("{what} is given twice, as text and in base64"),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(base64)) => decoded(what, &base64).map(Some),
        (None, None) => Ok(None),
    }
}

fn decoded(what: &str, base64: &str) -> anyhow::Result<Vec<u8>> {
    STANDARD.decode(base64).map_err(|why| anyhow::anyhow!("{what} is no base64: {why}"))
}

fn write(line: &mut Vec<u8>, what: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *line, what)?;
    line.push(b'\n');
    Ok(())
}

/// Topics by their names.
pub(super) mod topic {
    use receipt_log::Topic;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(in super::super) fn serialize<S: Serializer>(topic: &Topic, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(topic.name())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Topic, D::Error> {
        let name = String::deserialize(deserializer)?;
        super::super::topic_named(&name).map_err(D::Error::custom)
    }
}
