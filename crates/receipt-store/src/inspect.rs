//! The rows of a store for people, whatever is in it: nothing is checked, and what is damaged is shown as such.

use std::path::Path;

use receipt_codec::key::Kind;
use rocksdb::{DB, Direction, IteratorMode, ReadOptions};

use crate::{
    describe::{self, Place},
    error::StoreError,
    open,
};

/// A store that is opened to be looked at.
pub struct Rows(DB);

/// A row, as it stands there and as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownRow {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// What the key says, or what is wrong with it.
    pub place: Result<Place, String>,
    /// What the value says, or what is wrong with it.
    pub row: Result<String, String>,
}

impl Rows {
    /// Opens the store in a directory, of receipts or of inboxes; `None` where there is none. Changes nothing.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn open(dir: &Path) -> Result<Option<Self>, StoreError> {
        if !open::is_store(dir) {
            return Ok(None);
        }
        Ok(Some(Self(open::open_unchecked(dir)?)))
    }

    /// The kinds of row, by name.
    #[must_use]
    pub fn kinds() -> Vec<String> {
        Kind::ALL.into_iter().map(describe::name).collect()
    }

    /// What the keys of a kind begin with, by its name.
    #[must_use]
    pub fn kind(name: &str) -> Option<Vec<u8>> {
        let kind = Kind::ALL.into_iter().find(|kind| describe::name(*kind) == name)?;
        Some(vec![kind as u8])
    }

    /// The row with a key.
    ///
    /// # Errors
    /// If the store can't be read there.
    pub fn get(&self, key: &[u8]) -> Result<Option<ShownRow>, StoreError> {
        Ok(self.0.get(key)?.map(|value| self.shown(key, &value)))
    }

    /// Rows whose keys begin with a prefix, at most so many, and where the store cannot be read further, why.
    #[must_use]
    pub fn beginning(&self, prefix: &[u8], limit: usize) -> (Vec<ShownRow>, Option<StoreError>) {
        let mut rows = Vec::new();
        let mut iterator = self.0.iterator(IteratorMode::From(prefix, Direction::Forward));
        while rows.len() < limit {
            match iterator.next() {
                Some(Ok((key, value))) if key.starts_with(prefix) => rows.push(self.shown(&key, &value)),
                Some(Err(error)) => return (rows, Some(error.into())),
                Some(Ok(_)) | None => break,
            }
        }
        (rows, None)
    }

    fn shown(&self, key: &[u8], value: &[u8]) -> ShownRow {
        let place = describe::place(&self.0, &ReadOptions::default, key).map_err(|error| error.to_string());
        let row = describe::row(key, value).map_err(|error| error.to_string());
        ShownRow { key: key.to_vec(), value: value.to_vec(), place, row }
    }
}
