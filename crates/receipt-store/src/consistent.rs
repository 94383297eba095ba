//! What a state must say of itself, in whatever order it was folded: of what [`crate::logical`] leaves out, the claims
//! that the fold goes by later. Those are true, or they are differences.
//!
//! - A cursor stands at a message that is known, with that one's log time, and of what it has passed everything that
//!   addresses its user is read, no later than it says. One that claims less is true, too: what it says less is joined
//!   once more, which changes nothing. One that has expired is not looked at, here or by the fold.
//! - A one-to-one conversation's latest read times are no earlier than those of its messages. Later ones only have more
//!   messages looked at.
//!
//! Rows are walked by conversation. In memory are a number of conversations that does not depend on the store, and the
//! cursors of one.

use std::collections::BTreeMap;

use receipt_codec::{
    key::Kind,
    row::{conversation, cursor, memberships, message, read_chunk, stub},
};
use receipt_domain::{
    id::UserId,
    readers::{Reader, Readers},
    settings::Settings,
    state::{self, Cursor, Message, Progress},
    time::seconds,
};
use rocksdb::{DB, DBRawIterator, Direction, IteratorMode, ReadOptions};

use crate::error::StoreError;

/// Conversations whose latest read times are in memory at a time.
const CONVERSATIONS_AT_A_TIME: u64 = 1 << 20;

/// A row whose claim is not true.
pub(crate) struct Untrue {
    pub(crate) key: Vec<u8>,
    /// What it claims.
    pub(crate) claims: String,
    /// What the other rows say.
    pub(crate) but: String,
}

/// A state that is checked.
pub(crate) struct Consistent<'a, O> {
    pub(crate) db: &'a DB,
    pub(crate) options: &'a O,
    pub(crate) settings: &'a Settings,
    pub(crate) progress: &'a Progress,
}

/// The latest read times of one-to-one conversations, from a number on; `None`: a group.
struct Latest {
    first: u64,
    of: Vec<Option<[u32; 2]>>,
}

impl Latest {
    fn get_mut(&mut self, number: u64) -> Option<&mut [u32; 2]> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.of.get_mut(index)?.as_mut()
    }
}

/// One user's cursor in a conversation.
struct Claim {
    user: UserId,
    cursor: Cursor,
    untrue: bool,
}

/// Messages that a claim is about.
struct Span {
    claim: usize,
    /// `None`: one-to-one, all that the user has not sent.
    ordinal: Option<u32>,
    from: u64,
    to: u64,
}

impl<'a, O: Fn() -> ReadOptions> Consistent<'a, O> {
    /// Tells what is untrue. Asks now and then whether to go on; `false`: it was told not to.
    pub(crate) fn check(
        &self,
        go_on: &mut impl FnMut() -> bool,
        sink: &mut impl FnMut(Untrue),
    ) -> Result<bool, StoreError> {
        let mut cursors = self.db.raw_iterator_opt((self.options)());
        cursors.seek([Kind::Cursor as u8]);
        let (mut first, conversations) = (0, self.conversations()?);
        while first < conversations {
            let end = first.saturating_add(CONVERSATIONS_AT_A_TIME).min(conversations);
            let mut latest = Latest { first, of: vec![None; usize::try_from(end - first).unwrap_or_default()] };
            self.each_pair(|_, number, two| {
                let index = number.checked_sub(first).and_then(|index| usize::try_from(index).ok());
                if let Some(place) = index.and_then(|index| latest.of.get_mut(index)) {
                    *place = Some(two.latest_read_s);
                }
            })?;
            if !self.cursors(&mut cursors, end, &mut latest, go_on, sink)?
                || !self.latest(end, &mut latest, go_on, sink)?
            {
                return Ok(false);
            }
            first = end;
        }
        Ok(true)
    }

    /// How many there are: their numbers are dense.
    fn conversations(&self) -> Result<u64, StoreError> {
        let mut rows = self.db.raw_iterator_opt((self.options)());
        rows.seek([Kind::Conversation as u8]);
        let mut count = 0;
        while item(&rows, Kind::Conversation)?.is_some() {
            count += 1;
            rows.next();
        }
        Ok(count)
    }

    fn each_pair(&self, mut pair: impl FnMut(&[u8], u64, &state::OneToOne)) -> Result<(), StoreError> {
        let first = [Kind::Conversation as u8];
        for row in self.db.iterator_opt(IteratorMode::From(&first, Direction::Forward), (self.options)()) {
            let (key, value) = row?;
            if Kind::of(&key) != Some(Kind::Conversation) {
                break;
            }
            let row = conversation::decode(&value)?;
            if let state::Kind::OneToOne(two) = &row.kind {
                pair(&key, row.number, two);
            }
        }
        Ok(())
    }

