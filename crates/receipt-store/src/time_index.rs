//! The index by time of large read sets: stretches of readers in time order, each of at most so many.

use std::collections::BTreeMap;

use receipt_codec::row::time_chunk;
use receipt_domain::{readers::Reader, working_set::TimeChange};
use rocksdb::{DB, Direction, IteratorMode, ReadOptions, WriteBatch};

use crate::error::StoreError;

/// Readers of one stretch, at most; it is halved when it grows over that.
const STRETCH_READERS_MAX: usize = 1024;

/// A stretch in memory.
#[derive(Default)]
struct Stretch {
    readers: Vec<Reader>,
    /// Where the next stored one begins: up to there, a reader belongs in here or in one that is in memory too.
    until: Option<Reader>,
}

/// The key of a message's first stretch: whatever time a reader comes with, it has a stretch at or before it. As times
/// only move back, that one never runs empty.
const LOWEST: Reader = Reader { read_at_s: 0, ordinal: 0 };

/// The stretches of one message that a batch touches, by the key they stand under. Each holds readers from its key up to
/// the next one's.
struct Stretches<'a> {
    db: &'a DB,
    number: u64,
    position: u64,
    touched: BTreeMap<Reader, Stretch>,
}

/// Writes the changed times of one message's readers.
pub(crate) fn apply(
    db: &DB,
    batch: &mut WriteBatch,
    number: u64,
    position: u64,
    log_time_ms: u64,
    changes: &[TimeChange],
) -> Result<(), StoreError> {
    let mut stretches = Stretches { db, number, position, touched: BTreeMap::new() };
    for change in changes {
        if let Some(before_s) = change.before_s {
            let before = Reader { read_at_s: before_s, ordinal: change.ordinal };
            let first = stretches.stretch_of(before)?;
            stretches.touched.entry(first).or_default().readers.retain(|r| *r != before);
        }
        stretches.insert(Reader { read_at_s: change.now_s, ordinal: change.ordinal })?;
    }
    for (first, stretch) in stretches.touched {
        let key = time_chunk::key(number, position, first);
        if stretch.readers.is_empty() {
            batch.delete(key);
        } else {
            batch.put(key, time_chunk::encode(log_time_ms, &stretch.readers));
        }
    }
    Ok(())
}

impl Stretches<'_> {
    fn insert(&mut self, reader: Reader) -> Result<(), StoreError> {
        let first = self.stretch_of(reader)?;
        let stretch = self.touched.entry(first).or_default();
        let readers = &mut stretch.readers;
        let at = readers.partition_point(|r| *r < reader);
        readers.insert(at, reader);
        if readers.len() > STRETCH_READERS_MAX {
            // Most reads come in time order: what is full stays full, and the tail goes on alone.
            let keep = if at + 1 == readers.len() { STRETCH_READERS_MAX } else { readers.len() / 2 };
            let tail = Stretch { readers: readers.split_off(keep), until: stretch.until };
            if let Some(first) = tail.readers.first() {
                self.touched.insert(*first, tail);
            }
        }
        Ok(())
    }

    /// The key of the stretch that a reader belongs in, which is in memory then.
    fn stretch_of(&mut self, reader: Reader) -> Result<Reader, StoreError> {
        let before = self.touched.range(..=reader).next_back();
        if let Some((first, _)) = before.filter(|(_, stretch)| stretch.until.is_none_or(|until| reader < until)) {
            return Ok(*first);
        }
        let stored = self.stored(reader, Direction::Reverse)?;
        self.load(stored.unwrap_or(LOWEST))
    }

    fn load(&mut self, first: Reader) -> Result<Reader, StoreError> {
        if !self.touched.contains_key(&first) {
            let value = self.db.get(time_chunk::key(self.number, self.position, first))?;
            let readers = value.map(|value| time_chunk::decode(&value)).transpose()?.unwrap_or_default();
            let after = Reader { read_at_s: first.read_at_s, ordinal: first.ordinal.saturating_add(1) };
            let until = self.stored(after, Direction::Forward)?;
            self.touched.insert(first, Stretch { readers, until });
        }
        Ok(first)
    }

    /// The key of the stored stretch nearest to a reader in a direction.
    fn stored(&self, reader: Reader, direction: Direction) -> Result<Option<Reader>, StoreError> {
        nearest(self.db, ReadOptions::default(), self.number, self.position, reader, direction)
    }
}

/// The key of the stored stretch that is nearest to a reader in a direction.
fn nearest(
    db: &DB,
    options: ReadOptions,
    number: u64,
    position: u64,
    reader: Reader,
    direction: Direction,
) -> Result<Option<Reader>, StoreError> {
    let key = time_chunk::key(number, position, reader);
    let prefix = time_chunk::prefix(number, position);
    match db.iterator_opt(IteratorMode::From(&key, direction), options).next().transpose()? {
        Some((key, _)) if key.starts_with(&prefix) => Ok(Some(time_chunk::decode_key(&key)?.2)),
        _ => Ok(None),
    }
}

/// The first `limit` readers of a large set by time, from `from` on, or down from it.
pub(crate) fn page(
    db: &DB,
    options: &impl Fn() -> ReadOptions,
    (number, position): (u64, u64),
    from: Option<Reader>,
    latest_first: bool,
    limit: usize,
) -> Result<Vec<Reader>, StoreError> {
    let prefix = time_chunk::prefix(number, position);
    // The stretch that holds `from` is the last that begins at or before it.
    let begin = match (from, latest_first) {
        (None, true) => Reader { read_at_s: u32::MAX, ordinal: u32::MAX },
        (None, false) => LOWEST,
        (Some(from), true) => from,
        (Some(from), false) => nearest(db, options(), number, position, from, Direction::Reverse)?.unwrap_or(LOWEST),
    };
    let key = time_chunk::key(number, position, begin);
    let direction = if latest_first { Direction::Reverse } else { Direction::Forward };
    let mut page = Vec::new();
    for row in db.iterator_opt(IteratorMode::From(&key, direction), options()) {
        let (key, value) = row?;
        if !key.starts_with(&prefix) || page.len() >= limit {
            break;
        }
        let mut readers = time_chunk::decode(&value)?;
        if latest_first {
            readers.reverse();
        }
        let passed = |r: &Reader| from.is_some_and(|from| if latest_first { *r > from } else { *r < from });
        page.extend(readers.into_iter().filter(|r| !passed(r)).take(limit - page.len()));
    }
    Ok(page)
}
