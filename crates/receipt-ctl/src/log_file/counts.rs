//! How many parts a frame or a line may have. They are counted before they are decoded: an empty header has two bytes in a
//! file, and a hundred in memory.

use std::{fmt, marker::PhantomData};

use anyhow::bail;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use receipt_log::{RECORD_HEADERS_MAX, Topic};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};

use super::PARTITIONS_MAX;

/// Stretches of partitions that a file's header names, at most.
pub(super) const SECTIONS_MAX: usize = Topic::ALL.len() * PARTITIONS_MAX as usize;

/// Fields of receipts.v1.LogFileFrame and of what is in it.
const HEADER: u32 = 1;
const SECTIONS: u32 = 5;
const RECORD: u32 = 2;
const LOG_RECORD: u32 = 2;
const HEADERS: u32 = 5;

/// Refuses a LogFileFrame with more sections or headers than there may be.
pub(super) fn check_frame(frame: &[u8]) -> anyhow::Result<()> {
    let (mut sections, mut headers) = (0, 0);
    fields(frame, &mut |tag, header_or_record| match tag {
        HEADER => {
            fields(header_or_record, &mut |tag, _| count(tag == SECTIONS, &mut sections, SECTIONS_MAX, "sections"))
        }
        RECORD => fields(header_or_record, &mut |tag, record| match tag {
            LOG_RECORD => {
                fields(record, &mut |tag, _| count(tag == HEADERS, &mut headers, RECORD_HEADERS_MAX, "headers"))
            }
            _ => Ok(()),
        }),
        _ => Ok(()),
    })
}

fn count(is_one: bool, so_far: &mut usize, max: usize, of: &str) -> anyhow::Result<()> {
    *so_far += usize::from(is_one);
    if *so_far > max {
        bail!("it has more than {max} {of}");
    }
    Ok(())
}

/// Shows the fields of a message that are messages, texts or bytes themselves.
fn fields(mut message: &[u8], each: &mut dyn FnMut(u32, &[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    while !message.is_empty() {
        let (tag, wire) = decode_key(&mut message)?;
        if wire != WireType::LengthDelimited {
            skip_field(wire, tag, &mut message, DecodeContext::default())?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut message)?).unwrap_or(usize::MAX);
        let Some((field, rest)) = message.split_at_checked(length) else {
            bail!("a field is longer than what is left of the frame");
        };
        each(tag, field)?;
        message = rest;
    }
    Ok(())
}

/// A list of JSON with at most so many entries.
pub(super) fn at_most<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct AtMost<const MAX: usize, T>(PhantomData<T>);

    impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for AtMost<MAX, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(entry) = entries.next_element()? {
                if all.len() == MAX {
                    return Err(A::Error::custom(format_args!("a list has more than {MAX} entries")));
                }
                all.push(entry);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_seq(AtMost::<MAX, T>(PhantomData))
}
