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
    /// Of those who have not read and are still members.
    Unread {
        /// Which membership.
        ordinal: u32,
    },
    /// Of those who left without having read.
    LeftUnread {
        /// Which membership.
        ordinal: u32,
    },
}

impl From<Reader> for PageStart {
    fn from(reader: Reader) -> Self {
        Self::Read { read_at_s: reader.read_at_s, ordinal: reader.ordinal }
    }
}

/// Where a sender's stream goes on (S34).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeToken {
    /// The identity of the log.
    pub log_id: [u8; 16],
    /// The sender's partition of receipts.deltas.
    pub partition: u32,
    /// The next offset there that the sender has not been told of.
    pub offset: u64,
    /// All that deltas before this offset brought has been told. Before `offset` only where more had changed than one
    /// response holds: entries further on may have readers from in between.
    pub since: u64,
    /// Log time up to which all has been told, in milliseconds: it says whether what changed since is still kept.
    pub log_time_ms: u64,
    /// Whose it is.
    pub sender: String,
}

/// Where a walk through the dead letters goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLettersToken {
    /// The identity of the log.
    pub log_id: [u8; 16],
    /// The one partition that is walked through, if not all are.
    pub only: Option<u32>,
    /// The order of the walk within a partition.
    pub newest_first: bool,
    /// The partition it is in.
    pub partition: u32,
    /// Oldest first: the first offset of the next page. Newest first: the one after it.
    pub offset: u64,
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
const RESUME: u8 = b'r';
const DEAD_LETTERS: u8 = b'd';

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

impl ResumeToken {
    /// As text.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(RESUME, self)
    }

    /// From text.
    ///
    /// # Errors
    /// If it was not made by [`ResumeToken::encode`], or is damaged.
    pub fn decode(text: &str) -> Result<Self, InvalidToken> {
        decode(RESUME, text)
    }
}

