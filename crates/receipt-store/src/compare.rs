//! Two states, entry by entry: whether they are the same logically, and if not, where they differ first.

use std::fmt;

use receipt_codec::key::Kind;
use receipt_domain::{settings::Settings, state::Progress};
use rocksdb::{DB, DBIterator, IteratorMode, ReadOptions};

use crate::{
    Digest,
    describe::{self, Place},
    digest::Digester,
    error::StoreError,
    logical::{Entry, Logical},
    store::Row,
};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that was asked.
    This,
    /// The one that it was compared with.
    Other,
}

/// What a comparison found.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Of the one that was asked.
    pub this: Compared,
    /// Of the other one.
    pub other: Compared,
    /// How many entries differ.
    pub differences: u64,
    /// The first of them.
    pub first: Vec<Difference>,
}

/// What was seen of one side.
#[derive(Debug, Clone, Copy)]
pub struct Compared {
    /// Of its logical state.
    pub digest: Digest,
    /// Rows read.
    pub rows: u64,
    /// No message has expired: receipts that were ever counted are those that there are.
    pub all_kept: bool,
}

/// An entry in which two states differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where it stands.
    pub place: Place,
    /// What this one has, for people; `None`: nothing.
    pub this: Option<String>,
    /// What the other one has.
    pub other: Option<String>,
}

/// Rows of one of the two could not be read.
#[derive(Debug, thiserror::Error)]
pub struct CompareError {
    /// Of which.
    pub side: Side,
    /// At which row, if it is known.
    pub row: Option<String>,
    /// Why.
    #[source]
    pub source: StoreError,
}

impl CompareError {
    pub(crate) fn of(side: Side, source: StoreError) -> Self {
        Self { side, row: None, source }
    }
}

impl fmt::Display for CompareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.row {
            Some(row) => write!(f, "at the row {row}: {}", self.source),
            None => self.source.fmt(f),
        }
    }
}

/// A logical entry as it is compared: a reader's time is the value, so that another time is one difference. Most entries
/// are readers, which take no memory of their own here.
type Item = (ItemKey, ItemValue);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum ItemKey {
    Row(Vec<u8>),
    Reader { kind: Kind, number: u64, position: u64, ordinal: u32 },
    LogTime { kind: Kind, number: u64, position: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum ItemValue {
    Row(Vec<u8>),
    ReadAtS(u32),
    LogTimeMs(u64),
}

impl ItemKey {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Row(key) => key,
            Self::Reader { kind, number, position, ordinal } => describe::reader_key(kind, number, position, ordinal),
            Self::LogTime { kind, number, position } => describe::log_time_key(kind, number, position),
        }
    }
}

impl ItemValue {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Row(value) => value,
            Self::ReadAtS(read_at_s) => read_at_s.to_be_bytes().to_vec(),
            Self::LogTimeMs(log_time_ms) => log_time_ms.to_be_bytes().to_vec(),
        }
    }
}

/// A state that is walked.
pub(crate) struct Walk<'a, O> {
    side: Side,
    rows: DBIterator<'a>,
    next: Option<Row>,
    logical: Logical<'a, O>,
    digester: Digester,
    read: u64,
}

impl<'a, O: Fn() -> ReadOptions> Walk<'a, O> {
    pub(crate) fn new(
        side: Side,
        db: &'a DB,
        options: &'a O,
        settings: &'a Settings,
        progress: &'a Progress,
    ) -> Result<Self, CompareError> {
        let mut walk = Self {
            side,
            rows: db.iterator_opt(IteratorMode::Start, options()),
            next: None,
            logical: Logical::new(db, options, settings, progress),
            digester: Digester::new(progress),
            read: 0,
        };
        walk.step()?;
        Ok(walk)
    }

    fn step(&mut self) -> Result<(), CompareError> {
        let after = self.next.take().map(|(key, _)| format!("after {}", describe::key(&key)));
        let next = self.rows.next().transpose();
        self.next =
            next.map_err(|error| CompareError { side: self.side, row: after, source: StoreError::RocksDb(error) })?;
        Ok(())
    }

    fn group(&self) -> Option<&[u8]> {
        self.next.as_ref().map(|(key, _)| group(key))
    }

    /// The entries of the rows of a group, if it is the next, in their order.
    fn take(&mut self, wanted: &[u8]) -> Result<Vec<Item>, CompareError> {
        let mut items = Vec::new();
        while self.group() == Some(wanted) {
            if let Some((key, value)) = &self.next {
                let digester = &mut self.digester;
                let added = self.logical.add(key, value, &mut |entry| {
                    digester.add(&entry);
                    items.push(item(&entry));
                });
                added.map_err(|source| CompareError { side: self.side, row: Some(describe::key(key)), source })?;
                self.read += 1;
            }
            self.step()?;
        }
        items.sort_unstable();
        // All rows of a message say the same log time, however many they are.
        items.dedup_by(|one, two| matches!(one.0, ItemKey::LogTime { .. }) && one == two);
        Ok(items)
    }

