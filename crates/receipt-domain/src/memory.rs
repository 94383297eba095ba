//! How much memory rows take, about (R8): what a batch may hold is bounded by bytes.

use crate::{
    event::Policy,
    id::Id,
    readers::{ActiveChunk, CHUNK_ORDINALS, ReadChunk, Reader, Readers},
    state::{
        Audience, Conversation, Cursor, Kind, LeaveEntry, Member, Membership, Message, Stub, Sweep, TimeMark,
        WaitingRead,
    },
};

/// What an allocation takes beside its bytes: the allocator's own, and what it rounds up by.
const ALLOCATION_BYTES: usize = 16;
/// The two counts of an `Arc`.
const ARC_BYTES: usize = 16;

/// Bytes that a value keeps outside of itself, about. Cheap to ask: not more than a look at lengths.
pub trait HeapBytes {
    /// How many.
    fn heap_bytes(&self) -> usize;
}

fn list_bytes<T>(list: &Vec<T>) -> usize {
    if list.capacity() == 0 { 0 } else { list.capacity() * size_of::<T>() + ALLOCATION_BYTES }
}

impl<const MAX: usize, const KIND: char> HeapBytes for Id<MAX, KIND> {
    /// As if nobody shared the text.
    fn heap_bytes(&self) -> usize {
        self.as_str().len() + ARC_BYTES + ALLOCATION_BYTES
    }
}

impl HeapBytes for u32 {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl HeapBytes for u64 {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl<A: HeapBytes, B: HeapBytes> HeapBytes for (A, B) {
    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes() + self.1.heap_bytes()
    }
}

impl<A: HeapBytes, B: HeapBytes, C: HeapBytes> HeapBytes for (A, B, C) {
    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes() + self.1.heap_bytes() + self.2.heap_bytes()
    }
}

impl HeapBytes for Conversation {
    fn heap_bytes(&self) -> usize {
        match &self.kind {
            Kind::Group(group) => group.group_type.heap_bytes(),
            Kind::OneToOne(two) => two.parties.iter().map(HeapBytes::heap_bytes).sum(),
        }
    }
}

impl HeapBytes for Vec<Membership> {
    fn heap_bytes(&self) -> usize {
        list_bytes(self)
    }
}

impl HeapBytes for Member {
    fn heap_bytes(&self) -> usize {
        self.user.heap_bytes()
    }
}

impl HeapBytes for ActiveChunk {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl HeapBytes for Stub {
    fn heap_bytes(&self) -> usize {
        self.sender.heap_bytes()
    }
}

impl HeapBytes for Message {
    fn heap_bytes(&self) -> usize {
        let audience = match &self.audience {
            Audience::Members { .. } => 0,
            Audience::Listed(ordinals) => list_bytes::<u32>(ordinals),
        };
        let readers = match &self.readers {
            Readers::Inline(list) => list_bytes::<Reader>(list),
            Readers::Chunked(_) => 0,
        };
        self.id.heap_bytes() + self.sender.heap_bytes() + audience + readers
    }
}

impl HeapBytes for ReadChunk {
    fn heap_bytes(&self) -> usize {
        CHUNK_ORDINALS as usize * size_of::<u32>() + ALLOCATION_BYTES
    }
}

impl HeapBytes for Cursor {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl HeapBytes for Sweep {
    fn heap_bytes(&self) -> usize {
        self.conversation.heap_bytes()
    }
}

impl HeapBytes for LeaveEntry {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl HeapBytes for WaitingRead {
    fn heap_bytes(&self) -> usize {
        self.reader.heap_bytes()
    }
}

impl HeapBytes for TimeMark {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl HeapBytes for Policy {
    fn heap_bytes(&self) -> usize {
        match self {
            Self::EveryGroupType => 0,
            Self::GroupTypes(types) => list_bytes(types) + types.iter().map(HeapBytes::heap_bytes).sum::<usize>(),
        }
    }
}
