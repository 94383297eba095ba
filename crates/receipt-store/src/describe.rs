//! Rows for people: what they are, whose they are, and what is in them.

use std::fmt::{self, Debug};

use receipt_codec::{
    Corrupt,
    key::Kind,
    row::{
        active, conversation, cursor, identity, inbox_entry, inbox_index, inbox_progress, leave, member, memberships,
        message, policy, progress, read_chunk, stub, sweep, time_chunk, time_mark, unread, waiting,
    },
};
use receipt_domain::state;
use rocksdb::{DB, Direction, IteratorMode, ReadOptions};

use crate::error::StoreError;

/// Where an entry of the state stands: its kind of row, and what its key says, with the ids that the store has for the
/// numbers in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The kind of row, such as "message".
    pub row: String,
    /// Whose conversation.
    pub conversation: Option<String>,
    /// Of which message.
    pub message: Option<String>,
    /// Of which user.
    pub user: Option<String>,
    /// What else the key says, such as a position.
    pub more: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.row)?;
        let named =
            [("conversation", &self.conversation), ("message", &self.message), ("user", &self.user)].into_iter();
        for (name, id) in named {
            if let Some(id) = id {
                write!(f, ", {name} {id}")?;
            }
        }
        if self.more.is_empty() { Ok(()) } else { write!(f, " ({})", self.more) }
    }
}

/// A reader's key where states are compared: one for each, whatever the chunks. Longer than that of any row of the kind.
pub(crate) fn reader_key(kind: Kind, number: u64, position: u64, ordinal: u32) -> Vec<u8> {
    let mut key = vec![kind as u8];
    key.extend_from_slice(&number.to_be_bytes());
    key.extend_from_slice(&position.to_be_bytes());
    key.extend_from_slice(b"reader");
    key.extend_from_slice(&ordinal.to_be_bytes());
    key
}

/// The key of a large read set's log time where states are compared. No row's.
pub(crate) fn log_time_key(kind: Kind, number: u64, position: u64) -> Vec<u8> {
    [&[kind as u8][..], &number.to_be_bytes(), &position.to_be_bytes(), LOG_TIME].concat()
}

const LOG_TIME: &[u8] = b"log time at the message";

/// The parts of a [`log_time_key`].
fn decode_log_time_key(key: &[u8]) -> Option<(u64, u64)> {
    let (position, number) = (key.strip_suffix(LOG_TIME)?, key.get(1..9)?);
    let position = position.get(9..17).filter(|_| position.len() == 17)?;
    let kind = matches!(Kind::of(key), Some(Kind::ReadChunk | Kind::TimeChunk));
    kind.then_some((u64::from_be_bytes(number.try_into().ok()?), u64::from_be_bytes(position.try_into().ok()?)))
}

/// The parts of a [`reader_key`].
fn decode_reader_key(key: &[u8]) -> Option<(u64, u64, u32)> {
    if !matches!(Kind::of(key), Some(Kind::Message | Kind::ReadChunk | Kind::TimeChunk)) {
        return None;
    }
    let (number, rest) = key.get(1..)?.split_first_chunk::<8>()?;
    let (position, rest) = rest.split_first_chunk::<8>()?;
    let (ordinal, []) = rest.strip_prefix(b"reader")?.split_first_chunk::<4>()? else { return None };
    Some((u64::from_be_bytes(*number), u64::from_be_bytes(*position), u32::from_be_bytes(*ordinal)))
}

/// A key alone, without a store to look into.
pub(crate) fn key(key: &[u8]) -> String {
    let parts = parts(key).unwrap_or_else(|_| Parts { more: "undecodable".to_owned(), ..Parts::default() });
    let Parts { conversation, message, user, number, position, ordinal, more } = parts;
    let mut place = Place { row: kind_name(key), conversation, message, user, more };
    let numbers = [("conversation number", number), ("position", position), ("ordinal", ordinal.map(u64::from))];
    for (name, n) in numbers {
        if let Some(n) = n {
            place.more = join(&place.more, &format!("{name} {n}"));
        }
    }
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    place.more = join(&place.more, &format!("key {hex}"));
    place.to_string()
}

fn join(one: &str, two: &str) -> String {
    if one.is_empty() { two.to_owned() } else { format!("{one}, {two}") }
}

fn kind_name(key: &[u8]) -> String {
    Kind::of(key).map_or_else(|| "of no kind".to_owned(), name)
}

