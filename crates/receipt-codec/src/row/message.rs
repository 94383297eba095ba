//! A message that asks for receipts, with its readers where those are few.
//!
//! Key `[kind][conversation number u64][position u64]`, value: serde, then a small read set by time.

use receipt_domain::{readers::Readers, state::Message};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer},
    read_set,
};

const WHAT: &str = "message";

/// The row's key.
#[must_use]
pub fn key(conversation: u64, position: u64) -> Vec<u8> {
    Writer::new(Kind::Message).u64(conversation).u64(position).done()
}

/// What a key says: conversation number and position.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<(u64, u64), Corrupt> {
    let mut parser = Parser::new(WHAT, Kind::Message, key)?;
    let key = (parser.u64()?, parser.u64()?);
    parser.done().map(|()| key)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Message) -> Result<Vec<u8>, Corrupt> {
    let mut bytes = codec::encode(WHAT, row)?;
    if let Readers::Inline(readers) = &row.readers {
        read_set::encode_by_time(readers, &mut bytes);
    }
    Ok(bytes)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Message, Corrupt> {
    let (mut row, mut rest) = codec::decode_prefix::<Message>(WHAT, value)?;
    if let Readers::Inline(readers) = &mut row.readers {
        *readers = read_set::decode_by_time(&mut rest)?;
    }
    if rest.is_empty() { Ok(row) } else { Err(Corrupt::new(WHAT, "bytes behind the readers")) }
}
