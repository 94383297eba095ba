//! Who has read one message, and when: the read set.
//!
//! A small set is one list in time order and stands in its message. A large one is kept in chunks by ordinal, so that a
//! read touches one chunk whatever the group's size; the store keeps an index by time beside them.

use serde::{Deserialize, Serialize};

/// Ordinals in one chunk of a large read set, and in one chunk of a group's active memberships.
pub const CHUNK_ORDINALS: u32 = 1024;
/// Readers that a small set holds before it is kept in chunks.
pub const INLINE_READERS_MAX: usize = 256;

/// One reader of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// When, in whole seconds since 1970.
    pub read_at_s: u32,
    /// Which membership.
    pub ordinal: u32,
}

/// The readers of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readers {
    /// Sorted by time, then ordinal. Encoded by a format of its own.
    Inline(#[serde(skip)] Vec<Reader>),
    /// This many, in chunks by ordinal.
    Chunked(u32),
}

impl Default for Readers {
    fn default() -> Self {
        Self::Inline(Vec::new())
    }
}

impl Readers {
    /// How many have read the message.
    #[must_use]
    pub fn count(&self) -> u32 {
        match self {
            // A small set is far below the range of u32.
            Self::Inline(list) => u32::try_from(list.len()).unwrap_or(u32::MAX),
            Self::Chunked(count) => *count,
        }
    }
}

/// What joining a read into a set did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// A new reader.
    New,
    /// A reader before, with this later time, which has moved back (S18).
    Earlier(u32),
    /// Nothing (R5).
    Nothing,
}

/// Joins a read into a small set.
pub fn join_inline(list: &mut Vec<Reader>, read: Reader) -> Joined {
    let joined = match list.iter().position(|r| r.ordinal == read.ordinal) {
        Some(at) if list[at].read_at_s <= read.read_at_s => return Joined::Nothing,
        Some(at) => Joined::Earlier(list.remove(at).read_at_s),
        None => Joined::New,
    };
    let at = match list.last() {
        Some(last) if *last > read => list.partition_point(|r| *r < read),
        _ => list.len(),
    };
    list.insert(at, read);
    joined
}

/// The chunk that holds an ordinal.
#[must_use]
pub fn chunk_of(ordinal: u32) -> u32 {
    ordinal / CHUNK_ORDINALS
}

fn index_in_chunk(ordinal: u32) -> usize {
    (ordinal % CHUNK_ORDINALS) as usize
}

const ABSENT: u32 = u32::MAX;
/// 64-bit words of a chunk's bitmap.
pub const CHUNK_WORDS: usize = CHUNK_ORDINALS as usize / 64;

/// A bit for each ordinal of a chunk.
pub type ChunkBits = [u64; CHUNK_WORDS];

/// The ordinals whose bits are set in chunk number `chunk`, rising.
pub fn ordinals_of(bits: ChunkBits, chunk: u32) -> impl DoubleEndedIterator<Item = u32> {
    let is_set = move |i: &u32| bits[*i as usize / 64] & (1 << (i % 64)) != 0;
    (0..CHUNK_ORDINALS).filter(is_set).map(move |i| chunk * CHUNK_ORDINALS + i)
}

/// A chunk of a large read set: read times by ordinal.
#[derive(Clone, PartialEq, Eq)]
pub struct ReadChunk(Box<[u32; CHUNK_ORDINALS as usize]>);

impl Default for ReadChunk {
    fn default() -> Self {
        Self(Box::new([ABSENT; CHUNK_ORDINALS as usize]))
    }
}

impl std::fmt::Debug for ReadChunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.readers(0)).finish()
    }
}

impl ReadChunk {
    /// When an ordinal read the message, if it has; only the ordinal's place in its chunk counts.
    #[must_use]
    pub fn read_at_s(&self, ordinal: u32) -> Option<u32> {
        let time = self.0[index_in_chunk(ordinal)];
        (time != ABSENT).then_some(time)
    }

    /// Joins a read.
    pub fn join(&mut self, read: Reader) -> Joined {
        let slot = &mut self.0[index_in_chunk(read.ordinal)];
        let before = *slot;
        if before <= read.read_at_s {
            return Joined::Nothing;
        }
        *slot = read.read_at_s;
        if before == ABSENT { Joined::New } else { Joined::Earlier(before) }
    }

    /// A bit for each ordinal that has read the message.
    #[must_use]
    pub fn bits(&self) -> ChunkBits {
        let (groups, _) = self.0.as_chunks::<64>();
        let mut bits = ChunkBits::default();
        for (word, times) in bits.iter_mut().zip(groups) {
            *word = times.iter().rev().fold(0, |word, time| word << 1 | u64::from(*time != ABSENT));
        }
        bits
    }

    /// The readers in chunk number `chunk`, by ordinal.
    pub fn readers(&self, chunk: u32) -> impl Iterator<Item = Reader> + '_ {
        (0..CHUNK_ORDINALS)
            .zip(self.0.iter())
            .filter(|(_, time)| **time != ABSENT)
            .map(move |(index, time)| Reader { read_at_s: *time, ordinal: chunk * CHUNK_ORDINALS + index })
    }
}

/// A chunk of a group's active memberships: a bit for each ordinal whose membership has not ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActiveChunk(pub ChunkBits);

impl ActiveChunk {
    /// The ordinal's membership begins.
    pub fn insert(&mut self, ordinal: u32) {
        let i = index_in_chunk(ordinal);
        self.0[i / 64] |= 1 << (i % 64);
    }

    /// The ordinal's membership ends.
    pub fn remove(&mut self, ordinal: u32) {
        let i = index_in_chunk(ordinal);
        self.0[i / 64] &= !(1 << (i % 64));
    }

    /// Whether the ordinal's membership has begun and not ended.
    #[must_use]
    pub fn contains(&self, ordinal: u32) -> bool {
        let i = index_in_chunk(ordinal);
        self.0[i / 64] & (1 << (i % 64)) != 0
    }

    /// The active ordinals in chunk number `chunk`, rising.
    pub fn ordinals(&self, chunk: u32) -> impl DoubleEndedIterator<Item = u32> + use<> {
        ordinals_of(self.0, chunk)
    }
}
