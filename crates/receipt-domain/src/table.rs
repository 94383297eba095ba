//! Rows in memory: those that a batch has loaded or written, over those that stand in the store.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::{BuildHasher, Hash, RandomState},
    ops::RangeInclusive,
};

use crate::memory::HeapBytes;

/// A table that had more slots than this gives their memory back when it is settled: tables that are large one after the
/// other must not add up.
const SLOTS_KEPT: usize = 16_384;

/// A row, or its known absence.
#[derive(Clone)]
struct Slot<V> {
    value: Option<V>,
    dirty: bool,
}

/// Bytes of a row in a map, about: maps grow by doubling, and trees are filled by two thirds.
fn row_bytes<K: HeapBytes, V: HeapBytes>(key: &K, value: Option<&V>) -> usize {
    size_of::<(K, Slot<V>)>() * 3 / 2 + key.heap_bytes() + value.map_or(0, HeapBytes::heap_bytes)
}

/// A row that the working set does not know of: it must be loaded first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unloaded;

/// Rows that are loaded one by one. Keys with text from outside are hashed with a random seed, numbers need none.
#[derive(Clone)]
pub struct Table<K, V, S = RandomState> {
    slots: HashMap<K, Slot<V>, S>,
    /// Of the rows when they were loaded or put, about; not of what they have grown by since.
    bytes: usize,
    complete: bool,
}

impl<K: Hash + Eq + Clone + HeapBytes, V: HeapBytes, S: BuildHasher + Default> Table<K, V, S> {
    /// An empty table; a `complete` one has no store below it, so what it does not hold does not exist.
    #[must_use]
    pub fn new(complete: bool) -> Self {
        Self { slots: HashMap::default(), bytes: 0, complete }
    }

    /// The row.
    pub fn get(&self, key: &K) -> Result<Option<&V>, Unloaded> {
        match self.slots.get(key) {
            Some(slot) => Ok(slot.value.as_ref()),
            None if self.complete => Ok(None),
            None => Err(Unloaded),
        }
    }

    /// Whether the row, or its absence, is known.
    #[must_use]
    pub fn is_loaded(&self, key: &K) -> bool {
        self.complete || self.slots.contains_key(key)
    }

    /// The row, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let slot = self.slots.get_mut(key)?;
        slot.dirty = true;
        slot.value.as_mut()
    }

    /// The row, to be changed only perhaps: whoever changes it calls [`Table::touch`].
    pub fn peek_mut(&mut self, key: &K) -> Option<&mut V> {
        self.slots.get_mut(key)?.value.as_mut()
    }

    /// Says that the row was changed.
    pub fn touch(&mut self, key: &K) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.dirty = true;
        }
    }

    /// Writes the row.
    pub fn put(&mut self, key: K, value: V) {
        self.bytes += row_bytes(&key, Some(&value));
        self.slots.insert(key, Slot { value: Some(value), dirty: true });
    }

    /// Deletes the row.
    pub fn delete(&mut self, key: &K) {
        self.bytes += row_bytes::<K, V>(key, None);
        self.slots.insert(key.clone(), Slot { value: None, dirty: true });
    }

    /// Takes in what the store has under a key; what the batch has written stands.
    pub fn load(&mut self, key: K, value: Option<V>) {
        if let Entry::Vacant(vacant) = self.slots.entry(key) {
            self.bytes += row_bytes(vacant.key(), value.as_ref());
            vacant.insert(Slot { value, dirty: false });
        }
    }

    /// What was written since the last call, in no order.
    pub fn dirty(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().filter(|(_, slot)| slot.dirty).filter_map(|(key, slot)| Some((key, slot.value.as_ref()?)))
    }

    /// What was deleted since the last call, in no order.
    pub fn deleted(&self) -> impl Iterator<Item = &K> {
        self.slots.iter().filter(|(_, slot)| slot.dirty && slot.value.is_none()).map(|(key, _)| key)
    }

    /// All rows, in no order.
    pub fn rows(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().filter_map(|(key, slot)| Some((key, slot.value.as_ref()?)))
    }

    /// Bytes that it takes, about; a row that was put twice counts twice.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is written is in the store now. Only a table without a store below it keeps its rows.
    pub fn settle(&mut self) {
        if self.complete {
            for slot in self.slots.values_mut() {
                slot.dirty = false;
            }
            return;
        }
        self.bytes = 0;
        if self.slots.capacity() > SLOTS_KEPT {
            self.slots = HashMap::default();
        } else {
            self.slots.clear();
        }
    }
}