    /// The latest read times against the messages of conversations below `end`.
    fn latest(
        &self,
        end: u64,
        latest: &mut Latest,
        go_on: &mut impl FnMut() -> bool,
        sink: &mut impl FnMut(Untrue),
    ) -> Result<bool, StoreError> {
        let mut untrue = false;
        let mut rows = self.db.raw_iterator_opt((self.options)());
        rows.seek(message::key(latest.first, 0));
        while let Some((key, value)) = item(&rows, Kind::Message)? {
            let (number, position) = message::decode_key(key)?;
            if number >= end || !go_on() {
                break;
            }
            let Some(claimed) = latest.get_mut(number) else {
                rows.seek(message::key(number.saturating_add(1), 0));
                continue;
            };
            let row = message::decode(value)?;
            if self.keeps(row.log_time_ms) {
                for reader in self.readers(number, position, &row)? {
                    if let Some(claimed) = claimed.get_mut(reader.ordinal as usize).filter(|s| **s < reader.read_at_s) {
                        *claimed = reader.read_at_s;
                        untrue = true;
                    }
                }
            }
            rows.next();
        }
        if untrue {
            self.each_pair(|key, number, two| {
                if let Some(seen) = latest.get_mut(number).filter(|seen| **seen != two.latest_read_s) {
                    let (claims, but) = (
                        format!("latest_read_s: {:?}", two.latest_read_s),
                        format!("at least {seen:?}, by its messages"),
                    );
                    sink(Untrue { key: key.to_vec(), claims, but });
                }
            })?;
        }
        Ok(go_on())
    }

    /// The cursors of conversations below `end`.
    fn cursors(
        &self,
        rows: &mut DBRawIterator<'_>,
        end: u64,
        latest: &mut Latest,
        go_on: &mut impl FnMut() -> bool,
        sink: &mut impl FnMut(Untrue),
    ) -> Result<bool, StoreError> {
        let (mut stubs, mut messages) =
            (self.db.raw_iterator_opt((self.options)()), self.db.raw_iterator_opt((self.options)()));
        let mut claims: Vec<Claim> = Vec::new();
        let mut of = None;
        loop {
            let next = item(rows, Kind::Cursor)?;
            let next = next.map(|(key, value)| Ok::<_, StoreError>((cursor::decode_key(key)?, cursor::decode(value)?)));
            let next = next.transpose()?.filter(|((number, _), _)| *number < end);
            let number = next.as_ref().map(|((number, _), _)| *number);
            if let Some(before) = of.filter(|before| Some(*before) != number) {
                let two = latest.get_mut(before).is_some();
                self.conversation(before, two, std::mem::take(&mut claims), &mut stubs, &mut messages, sink)?;
            }
            let Some(((number, user), cursor)) = next else { return Ok(true) };
            if !go_on() {
                return Ok(false);
            }
            of = Some(number);
            if self.keeps(cursor.log_time_ms) {
                claims.push(Claim { user, cursor, untrue: false });
            }
            rows.next();
        }
    }

    /// The cursors of one conversation.
    fn conversation(
        &self,
        number: u64,
        two: bool,
        mut claims: Vec<Claim>,
        stubs: &mut DBRawIterator<'_>,
        messages: &mut DBRawIterator<'_>,
        sink: &mut impl FnMut(Untrue),
    ) -> Result<(), StoreError> {
        if claims.is_empty() {
            return Ok(());
        }
        let mut untrue = |claim: &Claim, but: String| {
            let key = cursor::key(number, &claim.user);
            sink(Untrue { key, claims: format!("{:?}", claim.cursor), but });
        };
        self.places(number, &mut claims, stubs, &mut untrue)?;
        let spans = self.spans(number, two, &claims)?;
        let Some(last) = spans.first().map(|span| span.to) else { return Ok(()) };
        messages.seek(message::key(number, 0));
        while let Some((key, value)) = item(messages, Kind::Message)? {
            let (of, position) = message::decode_key(key)?;
            if of != number || position > last {
                break;
            }
            let row = message::decode(value)?;
            if self.keeps(row.log_time_ms) {
                let mut readers = self.readers(number, position, &row)?;
                readers.sort_unstable_by_key(|reader| reader.ordinal);
                for span in spans.iter().take_while(|span| span.to >= position).filter(|span| span.from <= position) {
                    let claim = &mut claims[span.claim];
                    if let Some(but) = passed(claim, span, position, &row, &readers).filter(|_| !claim.untrue) {
                        claim.untrue = true;
                        untrue(claim, but);
                    }
                }
            }
            messages.next();
        }
        Ok(())
    }