/// A kind's name, such as "read chunk".
pub(crate) fn name(kind: Kind) -> String {
    let mut name = String::new();
    for c in format!("{kind:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push(' ');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// What a key says.
#[derive(Default)]
struct Parts {
    conversation: Option<String>,
    message: Option<String>,
    user: Option<String>,
    number: Option<u64>,
    position: Option<u64>,
    ordinal: Option<u32>,
    more: String,
}

fn parts(key: &[u8]) -> Result<Parts, Corrupt> {
    let none = Parts::default();
    if let Some((number, position, ordinal)) = decode_reader_key(key) {
        return Ok(Parts { number: Some(number), position: Some(position), ordinal: Some(ordinal), ..none });
    }
    if let Some((number, position)) = decode_log_time_key(key) {
        return Ok(Parts { number: Some(number), position: Some(position), ..none });
    }
    let of = |number| Parts { number: Some(number), ..Parts::default() };
    Ok(match Kind::of(key) {
        Some(Kind::Conversation) => {
            Parts { conversation: Some(conversation::decode_key(key)?.as_str().to_owned()), ..none }
        }
        Some(Kind::Memberships) => {
            let (number, user) = memberships::decode_key(key)?;
            Parts { user: Some(user.as_str().to_owned()), ..of(number) }
        }
        Some(Kind::Member) => {
            let (number, ordinal) = member::decode_key(key)?;
            Parts { ordinal: Some(ordinal), ..of(number) }
        }
        Some(Kind::Active) => {
            let (number, chunk) = active::decode_key(key)?;
            Parts { more: format!("chunk {chunk}"), ..of(number) }
        }
        Some(Kind::Leave) => {
            let (number, index) = leave::decode_key(key)?;
            Parts { more: format!("leave {index}"), ..of(number) }
        }
        Some(Kind::Sweep) => of(sweep::decode_key(key)?),
        Some(Kind::Stub) => {
            let (number, message) = stub::decode_key(key)?;
            Parts { message: Some(message.as_str().to_owned()), ..of(number) }
        }
        Some(Kind::Message) => {
            let (number, position) = message::decode_key(key)?;
            Parts { position: Some(position), ..of(number) }
        }
        Some(Kind::ReadChunk) => {
            let (number, position, chunk) = read_chunk::decode_key(key)?;
            Parts { position: Some(position), more: format!("chunk {chunk}"), ..of(number) }
        }
        Some(Kind::TimeChunk) => {
            let (number, position, first) = time_chunk::decode_key(key)?;
            Parts { position: Some(position), more: format!("from {first:?}"), ..of(number) }
        }
        Some(Kind::Cursor) => {
            let (number, user) = cursor::decode_key(key)?;
            Parts { user: Some(user.as_str().to_owned()), ..of(number) }
        }
        Some(Kind::Unread) => {
            let (number, ordinal, (_, position)) = unread::decode_key(key)?;
            Parts { ordinal: Some(ordinal), position: Some(position), ..of(number) }
        }
        Some(Kind::Waiting) => {
            let (conversation, message, _) = waiting::decode_key(key)?;
            let (conversation, message) = (conversation.as_str().to_owned(), message.as_str().to_owned());
            Parts { conversation: Some(conversation), message: Some(message), ..none }
        }
        Some(Kind::TimeMark) => {
            let (conversation, user, (up_to_ms, _)) = time_mark::decode_key(key)?;
            let (conversation, user) = (conversation.as_str().to_owned(), user.as_str().to_owned());
            Parts { conversation: Some(conversation), user: Some(user), more: format!("up to {up_to_ms} ms"), ..none }
        }
        Some(Kind::Policy) => Parts { more: format!("number {}", policy::decode_key(key)?), ..none },
        Some(Kind::InboxIndex | Kind::InboxEntry) => inbox_parts(key)?,
        Some(Kind::Identity | Kind::Progress | Kind::InboxProgress) | None => none,
    })
}

fn inbox_parts(key: &[u8]) -> Result<Parts, Corrupt> {
    if Kind::of(key) == Some(Kind::InboxEntry) {
        let (sender, offset) = inbox_entry::decode_key(key)?;
        let more = format!("offset {offset}");
        return Ok(Parts { user: Some(sender.as_str().to_owned()), more, ..Parts::default() });
    }
    let (sender, conversation, message) = inbox_index::decode_key(key)?;
    Ok(Parts {
        user: Some(sender.as_str().to_owned()),
        conversation: Some(conversation.as_str().to_owned()),
        message: message.map(|message| message.as_str().to_owned()),
        ..Parts::default()
    })
}

/// A value, decoded, or what is wrong with it.
pub(crate) fn value(key: &[u8], value: &[u8]) -> String {
    if decode_reader_key(key).is_some() {
        return match value.first_chunk::<4>() {
            Some(read_at_s) => format!("read at {} s", u32::from_be_bytes(*read_at_s)),
            None => format!("{value:02x?}"),
        };
    }
    if let (Some(_), Some(log_time_ms)) = (decode_log_time_key(key), value.first_chunk::<8>()) {
        return format!("log time {} ms", u64::from_be_bytes(*log_time_ms));
    }
    row(key, value).unwrap_or_else(|error| error.to_string())
}

/// A row's value, decoded.
pub(crate) fn row(key: &[u8], value: &[u8]) -> Result<String, Corrupt> {
    fn shown<T: Debug>(row: Result<T, Corrupt>) -> Result<String, Corrupt> {
        row.map(|row| format!("{row:?}"))
    }
    match Kind::of(key) {
        Some(Kind::Identity) => shown(identity::decode(value)),
        Some(Kind::Progress) => shown(progress::decode(value)),
        Some(Kind::Policy) => shown(policy::decode(value)),
        Some(Kind::Conversation) => shown(conversation::decode(value)),
        Some(Kind::Memberships) => shown(memberships::decode(value)),
        Some(Kind::Member) => shown(member::decode(value)),
        Some(Kind::Active) => shown(active::decode(value)),
        Some(Kind::Leave) => shown(leave::decode(value)),
        Some(Kind::Sweep) => shown(sweep::decode(value)),
        Some(Kind::Stub) => shown(stub::decode(value)),
        Some(Kind::Message) => shown(message::decode(value)),
        Some(Kind::Cursor) => shown(cursor::decode(value)),
        Some(Kind::Unread) => shown(unread::decode(value)),
        Some(Kind::Waiting) => shown(waiting::decode(value)),
        Some(Kind::TimeMark) => shown(time_mark::decode(value)),
        Some(Kind::ReadChunk) => shown(read_chunk::decode(value)),
        Some(Kind::TimeChunk) => shown(time_chunk::decode(value)),
        Some(Kind::InboxProgress) => shown(inbox_progress::decode(value)),
        Some(Kind::InboxIndex) => shown(inbox_index::decode(value)),
        Some(Kind::InboxEntry) => shown(inbox_entry::decode(value)),
        None => Err(Corrupt { what: "row", why: "its key is of no kind".to_owned() }),
    }
}

/// What a store knows of a key's numbers.
pub(crate) fn place(db: &DB, options: &impl Fn() -> ReadOptions, key: &[u8]) -> Result<Place, StoreError> {
    let parts = parts(key)?;
    let Parts { mut conversation, mut message, mut user, number, position, ordinal, mut more } = parts;
    let mut two = None;
    if let Some(number) = number {
        match conversation_by_number(db, options, number)? {
            Some((id, row)) => {
                conversation = Some(id);
                if let state::Kind::OneToOne(pair) = row.kind {
                    two = Some(pair);
                }
            }
            None => more = join(&more, &format!("conversation number {number}")),
        }
        if let Some(position) = position {
            more = join(&more, &format!("position {position}"));
            let found = db.get_opt(message::key(number, position), &options())?;
            message = found.map(|value| message::decode(&value)).transpose()?.map(|row| row.id.as_str().to_owned());
        }
        if let Some(ordinal) = ordinal {
            user = match two {
                Some(pair) => pair.parties.get(ordinal as usize).map(|party| party.as_str().to_owned()),
                None => {
                    let found = db.get_opt(member::key(number, ordinal), &options())?;
                    found.map(|value| member::decode(&value)).transpose()?.map(|row| row.user.as_str().to_owned())
                }
            };
            more = join(&more, &format!("ordinal {ordinal}"));
        }
    }
    let reader = decode_reader_key(key).is_some();
    let row = match Kind::of(key) {
        Some(Kind::ReadChunk) if reader => "reader, by ordinal".to_owned(),
        Some(Kind::TimeChunk) if reader => "reader, by time".to_owned(),
        Some(Kind::Message) if reader => "reader".to_owned(),
        _ => kind_name(key),
    };
    Ok(Place { row, conversation, message, user, more })
}

/// Reads all conversations, as rows are by id: only for the few numbers that are told to people.
fn conversation_by_number(
    db: &DB,
    options: &impl Fn() -> ReadOptions,
    number: u64,
) -> Result<Option<(String, state::Conversation)>, StoreError> {
    let first = [Kind::Conversation as u8];
    for row in db.iterator_opt(IteratorMode::From(&first, Direction::Forward), options()) {
        let (key, value) = row?;
        if Kind::of(&key) != Some(Kind::Conversation) {
            break;
        }
        let row = conversation::decode(&value)?;
        if row.number == number {
            return Ok(Some((conversation::decode_key(&key)?.as_str().to_owned(), row)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use receipt_codec::row::time_chunk;
    use receipt_domain::readers::Reader;

    use super::*;

    #[test]
    fn a_readers_key_is_taken_for_no_row_and_no_row_for_it() {
        let of_reader = reader_key(Kind::TimeChunk, 1 << 40, 7, 9);
        assert_eq!(decode_reader_key(&of_reader), Some((1 << 40, 7, 9)));
        assert!(time_chunk::decode_key(&of_reader).is_err());
        // "reader", as far as it goes.
        let first = Reader { read_at_s: u32::from_be_bytes(*b"read"), ordinal: u32::from_be_bytes(*b"er\0\0") };
        assert_eq!(decode_reader_key(&time_chunk::key(1, 7, first)), None);
    }

    #[test]
    fn a_key_is_told_whole_also_where_it_is_none() {
        assert_eq!(
            key(&message::key(3, 7)),
            "message (conversation number 3, position 7, key 2100000000000000030000000000000007)"
        );
        assert_eq!(key(&[0x21, 1]), "message (undecodable, key 2101)");
        assert_eq!(key(&[0xff]), "of no kind (key ff)");
    }
}