/// The rows below one prefix, of which a range is loaded.
#[derive(Clone)]
struct Group<K, V> {
    loaded: Option<(K, K)>,
    rows: BTreeMap<K, Slot<V>>,
}

/// Rows that are loaded by range, below a prefix. The ranges asked for below one prefix share an end, so that what is
/// loaded is always one range.
#[derive(Clone)]
pub struct RangeTable<P, K, V, S = RandomState> {
    groups: HashMap<P, Group<K, V>, S>,
    /// Of the rows that were loaded or set, about.
    bytes: usize,
    complete: bool,
}

impl<P: Hash + Eq + Clone + HeapBytes, K: Ord + Copy + HeapBytes, V: HeapBytes, S: BuildHasher + Default>
    RangeTable<P, K, V, S>
{
    /// An empty table; a `complete` one has no store below it.
    #[must_use]
    pub fn new(complete: bool) -> Self {
        Self { groups: HashMap::default(), bytes: 0, complete }
    }

    /// Whether the range below the prefix is loaded.
    #[must_use]
    pub fn is_loaded(&self, prefix: &P, range: &RangeInclusive<K>) -> bool {
        self.complete
            || self
                .groups
                .get(prefix)
                .and_then(|group| group.loaded)
                .is_some_and(|(from, to)| from <= *range.start() && *range.end() <= to)
    }

    /// The rows in a range that is loaded, rising.
    pub fn range<'a>(
        &'a self,
        prefix: &P,
        range: RangeInclusive<K>,
    ) -> impl Iterator<Item = (K, &'a V)> + use<'a, P, K, V, S> {
        let rows = self.groups.get(prefix).map(|group| group.rows.range(range));
        rows.into_iter().flatten().filter_map(|(key, slot)| Some((*key, slot.value.as_ref()?)))
    }

    /// Writes a row, whether its range is loaded or not.
    pub fn put(&mut self, prefix: &P, key: K, value: V) {
        self.set(prefix, key, Some(value));
    }

    /// Deletes a row, whether its range is loaded or not.
    pub fn delete(&mut self, prefix: &P, key: K) {
        self.set(prefix, key, None);
    }

    fn set(&mut self, prefix: &P, key: K, value: Option<V>) {
        self.bytes += row_bytes(&key, value.as_ref());
        self.group(prefix).rows.insert(key, Slot { value, dirty: true });
    }

    fn group(&mut self, prefix: &P) -> &mut Group<K, V> {
        let bytes = &mut self.bytes;
        self.groups.entry(prefix.clone()).or_insert_with(|| {
            *bytes += size_of::<(P, Group<K, V>)>() * 3 / 2 + prefix.heap_bytes();
            Group { loaded: None, rows: BTreeMap::new() }
        })
    }

    /// Bytes that it takes, about; a row that was set twice counts twice.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes in what the store has in a range; what the batch has written stands.
    pub fn load(&mut self, prefix: &P, range: RangeInclusive<K>, rows: impl IntoIterator<Item = (K, V)>) {
        let mut bytes = 0;
        let group = self.group(prefix);
        for (key, value) in rows {
            bytes += row_bytes(&key, Some(&value));
            group.rows.entry(key).or_insert(Slot { value: Some(value), dirty: false });
        }
        let (from, to) = range.into_inner();
        group.loaded = Some(match group.loaded {
            Some((a, b)) => (a.min(from), b.max(to)),
            None => (from, to),
        });
        self.bytes += bytes;
    }

    /// What was written or deleted since the last call, in no order of prefixes.
    pub fn dirty(&self) -> impl Iterator<Item = (&P, K, Option<&V>)> {
        self.groups.iter().flat_map(|(prefix, group)| {
            let rows = group.rows.iter().filter(|(_, slot)| slot.dirty);
            rows.map(move |(key, slot)| (prefix, *key, slot.value.as_ref()))
        })
    }

    /// What is written is in the store now. Only a table without a store below it keeps its rows.
    pub fn settle(&mut self) {
        if !self.complete {
            self.bytes = 0;
            if self.groups.capacity() > SLOTS_KEPT {
                self.groups = HashMap::default();
            } else {
                self.groups.clear();
            }
            return;
        }
        for group in self.groups.values_mut() {
            group.rows.retain(|_, slot| {
                slot.dirty = false;
                slot.value.is_some()
            });
        }
    }
}