    /// Whether each stands at a message, of its log time; known messages are, for longer than a cursor is kept.
    fn places(
        &self,
        number: u64,
        claims: &mut [Claim],
        stubs: &mut DBRawIterator<'_>,
        untrue: &mut impl FnMut(&Claim, String),
    ) -> Result<(), StoreError> {
        let mut at: BTreeMap<u64, Option<u64>> = claims.iter().map(|claim| (claim.cursor.position, None)).collect();
        let prefix = [&[Kind::Stub as u8][..], &number.to_be_bytes()].concat();
        stubs.seek(&prefix);
        while let Some((_, value)) = item(stubs, Kind::Stub)?.filter(|(key, _)| key.starts_with(&prefix)) {
            let row = stub::decode(value)?;
            if let Some(log_time_ms) = at.get_mut(&row.position) {
                *log_time_ms = Some(row.log_time_ms);
            }
            stubs.next();
        }
        for claim in claims {
            let but = match at.get(&claim.cursor.position).copied().flatten() {
                None => "no message is known at its position".to_owned(),
                Some(log_time_ms) if log_time_ms != claim.cursor.log_time_ms => {
                    format!("log_time_ms: {log_time_ms}, by the message at its position")
                }
                Some(_) => continue,
            };
            claim.untrue = true;
            untrue(claim, but);
        }
        Ok(())
    }

    /// What the claims that stand at a message are about, by where it ends, the last first.
    fn spans(&self, number: u64, two: bool, claims: &[Claim]) -> Result<Vec<Span>, StoreError> {
        let mut spans = Vec::with_capacity(claims.len());
        for (claim, Claim { user, cursor, .. }) in claims.iter().enumerate().filter(|(_, claim)| !claim.untrue) {
            if two {
                spans.push(Span { claim, ordinal: None, from: 0, to: cursor.position });
                continue;
            }
            let Some(row) = self.db.get_pinned_opt(memberships::key(number, user), &(self.options)())? else {
                continue;
            };
            for stay in memberships::decode(&row)? {
                if stay.is_kept(self.settings, self.progress.log_time_ms) {
                    let to = stay.left.map_or(u64::MAX, |left| left.position.saturating_sub(1)).min(cursor.position);
                    spans.push(Span { claim, ordinal: Some(stay.ordinal), from: stay.joined_position, to });
                }
            }
        }
        spans.sort_unstable_by_key(|span| std::cmp::Reverse(span.to));
        Ok(spans)
    }

    fn keeps(&self, log_time_ms: u64) -> bool {
        self.settings.keeps(log_time_ms, self.progress.log_time_ms)
    }

    fn readers(&self, number: u64, position: u64, message: &Message) -> Result<Vec<Reader>, StoreError> {
        if let Readers::Inline(list) = &message.readers {
            return Ok(list.clone());
        }
        let mut readers = Vec::new();
        let mut options = (self.options)();
        options.set_iterate_upper_bound(read_chunk::key(number, position.saturating_add(1), 0));
        let first = read_chunk::key(number, position, 0);
        for row in self.db.iterator_opt(IteratorMode::From(&first, Direction::Forward), options) {
            let (key, value) = row?;
            readers.extend(read_chunk::decode(&value)?.readers(read_chunk::decode_key(&key)?.2));
        }
        Ok(readers)
    }
}

/// What a message says against a cursor that has passed it. Readers are by ordinal.
fn passed(claim: &Claim, span: &Span, position: u64, message: &Message, readers: &[Reader]) -> Option<String> {
    let reader = match span.ordinal {
        None if message.sender == claim.user => return None,
        None => readers.first(),
        Some(ordinal) if !message.addresses(ordinal) => return None,
        Some(ordinal) => readers.binary_search_by_key(&ordinal, |reader| reader.ordinal).ok().map(|at| &readers[at]),
    };
    let id = message.id.as_str();
    match reader {
        None => Some(format!("message {id} (position {position}) is not read")),
        // A read before its message was sent has the message's time (S20).
        Some(Reader { read_at_s, .. })
            if *read_at_s > claim.cursor.latest_read_s.max(seconds(message.occurred_at_ms)) =>
        {
            Some(format!("message {id} (position {position}) is read at {read_at_s} s"))
        }
        Some(_) => None,
    }
}

/// A row's key and value.
type Bytes<'a> = (&'a [u8], &'a [u8]);

/// The row at an iterator, if it is of this kind.
fn item<'b>(rows: &'b DBRawIterator<'_>, kind: Kind) -> Result<Option<Bytes<'b>>, StoreError> {
    if !rows.valid() {
        rows.status()?;
    }
    Ok(rows.item().filter(|(key, _)| Kind::of(key) == Some(kind)))
}
