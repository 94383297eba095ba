//! Tokens that clients carry: opaque text with a checksum. They grant nothing.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use receipt_domain::readers::Reader;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{codec, error::InvalidToken};

/// Characters of a token, at most: those of all partitions there can be.
const TOKEN_MAX_CHARS: usize = 64 * 1024;

/// Log positions, of what a write appended or of the state that an answer came from (S29).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyToken {
    /// The identity of the log.
    pub log_id: [u8; 16],
    /// By rising partition: the offsets that a state must have reached.
    pub positions: Vec<PartitionOffsets>,
}

/// How far a partition's two input topics must be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionOffsets {
    /// Which partition.
    pub partition: u32,
    /// The next offset of receipts.conversations to be applied.
    pub conversations_offset: u64,
    /// The next offset of receipts.reads to be applied.
    pub reads_offset: u64,
}

/// Where a walk through a message's readers, or those who are none, goes on (S27).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageToken {
    /// The identity of the log.
    pub log_id: [u8; 16],
    /// The message's partition.
    pub partition: u32,
    /// The number of its conversation.
    pub conversation: u64,
    /// Its position there.
    pub position: u64,
    /// The order of the walk.
    pub latest_first: bool,
    /// The first entry of the next page.
    pub next: PageStart,
}

/// The first entry of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageStart {
    /// Of the readers.
    Read {
        /// Seconds since 1970.
        read_at_s: u32,
        /// Which membership.
        ordinal: u32,
    },
    /// Of those who have not read.
    Unread {
        /// Which membership.
        ordinal: u32,
    },
}

impl From<Reader> for PageStart {
    fn from(reader: Reader) -> Self {
        Self::Read { read_at_s: reader.read_at_s, ordinal: reader.ordinal }
    }
}

fn encode<T: Serialize>(kind: u8, value: &T) -> String {
    // Plain integers always encode.
    let mut bytes = codec::encode("token", value).unwrap_or_default();
    bytes.insert(0, kind);
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_be_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decode<T: DeserializeOwned>(kind: u8, text: &str) -> Result<T, InvalidToken> {
    if text.len() > TOKEN_MAX_CHARS {
        return Err(InvalidToken);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidToken)?;
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or(InvalidToken)?;
    match body.split_first() {
        Some((first, value)) if *first == kind && crc32fast::hash(body).to_be_bytes() == *sum => {
            codec::decode("token", value).map_err(|_| InvalidToken)
        }
        _ => Err(InvalidToken),
    }
}

const CONSISTENCY: u8 = b'c';
const PAGE: u8 = b'p';

impl ConsistencyToken {
    /// As text.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(CONSISTENCY, self)
    }

    /// From text.
    ///
    /// # Errors
    /// If it was not made by [`ConsistencyToken::encode`], or is damaged.
    pub fn decode(text: &str) -> Result<Self, InvalidToken> {
        decode(CONSISTENCY, text)
    }
}

impl PageToken {
    /// As text.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(PAGE, self)
    }

    /// From text.
    ///
    /// # Errors
    /// If it was not made by [`PageToken::encode`], or is damaged.
    pub fn decode(text: &str) -> Result<Self, InvalidToken> {
        decode(PAGE, text)
    }
}
