//! Rows in memory: those that a batch has loaded or written, over those that stand in the store.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, RandomState},
    ops::RangeInclusive,
};

/// A row, or its known absence.
#[derive(Clone)]
struct Slot<V> {
    value: Option<V>,
    dirty: bool,
}

/// A row that the working set does not know of: it must be loaded first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unloaded;

/// Rows that are loaded one by one. Keys with text from outside are hashed with a random seed, numbers need none.
#[derive(Clone)]
pub struct Table<K, V, S = RandomState> {
    slots: HashMap<K, Slot<V>, S>,
    complete: bool,
}

impl<K: Hash + Eq + Clone, V, S: BuildHasher + Default> Table<K, V, S> {
    /// An empty table; a `complete` one has no store below it, so what it does not hold does not exist.
    #[must_use]
    pub fn new(complete: bool) -> Self {
        Self { slots: HashMap::default(), complete }
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
        self.slots.insert(key, Slot { value: Some(value), dirty: true });
    }

    /// Deletes the row.
    pub fn delete(&mut self, key: &K) {
        self.slots.insert(key.clone(), Slot { value: None, dirty: true });
    }

    /// Takes in what the store has under a key; what the batch has written stands.
    pub fn load(&mut self, key: K, value: Option<V>) {
        self.slots.entry(key).or_insert(Slot { value, dirty: false });
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

    /// How many rows and absences are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What is written is in the store now. Only a table without a store below it keeps its rows.
    pub fn settle(&mut self) {
        if self.complete {
            for slot in self.slots.values_mut() {
                slot.dirty = false;
            }
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
    complete: bool,
}

impl<P: Hash + Eq + Clone, K: Ord + Copy, V, S: BuildHasher + Default> RangeTable<P, K, V, S> {
    /// An empty table; a `complete` one has no store below it.
    #[must_use]
    pub fn new(complete: bool) -> Self {
        Self { groups: HashMap::default(), complete }
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
        self.group(prefix).rows.insert(key, Slot { value, dirty: true });
    }

    fn group(&mut self, prefix: &P) -> &mut Group<K, V> {
        self.groups.entry(prefix.clone()).or_insert_with(|| Group { loaded: None, rows: BTreeMap::new() })
    }

    /// Takes in what the store has in a range; what the batch has written stands.
    pub fn load(&mut self, prefix: &P, range: RangeInclusive<K>, rows: impl IntoIterator<Item = (K, V)>) {
        let group = self.group(prefix);
        for (key, value) in rows {
            group.rows.entry(key).or_insert(Slot { value: Some(value), dirty: false });
        }
        let (from, to) = range.into_inner();
        group.loaded = Some(match group.loaded {
            Some((a, b)) => (a.min(from), b.max(to)),
            None => (from, to),
        });
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
            self.groups.clear();
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
