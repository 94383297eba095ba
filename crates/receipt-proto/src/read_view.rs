//! A read event as it stands in its record's bytes: nothing is copied before it has been checked.
//!
//! Reads are most of what the service decodes, so this does by hand what the generated [`v1::ReadEvent`] does, without
//! a `String` for each id. It takes the values which that takes (but for how deep unknown groups may nest, by one); a
//! test decodes arbitrary, joined and damaged bytes both ways. `prost::encoding` is what generated code calls, and moves
//! with it.

use prost::{
    DecodeError, Message as _,
    encoding::{DecodeContext, WireType, check_wire_type, decode_key, decode_varint, skip_field},
};
use prost_types::Timestamp;

use crate::v1::{self, read_event::Target};

/// Why bytes are no read event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecodable {
    #[error(transparent)]
    Protobuf(#[from] DecodeError),
    #[error("{0} is longer than what is left of the value")]
    CutShort(&'static str),
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
}

/// A [`v1::ReadEvent`] that borrows its texts.
#[derive(Debug, Default)]
pub(crate) struct ReadView<'a> {
    pub(crate) conversation_id: &'a str,
    pub(crate) reader_id: &'a str,
    pub(crate) read_at: Option<Timestamp>,
    pub(crate) target: Option<TargetView<'a>>,
}

/// A [`Target`] that borrows its texts.
#[derive(Debug)]
pub(crate) enum TargetView<'a> {
    Messages(Vec<&'a str>),
    UpToMessageId(&'a str),
    UpToTime(Timestamp),
}

impl<'a> From<&'a v1::ReadEvent> for ReadView<'a> {
    fn from(event: &'a v1::ReadEvent) -> Self {
        let target = event.target.as_ref().map(|target| match target {
            Target::Messages(m) => TargetView::Messages(m.message_ids.iter().map(String::as_str).collect()),
            Target::UpToMessageId(id) => TargetView::UpToMessageId(id),
            Target::UpToTime(time) => TargetView::UpToTime(*time),
        });
        let v1::ReadEvent { conversation_id, reader_id, read_at, .. } = event;
        Self { conversation_id, reader_id, read_at: *read_at, target }
    }
}

impl<'a> ReadView<'a> {
    /// Decodes a record's value. What stands in it twice is the last, or for messages both, as protobuf has it.
    pub(crate) fn decode(mut value: &'a [u8]) -> Result<Self, Undecodable> {
        let mut view = Self::default();
        while !value.is_empty() {
            let (tag, wire) = decode_key(&mut value)?;
            match tag {
                1 => view.conversation_id = text("conversation_id", wire, &mut value)?,
                2 => view.reader_id = text("reader_id", wire, &mut value)?,
                3 => view.read_at.get_or_insert_default().merge(delimited("read_at", wire, &mut value)?)?,
                4 => {
                    let ids = delimited("messages", wire, &mut value)?;
                    if !matches!(view.target, Some(TargetView::Messages(_))) {
                        view.target = Some(TargetView::Messages(Vec::new()));
                    }
                    if let Some(TargetView::Messages(messages)) = &mut view.target {
                        message_ids(ids, messages)?;
                    }
                }
                5 => view.target = Some(TargetView::UpToMessageId(text("up_to_message_id", wire, &mut value)?)),
                6 => {
                    let mut time = match view.target {
                        Some(TargetView::UpToTime(time)) => time,
                        _ => Timestamp::default(),
                    };
                    time.merge(delimited("up_to_time", wire, &mut value)?)?;
                    view.target = Some(TargetView::UpToTime(time));
                }
                _ => skip_field(wire, tag, &mut value, DecodeContext::default())?,
            }
        }
        Ok(view)
    }
}

/// The fields of a `MessageIds`.
fn message_ids<'a>(mut value: &'a [u8], messages: &mut Vec<&'a str>) -> Result<(), Undecodable> {
    while !value.is_empty() {
        let (tag, wire) = decode_key(&mut value)?;
        match tag {
            1 => messages.push(text("message_ids", wire, &mut value)?),
            _ => skip_field(wire, tag, &mut value, DecodeContext::default())?,
        }
    }
    Ok(())
}

/// The bytes of a field that is a text or a message.
fn delimited<'a>(field: &'static str, wire: WireType, value: &mut &'a [u8]) -> Result<&'a [u8], Undecodable> {
    check_wire_type(WireType::LengthDelimited, wire)?;
    let len = usize::try_from(decode_varint(value)?).unwrap_or(usize::MAX);
    let (bytes, rest) = value.split_at_checked(len).ok_or(Undecodable::CutShort(field))?;
    *value = rest;
    Ok(bytes)
}

fn text<'a>(field: &'static str, wire: WireType, value: &mut &'a [u8]) -> Result<&'a str, Undecodable> {
    std::str::from_utf8(delimited(field, wire, value)?).map_err(|_| Undecodable::NotUtf8(field))
}