    fn compared(&self) -> Compared {
        Compared { digest: self.digester.finish(), rows: self.read, all_kept: self.logical.is_all_kept() }
    }
}

/// Rows that belong together: where a message's readers are cut, and which offset a waiting read has, is not compared.
fn group(key: &[u8]) -> &[u8] {
    let cut = match Kind::of(key) {
        // Kind, conversation, message.
        Some(Kind::ReadChunk | Kind::TimeChunk) => 17,
        // The offset and the place in its record.
        Some(Kind::Waiting) => key.len().saturating_sub(16),
        Some(Kind::TimeMark) => key.len().saturating_sub(8),
        _ => key.len(),
    };
    key.get(..cut).unwrap_or(key)
}

fn item(entry: &Entry<'_>) -> Item {
    match *entry {
        Entry::Row { key, value } => (ItemKey::Row(key.to_vec()), ItemValue::Row(value.to_vec())),
        Entry::Reader { kind, number, position, reader } => {
            (ItemKey::Reader { kind, number, position, ordinal: reader.ordinal }, ItemValue::ReadAtS(reader.read_at_s))
        }
        Entry::LogTime { kind, number, position, log_time_ms } => {
            (ItemKey::LogTime { kind, number, position }, ItemValue::LogTimeMs(log_time_ms))
        }
    }
}

/// What differs, as bytes.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) count: u64,
    pub(crate) first: Vec<Differing>,
}

/// An entry that differs, and what each has.
pub(crate) struct Differing {
    pub(crate) key: Vec<u8>,
    pub(crate) this: Option<Vec<u8>>,
    pub(crate) other: Option<Vec<u8>>,
}

/// Walks both; tells the rows of this one that are read so far. `None`: it was told not to go on.
pub(crate) fn walk<O: Fn() -> ReadOptions, P: Fn() -> ReadOptions>(
    mut this: Walk<'_, O>,
    mut other: Walk<'_, P>,
    first_max: usize,
    told: &mut impl FnMut(u64) -> bool,
) -> Result<Option<(Compared, Compared, Found)>, CompareError> {
    let mut found = Found::default();
    loop {
        let group = match (this.group(), other.group()) {
            (None, None) => break,
            (Some(group), None) | (None, Some(group)) => group.to_vec(),
            (Some(one), Some(two)) => one.min(two).to_vec(),
        };
        let (ours, theirs) = (this.take(&group)?, other.take(&group)?);
        if ours != theirs {
            differ(ours, theirs, first_max, &mut found);
        }
        if !told(this.read) {
            return Ok(None);
        }
    }
    Ok(Some((this.compared(), other.compared(), found)))
}

/// Notes what two rows of sorted entries differ in.
fn differ(ours: Vec<Item>, theirs: Vec<Item>, first_max: usize, found: &mut Found) {
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    loop {
        let (key, our, their) = match (ours.peek(), theirs.peek()) {
            (None, None) => return,
            (Some(one), Some(two)) if one.0 == two.0 => (one.0.clone(), true, true),
            (Some(one), Some(two)) if one.0 > two.0 => (two.0.clone(), false, true),
            (Some(one), _) => (one.0.clone(), true, false),
            (None, Some(two)) => (two.0.clone(), false, true),
        };
        let this = if our { ours.next().map(|(_, value)| value) } else { None };
        let other = if their { theirs.next().map(|(_, value)| value) } else { None };
        if this != other {
            found.count += 1;
            if found.first.len() < first_max {
                let (key, bytes) = (key.bytes(), |value: Option<ItemValue>| value.map(ItemValue::bytes));
                found.first.push(Differing { key, this: bytes(this), other: bytes(other) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ours: &[(u8, u8)], theirs: &[(u8, u8)]) -> Vec<(u8, Option<u8>, Option<u8>)> {
        let items = |list: &[(u8, u8)]| {
            let item = |(key, value): &(u8, u8)| (ItemKey::Row(vec![*key]), ItemValue::Row(vec![*value]));
            list.iter().map(item).collect()
        };
        let mut found = Found::default();
        differ(items(ours), items(theirs), 10, &mut found);
        let byte = |value: Option<Vec<u8>>| value.map(|value| value[0]);
        found.first.into_iter().map(|one| (one.key[0], byte(one.this), byte(one.other))).collect()
    }

    #[test]
    fn what_is_missing_what_is_too_many_and_what_is_another() {
        assert_eq!(found(&[(1, 1), (2, 2)], &[(1, 1), (2, 2)]), []);
        assert_eq!(found(&[(1, 1), (2, 2)], &[(1, 1), (2, 3)]), [(2, Some(2), Some(3))]);
        assert_eq!(found(&[(1, 1)], &[(0, 5), (1, 1), (2, 2)]), [(0, None, Some(5)), (2, None, Some(2))]);
        assert_eq!(found(&[(1, 1), (3, 3)], &[]), [(1, Some(1), None), (3, Some(3), None)]);
        assert_eq!(found(&[(1, 1), (1, 2)], &[(1, 1)]), [(1, Some(2), None)]);
    }
}