impl DeadLettersToken {
    /// As text.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(DEAD_LETTERS, self)
    }

    /// From text.
    ///
    /// # Errors
    /// If it was not made by [`DeadLettersToken::encode`], or is damaged.
    pub fn decode(text: &str) -> Result<Self, InvalidToken> {
        decode(DEAD_LETTERS, text)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::{prelude::*, sample::Index};

    use super::*;
    use crate::{arbitrary, proof};

    /// All characters of a token, and some that none has.
    const CHARACTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n\0é";

    fn refused<T: DeserializeOwned + Debug>(kind: u8, text: &str) {
        let token = decode::<T>(kind, text);
        assert!(token.is_err(), "{text:?} was read as {token:?}");
    }

    fn with_character_at(text: &str, at: usize, character: char) -> String {
        text.chars().take(at).chain([character]).chain(text.chars().skip(at + 1)).collect()
    }

    /// The token has these bytes behind the base64, comes back, and is refused with any character changed, left out,
    /// or cut off.
    fn golden<T>(kind: u8, token: &T, hex: &str)
    where
        T: Serialize + DeserializeOwned + Debug + PartialEq,
    {
        let text = encode(kind, token);
        proof::golden(std::any::type_name::<T>(), &BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap(), hex);
        assert_eq!(decode(kind, &text).as_ref(), Ok(token));
        for (at, before) in text.char_indices() {
            for character in CHARACTERS.chars().filter(|c| *c != before) {
                refused::<T>(kind, &with_character_at(&text, at, character));
            }
            refused::<T>(kind, &text[..at]);
            refused::<T>(kind, &text[at + 1..]);
            refused::<T>(kind, &[&text[..at], &text[at + 1..]].concat());
        }
        for character in CHARACTERS.chars() {
            refused::<T>(kind, &format!("{text}{character}"));
            refused::<T>(kind, &format!("{character}{text}"));
        }
    }

    fn damaged<T: DeserializeOwned + Debug>(kind: u8, text: &str, (at, to): (Index, Index)) {
        let (at, to) = (at.index(text.len()), to.get(&CHARACTERS.chars().collect::<Vec<_>>()).to_owned());
        refused::<T>(kind, &text[..at]);
        if !text[at..].starts_with(to) {
            refused::<T>(kind, &with_character_at(text, at, to));
        }
    }

    fn one_character() -> impl Strategy<Value = (Index, Index)> {
        any::<(Index, Index)>()
    }

    #[test]
    fn golden_bytes() {
        let log_id = *b"0123456789abcdef";
        let positions = vec![
            PartitionOffsets { partition: 0, conversations_offset: 1, reads_offset: 300 },
            PartitionOffsets { partition: 5, conversations_offset: 0, reads_offset: u64::MAX },
        ];
        golden(
            CONSISTENCY,
            &ConsistencyToken { log_id, positions },
            "63 01 30313233343536373839616263646566 020001fb2c010500fdffffffffffffffff 9d2ba779",
        );
        golden(
            CONSISTENCY,
            &ConsistencyToken { log_id, positions: Vec::new() },
            "63 01 30313233343536373839616263646566 00 59d5d8cd",
        );
        let next = PageStart::Read { read_at_s: 1_700_000_000, ordinal: 300 };
        let page = PageToken { log_id, partition: 5, conversation: 6, position: 7, latest_first: true, next };
        golden(PAGE, &page, "70 01 30313233343536373839616263646566 0506070100fc00f15365fb2c01 5cd0c7f8");
        golden(
            PAGE,
            &PageToken { latest_first: false, next: PageStart::Unread { ordinal: 8 }, ..page },
            "70 01 30313233343536373839616263646566 050607000108 a693680b",
        );
        let resume = ResumeToken {
            log_id,
            partition: 5,
            offset: 300,
            since: 7,
            log_time_ms: 1_700_000_000_000,
            sender: "ann".to_owned(),
        };
        golden(RESUME, &resume, "72 01 30313233343536373839616263646566 05fb2c0107fd0068e5cf8b01000003616e6e 9558150a");
        let letters = DeadLettersToken { log_id, only: Some(5), newest_first: true, partition: 5, offset: 300 };
        golden(DEAD_LETTERS, &letters, "64 01 30313233343536373839616263646566 01050105fb2c01 1225bce1");
        golden(
            DEAD_LETTERS,
            &DeadLettersToken { only: None, newest_first: false, ..letters },
            "64 01 30313233343536373839616263646566 000005fb2c01 251d5b8b",
        );
    }

    #[test]
    fn the_largest_token_is_taken_and_a_larger_text_is_not() {
        let position = |partition| PartitionOffsets {
            partition: u32::MAX - partition,
            conversations_offset: u64::MAX,
            reads_offset: u64::MAX,
        };
        let token = ConsistencyToken { log_id: [0xff; 16], positions: (0..2048).map(position).collect() };
        let text = token.encode();
        assert!(text.len() <= TOKEN_MAX_CHARS, "{} characters", text.len());
        assert_eq!(ConsistencyToken::decode(&text), Ok(token.clone()));
        let positions = token.positions.repeat(2);
        let text = ConsistencyToken { positions, ..token }.encode();
        assert_eq!(ConsistencyToken::decode(&text), Err(InvalidToken), "{} characters", text.len());
    }

    #[test]
    fn one_kind_of_token_is_not_the_other() {
        // Even where the bytes behind the kind would do for both.
        let token = ConsistencyToken { log_id: [7; 16], positions: Vec::new() };
        assert!(ConsistencyToken::decode(&encode(PAGE, &token)).is_err());
        assert_eq!(ConsistencyToken::decode(&encode(CONSISTENCY, &token)), Ok(token));
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn consistency_tokens_come_back(token in arbitrary::consistency_token(), damage in one_character()) {
            let text = token.encode();
            prop_assert_eq!(PageToken::decode(&text), Err(InvalidToken));
            prop_assert_eq!(ConsistencyToken::decode(&text), Ok(token));
            damaged::<ConsistencyToken>(CONSISTENCY, &text, damage);
        }

        #[test]
        fn page_tokens_come_back(token in arbitrary::page_token(), damage in one_character()) {
            let text = token.encode();
            prop_assert_eq!(ConsistencyToken::decode(&text), Err(InvalidToken));
            prop_assert_eq!(PageToken::decode(&text), Ok(token));
            damaged::<PageToken>(PAGE, &text, damage);
        }

        #[test]
        fn resume_tokens_come_back(token in arbitrary::resume_token(), damage in one_character()) {
            let text = token.encode();
            prop_assert_eq!(PageToken::decode(&text), Err(InvalidToken));
            prop_assert_eq!(ResumeToken::decode(&text), Ok(token));
            damaged::<ResumeToken>(RESUME, &text, damage);
        }

        #[test]
        fn tokens_of_dead_letters_come_back(token in arbitrary::dead_letters_token(), damage in one_character()) {
            let text = token.encode();
            prop_assert_eq!(PageToken::decode(&text), Err(InvalidToken));
            prop_assert_eq!(DeadLettersToken::decode(&text), Ok(token));
            damaged::<DeadLettersToken>(DEAD_LETTERS, &text, damage);
        }

        #[test]
        fn any_text_is_refused(text in "\\PC{0,80}", token in "[A-Za-z0-9_-]{0,120}") {
            for text in [text, token] {
                refused::<ConsistencyToken>(CONSISTENCY, &text);
                refused::<PageToken>(PAGE, &text);
                refused::<ResumeToken>(RESUME, &text);
                refused::<DeadLettersToken>(DEAD_LETTERS, &text);
            }
        }

        #[test]
        fn anothers_bytes_under_a_true_checksum_do_no_harm(noise in prop::collection::vec(any::<u8>(), 0..80)) {
            for kind in [CONSISTENCY, PAGE, RESUME, DEAD_LETTERS] {
                let mut bytes = [&[kind, 1], &noise[..]].concat();
                bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
                let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
                let _ = (ConsistencyToken::decode(&text), PageToken::decode(&text), ResumeToken::decode(&text));
                let _ = DeadLettersToken::decode(&text);
            }
        }
    }
}
