//! How keys are put together and taken apart.

use crate::error::Corrupt;

/// The kinds of row, in key order. The numbers are part of the stored format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// [`crate::row::identity`]
    Identity = 0x00,
    /// [`crate::row::progress`]
    Progress = 0x01,
    /// [`crate::row::policy`]
    Policy = 0x02,
    /// [`crate::row::conversation`]
    Conversation = 0x10,
    /// [`crate::row::memberships`]
    Memberships = 0x11,
    /// [`crate::row::member`]
    Member = 0x12,
    /// [`crate::row::active`]
    Active = 0x13,
    /// [`crate::row::leave`]
    Leave = 0x14,
    /// [`crate::row::sweep`]
    Sweep = 0x15,
    /// [`crate::row::stub`]
    Stub = 0x20,
    /// [`crate::row::message`]
    Message = 0x21,
    /// [`crate::row::read_chunk`]
    ReadChunk = 0x22,
    /// [`crate::row::time_chunk`]
    TimeChunk = 0x23,
    /// [`crate::row::cursor`]
    Cursor = 0x24,
    /// [`crate::row::unread`]
    Unread = 0x25,
    /// [`crate::row::waiting`]
    Waiting = 0x30,
    /// [`crate::row::time_mark`]
    TimeMark = 0x31,
    /// [`crate::row::inbox_progress`]
    InboxProgress = 0x40,
    /// [`crate::row::inbox_index`]
    InboxIndex = 0x41,
    /// [`crate::row::inbox_entry`]
    InboxEntry = 0x42,
}

impl Kind {
    /// All kinds, in key order.
    pub const ALL: [Self; 20] = [
        Self::Identity,
        Self::Progress,
        Self::Policy,
        Self::Conversation,
        Self::Memberships,
        Self::Member,
        Self::Active,
        Self::Leave,
        Self::Sweep,
        Self::Stub,
        Self::Message,
        Self::ReadChunk,
        Self::TimeChunk,
        Self::Cursor,
        Self::Unread,
        Self::Waiting,
        Self::TimeMark,
        Self::InboxProgress,
        Self::InboxIndex,
        Self::InboxEntry,
    ];

    /// The kind of the row with this key.
    #[must_use]
    pub fn of(key: &[u8]) -> Option<Self> {
        let first = *key.first()?;
        Self::ALL.into_iter().find(|kind| *kind as u8 == first)
    }
}

/// What the keys of a kind begin with that belong to the conversation with this number.
#[must_use]
pub fn of_number(kind: Kind, conversation: u64) -> Vec<u8> {
    Writer::new(kind).u64(conversation).done()
}

/// What the keys of a kind begin with that belong to the conversation with this id, of the kinds that have it with its
/// length.
#[must_use]
pub fn of_id(kind: Kind, conversation: &receipt_domain::id::ConversationId) -> Vec<u8> {
    Writer::new(kind).text(conversation.as_str()).done()
}

