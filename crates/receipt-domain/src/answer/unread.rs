//! Who has not read a message, a chunk of ordinals at a time: those who are still members, and those who left (S26).
//!
//! A page costs what it returns, and one look at each chunk that it passes over: those addressed, and active, and not
//! among the readers, are three rows of bits. Those who left since the message are in the group's leave log.

use std::collections::BTreeMap;

use super::{Found, Queries};
use crate::{
    readers::{CHUNK_ORDINALS, ChunkBits, Readers, chunk_of, ordinals_of},
    state::{Audience, Kind},
    working_set::{Need, Needs, satisfied},
};

/// Chunks of which rows are asked for at once, at least.
const CHUNKS_AHEAD_MIN: usize = 2;

/// Which of those who have not read a message.
enum Which {
    /// Those who are still members.
    Members,
    /// Those who left. Of a message to all members, a bit for each who left since, by chunk.
    Left(Option<BTreeMap<u32, ChunkBits>>),
}

impl Queries<'_> {
    /// The first `limit` of those who have not read it and are still members, from `from` on by ordinal, or down from
    /// it where `latest_first`. Of a large group it looks at one chunk of ordinals at a time.
    pub fn unread(
        &self,
        found: &Found<'_>,
        from: Option<u32>,
        latest_first: bool,
        limit: usize,
    ) -> Result<Vec<u32>, Needs> {
        let chunks = chunks(&found.message.audience, from, latest_first);
        self.page(found, &Which::Members, &chunks, from, latest_first, limit)
    }

    /// The first `limit` of those who left without having read it, in the order of [`Queries::unread`].
    pub fn left_unread(
        &self,
        found: &Found<'_>,
        from: Option<u32>,
        latest_first: bool,
        limit: usize,
    ) -> Result<Vec<u32>, Needs> {
        let Kind::Group(_) = found.conversation.kind else { return Ok(Vec::new()) };
        let which = match &found.message.audience {
            // Whoever is listed was a member then.
            Audience::Listed(_) => Which::Left(None),
            Audience::Members { .. } => Which::Left(Some(self.left_since(found)?)),
        };
        let mut chunks = chunks(&found.message.audience, from, latest_first);
        if let Which::Left(Some(left)) = &which {
            chunks.retain(|chunk| left.contains_key(chunk));
        }
        self.page(found, &which, &chunks, from, latest_first, limit)
    }

    fn page(
        &self,
        found: &Found<'_>,
        which: &Which,
        chunks: &[u32],
        from: Option<u32>,
        latest_first: bool,
        limit: usize,
    ) -> Result<Vec<u32>, Needs> {
        let mut page = Vec::with_capacity(limit.min(CHUNK_ORDINALS as usize));
        for (looked_at, chunk) in chunks.iter().enumerate() {
            if page.len() >= limit {
                break;
            }
            if !self.lacks(found, which, *chunk).is_empty() {
                // Where few are found, many chunks are passed over: as many again each time, so that the rows come in
                // few rounds, and no more than twice as many as it takes.
                let ahead = chunks.iter().skip(looked_at).take(looked_at.max(CHUNKS_AHEAD_MIN));
                satisfied(ahead.flat_map(|chunk| self.lacks(found, which, *chunk)).collect())?;
            }
            let ordinals = ordinals_of(self.bits(found, which, *chunk), *chunk);
            let passed = |ordinal: &u32| from.is_some_and(|from| (*ordinal > from) == latest_first && *ordinal != from);
            let wanted = limit - page.len();
            if latest_first {
                page.extend(ordinals.rev().filter(|ordinal| !passed(ordinal)).take(wanted));
            } else {
                page.extend(ordinals.filter(|ordinal| !passed(ordinal)).take(wanted));
            }
        }
        Ok(page)
    }

    /// Who left the group since a message to all members, less the sender.
    fn left_since(&self, found: &Found<'_>) -> Result<BTreeMap<u32, ChunkBits>, Needs> {
        let (number, from) = (found.conversation.number, found.message.leaves_before());
        if !self.rows.leaves.is_loaded(&number, &(from..=u32::MAX)) {
            return Err(vec![Need::Leaves(number, from)]);
        }
        let mut left = BTreeMap::<u32, ChunkBits>::new();
        for (_, entry) in self.rows.leaves.range(&number, from..=u32::MAX) {
            if found.message.addresses(entry.ordinal) {
                set(left.entry(chunk_of(entry.ordinal)).or_default(), entry.ordinal, true);
            }
        }
        Ok(left)
    }

    /// The rows of a chunk that are not loaded.
    fn lacks(&self, found: &Found<'_>, which: &Which, chunk: u32) -> Needs {
        let (number, position) = (found.conversation.number, found.position);
        let mut needs = Needs::new();
        let looks_at_active = matches!(which, Which::Members | Which::Left(None));
        if looks_at_active
            && matches!(found.conversation.kind, Kind::Group(_))
            && !self.rows.active.is_loaded(&(number, chunk))
        {
            needs.push(Need::Active(number, chunk));
        }
        if matches!(found.message.readers, Readers::Chunked(_))
            && !self.rows.reads.is_loaded(&(number, position, chunk))
        {
            needs.push(Need::Reads(number, position, chunk));
        }
        needs
    }

    /// A bit for each ordinal of a chunk that is addressed, active or not, and not among the readers. Its rows are
    /// loaded.
    fn bits(&self, found: &Found<'_>, which: &Which, chunk: u32) -> ChunkBits {
        let number = found.conversation.number;
        let mut bits = match which {
            Which::Left(Some(left)) => left.get(&chunk).copied().unwrap_or_default(),
            Which::Members | Which::Left(None) => addressed(&found.message.audience, chunk),
        };
        if let (Kind::Group(_), Which::Members | Which::Left(None)) = (&found.conversation.kind, which) {
            let active = self.rows.active.get(&(number, chunk)).ok().flatten();
            let active = active.map(|row| row.0).unwrap_or_default();
            let left = matches!(which, Which::Left(_));
            bits.iter_mut().zip(active).for_each(|(word, active)| *word &= if left { !active } else { active });
        }
        match &found.message.readers {
            Readers::Inline(list) => {
                list.iter().filter(|r| chunk_of(r.ordinal) == chunk).for_each(|r| set(&mut bits, r.ordinal, false));
            }
            Readers::Chunked(_) => {
                if let Ok(Some(row)) = self.rows.reads.get(&(number, found.position, chunk)) {
                    bits.iter_mut().zip(row.bits()).for_each(|(word, read)| *word &= !read);
                }
            }
        }
        bits
    }
}

