//! serde values as bytes. The only user of bincode, which is pinned: its layout is part of the stored format.

use serde::{Serialize, de::DeserializeOwned};

use crate::error::Corrupt;

/// The version that every value is written with.
const VERSION: u8 = 1;

/// Bytes that a value may take in memory, far above what any row takes. bincode allocates a text's length before it
/// reads the text: without a limit, one damaged byte could ask for more memory than there is, which ends the process.
const DECODED_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Variable-width integers, little-endian.
fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<DECODED_MAX_BYTES>()
}

/// A version byte, then the value with variable-width integers.
pub(crate) fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, Corrupt> {
    encode_as(VERSION, what, value)
}

/// As [`encode`], of a value that has this version.
pub(crate) fn encode_as<T: Serialize>(version: u8, what: &'static str, value: &T) -> Result<Vec<u8>, Corrupt> {
    let mut bytes = vec![version];
    bincode::serde::encode_into_std_write(value, &mut bytes, config())
        .map_err(|error| Corrupt::new(what, error.to_string()))?;
    Ok(bytes)
}

/// The value, and what stands behind it.
pub(crate) fn decode_prefix<'a, T: DeserializeOwned>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<(T, &'a [u8]), Corrupt> {
    decode_body(what, body(what, bytes)?)
}

/// The value, with nothing behind it.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Corrupt> {
    alone(what, decode_prefix(what, bytes)?)
}

/// As [`decode`], of a value that [`encode_as`] has written with this version; `None` where it has another one.
pub(crate) fn decode_as<T: DeserializeOwned>(
    version: u8,
    what: &'static str,
    bytes: &[u8],
) -> Result<Option<T>, Corrupt> {
    match bytes.split_first() {
        Some((first, body)) if *first == version => alone(what, decode_body(what, body)?).map(Some),
        _ => Ok(None),
    }
}

fn alone<T>(what: &'static str, (value, rest): (T, &[u8])) -> Result<T, Corrupt> {
    match rest {
        [] => Ok(value),
        rest => Err(Corrupt::new(what, format!("{} bytes too many", rest.len()))),
    }
}

fn decode_body<'a, T: DeserializeOwned>(what: &'static str, body: &'a [u8]) -> Result<(T, &'a [u8]), Corrupt> {
    let (value, used) =
        bincode::serde::decode_from_slice(body, config()).map_err(|error| Corrupt::new(what, error.to_string()))?;
    Ok((value, body.get(used..).unwrap_or_default()))
}

/// Bytes of a value's own format, behind the version byte.
pub(crate) fn versioned(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + body.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(body);
    bytes
}

/// What stands behind the version byte.
pub(crate) fn body<'a>(what: &'static str, bytes: &'a [u8]) -> Result<&'a [u8], Corrupt> {
    match bytes.split_first() {
        Some((&VERSION, body)) => Ok(body),
        Some((version, _)) => Err(Corrupt::new(what, format!("version {version}, this is version {VERSION}"))),
        None => Err(Corrupt::new(what, "empty")),
    }
}

/// The log time in front of a value's own format, and what stands behind it.
pub(crate) fn log_time<'a>(what: &'static str, bytes: &'a [u8]) -> Result<(u64, &'a [u8]), Corrupt> {
    let body = body(what, bytes)?;
    let (log_time_ms, rest) = body.split_first_chunk::<8>().ok_or_else(|| Corrupt::new(what, "cut short"))?;
    Ok((u64::from_be_bytes(*log_time_ms), rest))
}

#[cfg(test)]
mod tests {
    use receipt_domain::limits::{EVENT_LIST_MAX, ID_MAX_BYTES};

    use super::*;

    #[test]
    fn a_damaged_length_is_refused_before_it_is_allocated() {
        for len in [u64::MAX, 1 << 62, 1 << 40, 1 << 31] {
            let value = [&[VERSION, 0xfd][..], &len.to_le_bytes(), b"abc"].concat();
            assert!(decode::<String>("text", &value).is_err());
            assert!(decode::<Vec<String>>("texts", &value).is_err());
            assert!(decode::<Vec<u64>>("numbers", &value).is_err());
        }
    }

    #[test]
    fn the_limit_is_far_above_the_largest_rows() {
        let texts = vec!["x".repeat(ID_MAX_BYTES); 10 * EVENT_LIST_MAX];
        assert_eq!(decode("texts", &encode("texts", &texts).unwrap()), Ok(texts));
        let stays = vec![(u32::MAX, u64::MAX, Some((u64::MAX, u64::MAX))); 1_000_000];
        assert_eq!(decode("stays", &encode("stays", &stays).unwrap()), Ok(stays));
    }
}