/// A key in the making.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(kind: Kind) -> Self {
        let mut bytes = Vec::with_capacity(40);
        bytes.push(kind as u8);
        Self(bytes)
    }

    pub(crate) fn u32(mut self, n: u32) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, n: u64) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    /// Text at the key's end, whose length needs no telling.
    pub(crate) fn last_text(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Text with more behind it. Identifiers have at most 256 bytes.
    pub(crate) fn text(mut self, text: &str) -> Self {
        let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&len.to_be_bytes());
        self.last_text(text)
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A key being taken apart.
pub(crate) struct Parser<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    pub(crate) fn new(what: &'static str, kind: Kind, key: &'a [u8]) -> Result<Self, Corrupt> {
        match key.split_first() {
            Some((first, rest)) if *first == kind as u8 => Ok(Self { what, rest }),
            _ => Err(Corrupt::new(what, "a key of another kind")),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(|| Corrupt::new(self.what, "a short key"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Corrupt> {
        Ok(self.take(4)?.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Corrupt> {
        Ok(self.take(8)?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    pub(crate) fn last_text(&mut self) -> Result<&'a str, Corrupt> {
        let what = self.what;
        std::str::from_utf8(std::mem::take(&mut self.rest)).map_err(|error| Corrupt::new(what, error.to_string()))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Corrupt> {
        let len = self.take(2)?.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
        let what = self.what;
        std::str::from_utf8(self.take(len)?).map_err(|error| Corrupt::new(what, error.to_string()))
    }

    pub(crate) fn done(self) -> Result<(), Corrupt> {
        if self.rest.is_empty() { Ok(()) } else { Err(Corrupt::new(self.what, "a long key")) }
    }
}

/// Text from a key as an identifier.
pub(crate) fn id<const MAX: usize, const KIND: char>(
    what: &'static str,
    text: &str,
) -> Result<receipt_domain::id::Id<MAX, KIND>, Corrupt> {
    receipt_domain::id::Id::new(text).map_err(|error| Corrupt::new(what, error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use receipt_domain::id::{ConversationId, UserId};

    use super::*;
    use crate::{arbitrary, proof};

    #[test]
    fn kinds_keep_their_numbers() {
        let numbers: Vec<u8> = Kind::ALL.into_iter().map(|kind| kind as u8).collect();
        proof::golden("kinds of row", &numbers, "00 01 02 10 11 12 13 14 15 20 21 22 23 24 25 30 31 40 41 42");
        assert!(Kind::ALL.is_sorted());
        for first in 0..=u8::MAX {
            let kind = Kind::of(&[first, 0xff]);
            assert_eq!(kind.map(|kind| kind as u8), numbers.contains(&first).then_some(first));
        }
        assert_eq!(Kind::of(&[]), None);
    }

    #[test]
    fn golden_bytes() {
        let key = Writer::new(Kind::Waiting).u32(1).u64(2).text("é").text("").last_text("ab").done();
        proof::golden("parts of keys", &key, "30 00000001 0000000000000002 0002 c3a9 0000 6162");
    }

    #[test]
    fn keys_of_a_conversation_begin_with_its_number_or_its_id() {
        use crate::row;
        let (id, message) = (ConversationId::new("room").unwrap(), receipt_domain::id::MessageId::new("m").unwrap());
        let user = UserId::new("ann").unwrap();
        for (kind, key) in [
            (Kind::Memberships, row::memberships::key(7, &user)),
            (Kind::Member, row::member::key(7, 1)),
            (Kind::Active, row::active::key(7, 1)),
            (Kind::Leave, row::leave::key(7, 1)),
            (Kind::Stub, row::stub::key(7, &message)),
            (Kind::Message, row::message::key(7, 1)),
            (Kind::ReadChunk, row::read_chunk::key(7, 1, 1)),
            (Kind::Cursor, row::cursor::key(7, &user)),
            (Kind::Unread, row::unread::key(7, 1, (1, 1))),
        ] {
            assert!(key.starts_with(&of_number(kind, 7)) && !key.starts_with(&of_number(kind, 8)), "{kind:?}");
        }
        let shorter = ConversationId::new("roo").unwrap();
        for (kind, key) in [
            (Kind::Waiting, row::waiting::key(&id, &message, (1, 1))),
            (Kind::TimeMark, row::time_mark::key(&id, &user, (1, 1))),
        ] {
            assert!(key.starts_with(&of_id(kind, &id)) && !key.starts_with(&of_id(kind, &shorter)), "{kind:?}");
        }
    }

    #[test]
    fn texts_that_are_none_are_refused() {
        let mut parser = Parser::new("test", Kind::Waiting, &[0x30, 0, 2, 0xc3, 0x28]).unwrap();
        assert!(parser.text().is_err(), "no UTF-8");
        assert!(parser.done().is_ok());
        let mut parser = Parser::new("test", Kind::Waiting, &[0x30, 0xff, 0xff, b'a']).unwrap();
        assert!(parser.text().is_err(), "longer than the key");
        assert!(id::<128, 'u'>("test", "").is_err());
        assert!(id::<128, 'u'>("test", &"a".repeat(129)).is_err());
        assert!(id::<128, 'u'>("test", "a\n").is_err());
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn parts_come_back(
            n in arbitrary::small(), m in arbitrary::number(), first in arbitrary::id(), last in arbitrary::id(),
            cut: prop::sample::Index,
        ) {
            let (first, last): (ConversationId, UserId) = (first, last);
            let key = Writer::new(Kind::Stub).u32(n).u64(m).text(first.as_str()).last_text(last.as_str()).done();
            let mut parser = Parser::new("test", Kind::Stub, &key).unwrap();
            prop_assert_eq!((parser.u32().unwrap(), parser.u64().unwrap()), (n, m));
            prop_assert_eq!(id("test", parser.text().unwrap()), Ok(first));
            prop_assert_eq!(id("test", parser.last_text().unwrap()), Ok(last));
            prop_assert_eq!(parser.done(), Ok(()));

            let fixed = &key[..13];
            let mut parser = Parser::new("test", Kind::Stub, &fixed[..1 + cut.index(12)]).unwrap();
            prop_assert!(parser.u32().and_then(|_| parser.u64()).is_err(), "a short key");
            let parser = Parser::new("test", Kind::Stub, fixed).unwrap();
            prop_assert!(parser.done().is_err(), "a long key");
            prop_assert!(Parser::new("test", Kind::Message, &key).is_err());
        }
    }
}