/// The chunks that hold the audience, from where the page begins, in the order of the walk.
fn chunks(audience: &Audience, from: Option<u32>, latest_first: bool) -> Vec<u32> {
    let mut chunks: Vec<u32> = match audience {
        Audience::Members { next_ordinal: 0, .. } => Vec::new(),
        Audience::Members { next_ordinal, .. } => (0..=chunk_of(next_ordinal.saturating_sub(1))).collect(),
        Audience::Listed(ordinals) => ordinals.iter().map(|ordinal| chunk_of(*ordinal)).collect(),
    };
    chunks.dedup();
    if let Some(from) = from.map(chunk_of) {
        chunks.retain(|chunk| if latest_first { *chunk <= from } else { from <= *chunk });
    }
    if latest_first {
        chunks.reverse();
    }
    chunks
}

/// A bit for each ordinal of a chunk that a message was sent to, if its membership had not ended then.
fn addressed(audience: &Audience, chunk: u32) -> ChunkBits {
    let mut bits = ChunkBits::default();
    match audience {
        Audience::Members { next_ordinal, sender } => {
            let mut below = next_ordinal.saturating_sub(chunk * CHUNK_ORDINALS);
            for word in &mut bits {
                *word = if below >= 64 { u64::MAX } else { (1 << below) - 1 };
                below = below.saturating_sub(64);
            }
            if let Some(sender) = sender.filter(|sender| chunk_of(*sender) == chunk) {
                set(&mut bits, sender, false);
            }
        }
        Audience::Listed(ordinals) => {
            let first = ordinals.partition_point(|ordinal| chunk_of(*ordinal) < chunk);
            let here = ordinals[first..].iter().take_while(|ordinal| chunk_of(**ordinal) == chunk);
            here.for_each(|ordinal| set(&mut bits, *ordinal, true));
        }
    }
    bits
}

fn set(bits: &mut ChunkBits, ordinal: u32, to: bool) {
    let index = (ordinal % CHUNK_ORDINALS) as usize;
    let bit = 1 << (index % 64);
    if to { bits[index / 64] |= bit } else { bits[index / 64] &= !bit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addressed_are_the_ordinals_that_the_audience_names() {
        let ordinals = |audience: &Audience| -> Vec<u32> {
            (0..3).flat_map(|chunk| ordinals_of(addressed(audience, chunk), chunk)).collect()
        };
        for next_ordinal in [0, 1, 63, 64, 65, 1023, 1024, 1025, 2047, 2048, 2049] {
            let expected: Vec<u32> = (0..next_ordinal).collect();
            assert_eq!(ordinals(&Audience::Members { next_ordinal, sender: None }), expected);
        }
        let less_sender: Vec<u32> = (0..2000).filter(|ordinal| *ordinal != 1024).collect();
        assert_eq!(ordinals(&Audience::Members { next_ordinal: 2000, sender: Some(1024) }), less_sender);
        let listed = vec![0, 63, 64, 1023, 1024, 2048];
        assert_eq!(ordinals(&Audience::Listed(listed.clone())), listed);
    }
}
