//! Numbers that follow from a seed.

use std::hash::{BuildHasher as _, RandomState};

/// The sequence of one seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Its beginning.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One that follows from how many records the two topics of a history have: the same one for a history that is tried
    /// again.
    #[must_use]
    pub fn of_history([conversations, reads]: [usize; 2]) -> Self {
        Self((conversations as u64) << 32 | reads as u64)
    }

    /// One that no test's outcome depends on, such as which free port is taken.
    #[must_use]
    pub fn unseeded() -> Self {
        Self(RandomState::new().hash_one(()))
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    /// One of several.
    pub fn one_of<'a, T>(&mut self, several: &'a [T]) -> &'a T {
        let at = self.below(several.len() as u64);
        &several[usize::try_from(at).unwrap()]
    }

    /// Any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let at = self.below(end as u64 + 1);
            items.swap(end, usize::try_from(at).unwrap());
        }
    }
}
