//! Counts the entries of a request before it is decoded: decoded, an empty entry takes a hundred times the two bytes that
//! it takes here.

/// Fields of a request, at most: more than any list in it may have entries.
const FIELDS_MAX: usize = 20_000;
/// The wire type of messages, strings and bytes.
const LENGTH_DELIMITED: u64 = 2;

/// A list of which it is known how many entries it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) field: &'static str,
    /// Its number in the request.
    pub(crate) number: u64,
    pub(crate) max: usize,
}

/// A list with more entries than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany {
    pub(crate) field: &'static str,
    pub(crate) max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In a field's number and wire type.
    Tag,
    /// In a number.
    Varint,
    /// In the length of what is passed over then.
    Length,
    /// So many bytes before the next field.
    Value(u64),
    /// It is no message: decoding it says so.
    Nonsense,
}

/// The fields of one message, whose bytes come piece by piece.
#[derive(Debug)]
pub(crate) struct Entries {
    list: Option<List>,
    at: At,
    varint: u64,
    varint_bits: u32,
    fields: usize,
    of_list: usize,
}

impl Entries {
    pub(crate) fn new(list: Option<List>) -> Self {
        Self { list, at: At::Tag, varint: 0, varint_bits: 0, fields: 0, of_list: 0 }
    }

    /// The next bytes.
    ///
    /// # Errors
    /// If there are more entries than there may be.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<(), TooMany> {
        while let Some((first, rest)) = bytes.split_first() {
            if let At::Value(left) = self.at {
                let passed = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                bytes = &bytes[passed..];
                let left = left.saturating_sub(passed as u64);
                self.at = if left == 0 { At::Tag } else { At::Value(left) };
                continue;
            }
            if self.at == At::Nonsense {
                return Ok(());
            }
            bytes = rest;
            self.varint |= u64::from(first & 0x7f).checked_shl(self.varint_bits).unwrap_or_default();
            self.varint_bits += 7;
            if first & 0x80 != 0 {
                if self.varint_bits >= 70 {
                    self.at = At::Nonsense;
                }
                continue;
            }
            let varint = std::mem::take(&mut self.varint);
            self.varint_bits = 0;
            self.at = match self.at {
                At::Tag => self.field(varint)?,
                At::Length if varint > 0 => At::Value(varint),
                _ => At::Tag,
            };
        }
        Ok(())
    }

    fn field(&mut self, tag: u64) -> Result<At, TooMany> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(TooMany { field: "request", max: FIELDS_MAX });
        }
        if let Some(List { field, number, max }) = self.list
            && tag >> 3 == number
            && tag & 7 == LENGTH_DELIMITED
        {
            self.of_list += 1;
            if self.of_list > max {
                return Err(TooMany { field, max });
            }
        }
        Ok(match tag & 7 {
            0 => At::Varint,
            1 => At::Value(8),
            LENGTH_DELIMITED => At::Length,
            // A group's fields count as well.
            3 | 4 => At::Tag,
            5 => At::Value(4),
            _ => At::Nonsense,
        })
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use receipt_proto::v1;

    use super::*;

    const EVENTS: List = List { field: "events", number: 1, max: 3 };

    /// However the bytes are cut.
    fn count(bytes: &[u8]) -> Result<usize, TooMany> {
        let mut counted = Vec::new();
        for size in [1, 2, 7, bytes.len().max(1)] {
            let mut entries = Entries::new(Some(EVENTS));
            counted.push(bytes.chunks(size).try_for_each(|piece| entries.take(piece)).map(|()| entries.of_list));
        }
        assert!(counted.windows(2).all(|two| two[0] == two[1]), "{counted:?}");
        counted[0]
    }

    fn request(events: Vec<v1::ConversationEvent>) -> Vec<u8> {
        v1::PublishConversationEventsRequest { events, wait: true }.encode_to_vec()
    }

    #[test]
    fn entries_are_counted_as_decoding_would() {
        let event = |id: &str| v1::ConversationEvent { conversation_id: id.to_owned(), ..Default::default() };
        let long = "x".repeat(300);
        for ids in [vec![], vec![""], vec!["a", "", long.as_str()]] {
            let bytes = request(ids.iter().map(|id| event(id)).collect());
            assert_eq!(count(&bytes), Ok(ids.len()), "{ids:?}");
        }
        let bytes = request(vec![event("a"); 4]);
        assert_eq!(count(&bytes), Err(TooMany { field: "events", max: 3 }));
    }

    #[test]
    fn other_wire_types_are_passed_over() {
        // 2: fixed64, 3: fixed32, 4: a group with a number in it, 1: a string.
        let bytes =
            [&[0x11][..], &[0x0a; 8], &[0x1d], &[0x0a; 4], &[0x23, 0x28, 0x01, 0x24], &[0x0a, 1, b'x']].concat();
        assert_eq!(count(&bytes), Ok(1));
    }

    #[test]
    fn what_is_no_message_is_left_to_the_decoder() {
        for bytes in [&[0xff; 40][..], &[0x07, 0x0a, 0x00], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2]] {
            assert!(count(bytes).is_ok(), "{bytes:?}");
        }
    }

    #[test]
    fn a_request_of_nothing_but_fields_has_an_end() {
        let mut entries = Entries::new(None);
        let bytes = [0x7a, 0x00].repeat(FIELDS_MAX);
        assert_eq!(entries.take(&bytes), Ok(()));
        assert_eq!(entries.take(&[0x7a, 0x00]), Err(TooMany { field: "request", max: FIELDS_MAX }));
    }
}
