//! The state of one moment, for queries: a RocksDB snapshot, and the rows loaded from it.

use receipt_domain::{
    answer::Queries,
    id::ConversationId,
    readers::Reader,
    settings::Settings,
    state::Progress,
    working_set::{Needs, PolicyInForce, WorkingSet},
};
use rocksdb::{DB, ReadOptions, Snapshot};

use crate::{
    Digest,
    compare::{self, CompareError, Comparison, Difference, Differing, Side, Walk},
    consistent::Consistent,
    describe, digest,
    error::StoreError,
    horizon::Horizon,
    load, one_conversation, time_index,
};

/// One moment of a partition. Everything asked of it is answered from the same state.
pub struct View<'a> {
    db: &'a DB,
    snapshot: Snapshot<'a>,
    rows: WorkingSet,
    settings: Settings,
    horizon: &'a Horizon,
    held: u64,
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        self.horizon.release(self.held);
    }
}

impl<'a> View<'a> {
    pub(crate) fn take(db: &'a DB, settings: Settings, horizon: &'a Horizon, held: u64) -> Result<Self, StoreError> {
        // The view comes first, so that the horizon is released whatever fails.
        let snapshot = db.snapshot();
        let rows = WorkingSet::over_store(Progress::default(), PolicyInForce::EveryGroupType);
        let mut view = Self { db, snapshot, rows, settings, horizon, held };
        view.rows.progress = load::progress(db, &options(&view.snapshot))?;
        Ok(view)
    }

    /// How far the input is folded at this moment.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.rows.progress
    }

    /// Asks a question, loading rows until it has all it needs.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn ask<T>(&mut self, question: impl Fn(&Queries<'_>) -> Result<T, Needs>) -> Result<T, StoreError> {
        let mut before = Needs::new();
        loop {
            match question(&Queries::new(&self.rows, &self.settings)) {
                Ok(answer) => return Ok(answer),
                Err(needs) if needs == before => return Err(StoreError::Unsatisfied(format!("{needs:?}"))),
                Err(needs) => {
                    load::load(self.db, &|| options(&self.snapshot), &needs, &mut self.rows)?;
                    before = needs;
                }
            }
        }
    }

    pub(crate) fn readers_by_time(
        &self,
        message: (u64, u64),
        from: Option<Reader>,
        latest_first: bool,
        limit: usize,
    ) -> Result<Vec<Reader>, StoreError> {
        time_index::page(self.db, &|| options(&self.snapshot), message, from, latest_first, limit)
    }

    /// A digest of the logical state, to compare two folds by: equal where both tell the same, whichever log and offsets
    /// they come from. Reads all rows.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn digest(&self) -> Result<Digest, StoreError> {
        digest::of(self.db, &|| options(&self.snapshot), &self.settings, &self.rows.progress)
    }

    /// Compares the logical state with another one of the same log, entry by entry. Of what differs the first
    /// `first_max` are told, with what each has. Reads all rows of both; `told` is told how many of this one's so far, and
    /// says whether to go on. `None`: it did not.
    ///
    /// # Errors
    /// If rows of one of the two can't be read: which, and where.
    pub fn compare(
        &self,
        other: &View<'_>,
        first_max: usize,
        mut told: impl FnMut(u64) -> bool,
    ) -> Result<Option<Comparison>, CompareError> {
        let (ours, theirs) = (|| options(&self.snapshot), || options(&other.snapshot));
        let this = Walk::new(Side::This, self.db, &ours, &self.settings, &self.rows.progress)?;
        let that = Walk::new(Side::Other, other.db, &theirs, &other.settings, &other.rows.progress)?;
        let Some((this, that, found)) = compare::walk(this, that, first_max, &mut told)? else { return Ok(None) };
        let mut comparison = Comparison { this, other: that, differences: found.count, first: Vec::new() };
        let all_kept = this.all_kept && that.all_kept;
        let compared = |progress: &Progress| {
            let receipts = if all_kept { progress.receipts } else { 0 };
            Progress { receipts, ..progress.logical() }
        };
        let (ours_at, theirs_at) = (compared(&self.rows.progress), compared(&other.rows.progress));
        if ours_at != theirs_at {
            comparison.differences += 1;
            let place = describe::Place { row: "progress".to_owned(), ..describe::Place::default() };
            let shown = |progress: &Progress| Some(format!("{progress:?}"));
            comparison.first.push(Difference { place, this: shown(&ours_at), other: shown(&theirs_at) });
        }
        for Differing { key, this, other: that } in found.first {
            // Who has the row knows whose it is; where both have one, the other: it is the one to go by.
            let place = if that.is_some() {
                describe::place(other.db, &theirs, &key).map_err(|error| CompareError::of(Side::Other, error))?
            } else {
                describe::place(self.db, &ours, &key).map_err(|error| CompareError::of(Side::This, error))?
            };
            let shown = |value: Option<Vec<u8>>| value.map(|value| describe::value(&key, &value));
            comparison.first.push(Difference { place, this: shown(this), other: shown(that) });
        }
        let rows = this.rows;
        let checked = self.consistent(&ours, first_max, &mut || told(rows), &mut comparison);
        comparison.first.truncate(first_max);
        Ok(checked.map_err(|source| CompareError::of(Side::This, source))?.then_some(comparison))
    }

    /// Of what is not compared, what this one's own rows contradict. `false`: it was told not to go on.
    fn consistent(
        &self,
        options: &impl Fn() -> ReadOptions,
        first_max: usize,
        go_on: &mut impl FnMut() -> bool,
        comparison: &mut Comparison,
    ) -> Result<bool, StoreError> {
        let (settings, progress) = (&self.settings, &self.rows.progress);
        let state = Consistent { db: self.db, options, settings, progress };
        let mut found = Vec::new();
        let all = state.check(go_on, &mut |untrue| {
            comparison.differences += 1;
            if comparison.first.len() + found.len() < first_max {
                found.push(untrue);
            }
        })?;
        for untrue in found {
            let place = describe::place(self.db, options, &untrue.key)?;
            comparison.first.push(Difference { place, this: Some(untrue.claims), other: Some(untrue.but) });
        }
        Ok(all)
    }

    /// Hands on all rows of one conversation with those that it shares, for [`crate::in_memory`], until `each` says to stop.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn conversation_rows(
        &self,
        id: &ConversationId,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        one_conversation::read(self.db, &|| options(&self.snapshot), (id, &self.settings, &self.rows.progress), each)
    }

    /// The policy event with this number, from 0, as it was written.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn policy(&self, number: u64) -> Result<Option<receipt_domain::event::Policy>, StoreError> {
        use receipt_codec::row::policy;
        let value = self.db.get_opt(policy::key(number), &options(&self.snapshot))?;
        Ok(value.map(|value| policy::decode(&value)).transpose()?)
    }
}

fn options(snapshot: &Snapshot<'_>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_snapshot(snapshot);
    options
}
