//! Reads up to a message (S17, S18): expanded into the messages they newly cover.

use super::{Fold, Read, Span, Step, count::Place};
use crate::{
    audience::InAudience,
    id::{ConversationId, MessageId, UserId},
    state::{Conversation, Cursor, Kind},
    time::{Arrival, seconds},
    working_set::{ConversationNumber, Need, Needs, Position, known, satisfied},
};

/// Positions that one step expands, at most; a longer mark takes several steps, and may take several writes.
pub(super) const EXPAND_POSITIONS_MAX: u64 = 10_000;

impl Fold {
    pub(super) fn mark(&mut self, read: &Read, message: &MessageId) -> Result<(), Needs> {
        let Some(stub) = self.known_stub(&read.conversation, message)? else {
            self.wait(read, message, 0, true);
            return Ok(());
        };
        let (up_to, log_time_ms) = (stub.position, stub.log_time_ms);
        match self.settings().arrival(read.arrival_ms, stub.log_time_ms) {
            Arrival::TooLate => {
                self.wait(read, message, 0, true);
                return Ok(());
            }
            Arrival::TooEarly => return Ok(()),
            // Whatever came before an expired message is expired too.
            Arrival::InTime if !self.settings().keeps(stub.log_time_ms, self.now_ms()) => return Ok(()),
            Arrival::InTime => {}
        }
        let Some(conversation) = self.conversation(&read.conversation)? else { return Ok(()) };
        let number = conversation.number;
        let read_at_s = seconds(read.read_at_ms);
        let spans = self.spans(conversation, &read.reader, up_to)?;
        let cursor = self.cursor(number, &read.reader)?;
        // What the cursor has passed was read no later than its time: only an earlier read has to look at it again.
        let from = if read_at_s < cursor.latest_read_s { 1 } else { cursor.position + 1 };
        let spans: Vec<Span> = spans
            .into_iter()
            .map(|span| Span { from: span.from.max(from), ..span })
            .filter(|span| span.from <= span.to)
            .collect();
        if spans.is_empty() {
            return Ok(());
        }
        let (conversation, reader) = (read.conversation.clone(), read.reader.clone());
        if up_to > cursor.position {
            let to = Cursor { position: up_to, latest_read_s: read_at_s, log_time_ms };
            let step = Step::MoveCursor { number, reader: reader.clone(), to };
            self.steps.push_front(step);
        }
        self.steps.push_front(Step::Expand { conversation, reader, read_at_s, spans });
        Ok(())
    }

    /// The stretches of messages up to a position that were sent while the user was a member (S5).
    fn spans(&self, conversation: &Conversation, user: &UserId, up_to: Position) -> Result<Vec<Span>, Needs> {
        Ok(match &conversation.kind {
            Kind::OneToOne(two) => {
                let party = two.ordinal(user);
                party.into_iter().map(|ordinal| Span { ordinal, ended: false, from: 1, to: up_to }).collect()
            }
            Kind::Group(_) => self
                .rows
                .stays(conversation.number, user)?
                .iter()
                .filter(|stay| stay.is_kept(self.settings(), self.now_ms()))
                .map(|stay| Span {
                    ordinal: stay.ordinal,
                    ended: stay.left.is_some(),
                    from: stay.joined_position,
                    to: stay.left.as_ref().map_or(up_to, |left| up_to.min(left.position.saturating_sub(1))),
                })
                .collect(),
        })
    }

    pub(super) fn expand(
        &mut self,
        id: &ConversationId,
        reader: &UserId,
        read_at_s: u32,
        spans: &[Span],
    ) -> Result<(), Needs> {
        let Some((span, rest)) = spans.split_first() else { return Ok(()) };
        let Some(conversation) = self.conversation(id)? else { return Ok(()) };
        let at = Place::of(id, conversation);
        let to = span.to.min(span.from.saturating_add(EXPAND_POSITIONS_MAX - 1));
        let covered = self.covered(&at, span, to)?;
        let who = InAudience { ordinal: span.ordinal, ended: span.ended };
        for position in covered {
            self.count(&at, position, who, reader, read_at_s);
        }
        let mut left = Vec::with_capacity(spans.len());
        if to < span.to {
            left.push(Span { from: to + 1, ..*span });
        }
        left.extend_from_slice(rest);
        if !left.is_empty() {
            let (conversation, reader) = (id.clone(), reader.clone());
            self.steps.push_front(Step::Expand { conversation, reader, read_at_s, spans: left });
        }
        Ok(())
    }

    /// The positions in a span up to `to` of messages that are kept and address it, with all rows loaded.
    fn covered(&self, at: &Place, span: &Span, to: Position) -> Result<Vec<Position>, Needs> {
        let (number, now_ms) = (at.number, self.now_ms());
        let mut covered = Vec::new();
        let mut needs = Vec::new();
        for position in span.from..=to {
            let row = self.rows.messages.get(&(number, position));
            let Some(message) = known(row, || Need::Messages(number, position..=to))? else { continue };
            if message.addresses(span.ordinal) && self.settings().keeps(message.log_time_ms, now_ms) {
                self.prepare(at, position, message, span.ordinal, &mut needs);
                covered.push(position);
            }
        }
        satisfied(needs)?;
        Ok(covered)
    }

    pub(super) fn move_cursor(&mut self, number: ConversationNumber, reader: &UserId, to: Cursor) -> Result<(), Needs> {
        let before = self.cursor(number, reader)?;
        let after = Cursor {
            position: to.position.max(before.position),
            latest_read_s: to.latest_read_s.max(before.latest_read_s),
            log_time_ms: to.log_time_ms.max(before.log_time_ms),
        };
        self.rows.cursors.put((number, reader.clone()), after);
        Ok(())
    }

    /// How far a user's marks are expanded. One that has expired has only passed what has expired too, and is as none.
    fn cursor(&self, number: ConversationNumber, reader: &UserId) -> Result<Cursor, Needs> {
        let row = self.rows.cursors.get(&(number, reader.clone()));
        let cursor = known(row, || Need::Cursor(number, reader.clone()))?.copied();
        Ok(cursor.filter(|cursor| self.settings().keeps(cursor.log_time_ms, self.now_ms())).unwrap_or_default())
    }
}
