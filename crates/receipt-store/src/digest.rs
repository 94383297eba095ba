//! A digest of the logical state of one moment: equal where two stores tell the same, whichever logs and batches they
//! were folded from. Which rows that is over is said in [`crate::logical`].

use std::fmt;

use blake3::Hasher;
use receipt_domain::{settings::Settings, state::Progress};
use rocksdb::{DB, IteratorMode, ReadOptions};

use crate::{
    error::StoreError,
    logical::{Entry, Logical},
};

/// Names what is digested; changes with it.
const FORMAT: &[u8] = b"receipts.state.2";

/// A digest of a partition's logical state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Of the state that the options' snapshot shows.
pub(crate) fn of(
    db: &DB,
    options: &impl Fn() -> ReadOptions,
    settings: &Settings,
    progress: &Progress,
) -> Result<Digest, StoreError> {
    let mut logical = Logical::new(db, options, settings, progress);
    let mut digester = Digester::new(progress);
    for row in db.iterator_opt(IteratorMode::Start, options()) {
        let (key, value) = row?;
        logical.add(&key, &value, &mut |entry| digester.add(&entry))?;
    }
    Ok(digester.finish())
}

/// A digest in the making. Entries are added in the order of their rows' keys.
pub(crate) struct Digester(Hasher);

impl Digester {
    pub(crate) fn new(progress: &Progress) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(FORMAT);
        // As `Progress::logical` has it.
        for number in [progress.log_time_ms, progress.next_conversation, progress.policies, progress.messages] {
            hasher.update(&number.to_be_bytes());
        }
        Self(hasher)
    }

    pub(crate) fn add(&mut self, entry: &Entry<'_>) {
        match *entry {
            Entry::Row { key, value } => self.row(key, value),
            Entry::Reader { kind, number, position, reader } => {
                let mut row = [0; 25];
                row[0] = kind as u8;
                row[1..9].copy_from_slice(&number.to_be_bytes());
                row[9..17].copy_from_slice(&position.to_be_bytes());
                row[17..21].copy_from_slice(&reader.read_at_s.to_be_bytes());
                row[21..].copy_from_slice(&reader.ordinal.to_be_bytes());
                self.row(&row, &[]);
            }
            Entry::LogTime { .. } => {}
        }
    }

    /// A row, so that no other rows have the same bytes.
    fn row(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            self.0.update(&(part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
    }

    pub(crate) fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}
