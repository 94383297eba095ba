//! What every row's bytes must hold, so that each row's tests only name the row.

use std::fmt::Debug;

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{error::Corrupt, key::Kind};

/// Fails where bytes are no longer those that stores and clients already have. `expected` is hex, spaced at will.
pub(crate) fn golden(what: &str, bytes: &[u8], expected: &str) {
    let actual: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected: String = expected.split_whitespace().collect();
    assert!(
        actual == expected,
        "the stored format changed ({what}): what was written before can no longer be read.\n  was: {expected}\n  is:  \
         {actual}\nGive the new layout a new version and keep reading the old one, or take the change back."
    );
}

/// Bytes from hex, spaced at will.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex")).collect()
}

/// Something that can happen to bytes.
#[derive(Debug, Clone)]
pub(crate) struct Damage {
    at: Index,
    bit: u8,
    noise: Vec<u8>,
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    // Not only any bytes: those that mark wide integers make lengths that no value has.
    let byte = prop_oneof![4 => any::<u8>(), 1 => 0xf8..=0xff_u8];
    (any::<Index>(), 0..8_u8, vec(byte, 0..64)).prop_map(|(at, bit, noise)| Damage { at, bit, noise })
}

impl Damage {
    /// Bytes shorter than these.
    fn cut<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[..self.at.index(bytes.len())]
    }

    /// Bytes like these, and bytes unlike these that at least begin as they must.
    fn variants(&self, bytes: &[u8]) -> [Vec<u8>; 4] {
        let at = self.at.index(bytes.len());
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << self.bit;
        let mut overwritten = bytes.to_vec();
        overwritten.iter_mut().skip(at).zip(&self.noise).for_each(|(byte, noise)| *byte = *noise);
        let first = bytes.first().copied();
        [flipped, overwritten, first.into_iter().chain(self.noise.iter().copied()).collect(), self.noise.clone()]
    }
}

/// All bytes that differ from these in one bit.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

/// A row's key.
pub(crate) struct Key<K> {
    pub(crate) kind: Kind,
    pub(crate) encode: fn(&K) -> Vec<u8>,
    pub(crate) decode: fn(&[u8]) -> Result<K, Corrupt>,
}

impl<K: Debug + PartialEq + Ord> Key<K> {
    /// This key has these bytes, and nothing near them is read wrongly.
    pub(crate) fn golden(&self, key: &K, hex: &str) {
        let bytes = (self.encode)(key);
        golden(&format!("key of {:?}", self.kind), &bytes, hex);
        assert_eq!((self.decode)(&bytes).as_ref(), Ok(key));
        for other in (0..=u8::MAX).filter(|first| *first != self.kind as u8) {
            let key: Vec<u8> = [&[other], &bytes[1..]].concat();
            assert!((self.decode)(&key).is_err(), "a key of kind {other:#04x} was taken for one of {:?}", self.kind);
        }
        (0..bytes.len()).for_each(|len| self.one_key_or_none(&bytes[..len]));
        flips(&bytes).for_each(|bytes| self.one_key_or_none(&bytes));
    }

    /// This key comes back, and damaged it is refused or is another.
    pub(crate) fn holds(&self, key: &K, damage: &Damage) {
        let bytes = (self.encode)(key);
        assert_eq!(Kind::of(&bytes), Some(self.kind));
        assert_eq!((self.decode)(&bytes).as_ref(), Ok(key));
        self.one_key_or_none(damage.cut(&bytes));
        damage.variants(&bytes).iter().for_each(|bytes| self.one_key_or_none(bytes));
    }

    /// Bytes order these keys as the tuples are ordered.
    pub(crate) fn orders(&self, a: &K, b: &K) {
        assert_eq!((self.encode)(a).cmp(&(self.encode)(b)), a.cmp(b), "{a:?}, {b:?}");
    }

    /// What is read as a key has no other bytes: else one row could stand in the store twice.
    fn one_key_or_none(&self, bytes: &[u8]) {
        if let Ok(key) = (self.decode)(bytes) {
            assert_eq!((self.encode)(&key), bytes, "{key:?} has two keys");
        }
    }
}

/// A row's value.
pub(crate) struct Value<R> {
    pub(crate) what: &'static str,
    pub(crate) encode: fn(&R) -> Vec<u8>,
    pub(crate) decode: fn(&[u8]) -> Result<R, Corrupt>,
}

impl<R: Debug + PartialEq> Value<R> {
    /// This row has these bytes, and nothing near them is read wrongly.
    pub(crate) fn golden(&self, row: &R, hex: &str) {
        let bytes = (self.encode)(row);
        golden(self.what, &bytes, hex);
        assert_eq!((self.decode)(&bytes).as_ref(), Ok(row));
        for other in (0..=u8::MAX).filter(|version| *version != bytes[0]) {
            let value: Vec<u8> = [&[other], &bytes[1..]].concat();
            // A version before may have had the same layout for this row.
            let read = (self.decode)(&value);
            assert!(read.is_err() || read.as_ref() == Ok(row), "version {other} was taken for version {}", bytes[0]);
        }
        (0..bytes.len()).for_each(|len| self.refuses(&bytes[..len]));
        self.refuses(&[&bytes[..], &[0]].concat());
        flips(&bytes).for_each(|bytes| self.survives(&bytes));
    }

    /// This row comes back, cut short it is refused, and damaged it is refused or is some row.
    pub(crate) fn holds(&self, row: &R, damage: &Damage) {
        let bytes = (self.encode)(row);
        assert_eq!((self.decode)(&bytes).as_ref(), Ok(row));
        self.refuses(damage.cut(&bytes));
        self.refuses(&[&bytes[..], &[damage.bit]].concat());
        damage.variants(&bytes).iter().for_each(|bytes| self.survives(bytes));
    }

    pub(crate) fn refuses(&self, bytes: &[u8]) {
        let row = (self.decode)(bytes);
        assert!(row.is_err(), "{row:?} was read from {bytes:02x?}");
    }

    /// What is read can be written again.
    pub(crate) fn survives(&self, bytes: &[u8]) {
        if let Ok(row) = (self.decode)(bytes) {
            assert_eq!((self.decode)(&(self.encode)(&row)).as_ref(), Ok(&row));
        }
    }
}

#[test]
#[should_panic(expected = "the stored format changed (example)")]
fn another_layout_is_told() {
    golden("example", &[1, 2], "01 03");
}
