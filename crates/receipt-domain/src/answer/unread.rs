//! Who has not read a message and is still a member, a chunk of ordinals at a time (S26).
//!
//! A page costs what it returns, and one look at each chunk that it passes over: those addressed, and active, and not
//! among the readers, are three rows of bits.

use super::{Found, Queries};
use crate::{
    readers::{CHUNK_ORDINALS, ChunkBits, Readers, chunk_of, ordinals_of},
    state::{Audience, Kind},
    working_set::{Need, Needs, satisfied},
};

/// Chunks of which rows are asked for at once, at least.
const CHUNKS_AHEAD_MIN: usize = 2;

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
        let chunks = chunks(found, from, latest_first);
        let mut page = Vec::with_capacity(limit.min(CHUNK_ORDINALS as usize));
        for (looked_at, chunk) in chunks.iter().enumerate() {
            if page.len() >= limit {
                break;
            }
            if !self.lacks(found, *chunk).is_empty() {
                // Where few are unread, many chunks are passed over: as many again each time, so that the rows come in
                // few rounds, and no more than twice as many as it takes.
                let ahead = chunks.iter().skip(looked_at).take(looked_at.max(CHUNKS_AHEAD_MIN));
                satisfied(ahead.flat_map(|chunk| self.lacks(found, *chunk)).collect())?;
            }
            let ordinals = ordinals_of(self.unread_bits(found, *chunk), *chunk);
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

    /// The rows of a chunk that are not loaded.
    fn lacks(&self, found: &Found<'_>, chunk: u32) -> Needs {
        let (number, position) = (found.conversation.number, found.position);
        let mut needs = Needs::new();
        if matches!(found.conversation.kind, Kind::Group(_)) && !self.rows.active.is_loaded(&(number, chunk)) {
            needs.push(Need::Active(number, chunk));
        }
        if matches!(found.message.readers, Readers::Chunked(_))
            && !self.rows.reads.is_loaded(&(number, position, chunk))
        {
            needs.push(Need::Reads(number, position, chunk));
        }
        needs
    }

    /// A bit for each ordinal of a chunk that is addressed, active, and not among the readers. Its rows are loaded.
    fn unread_bits(&self, found: &Found<'_>, chunk: u32) -> ChunkBits {
        let number = found.conversation.number;
        let mut bits = addressed(&found.message.audience, chunk);
        if let Kind::Group(_) = found.conversation.kind {
            let active = self.rows.active.get(&(number, chunk)).ok().flatten();
            let active = active.map(|row| row.0).unwrap_or_default();
            bits.iter_mut().zip(active).for_each(|(word, active)| *word &= active);
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
fn chunks(found: &Found<'_>, from: Option<u32>, latest_first: bool) -> Vec<u32> {
    let mut chunks: Vec<u32> = match &found.message.audience {
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
