//! One-to-one reads up to a time (S19, S20).

use super::{Fold, Read, Step, count::Place, mark::EXPAND_POSITIONS_MAX};
use crate::{
    audience::InAudience,
    id::{ConversationId, UserId},
    state::{Conversation, Kind, Message, OneToOne, TimeMark},
    time::{Arrival, event_time_ms, seconds},
    working_set::{ConversationNumber, Need, Needs, Position, satisfied},
};

/// A mark up to a time that is being expanded into the messages it covers.
#[derive(Debug, Clone)]
pub(super) struct TimeExpansion {
    conversation: ConversationId,
    reader: UserId,
    up_to_ms: u64,
    mark: TimeMark,
    ordinal: u32,
    rest: Candidates,
}

/// Positions that are still to be looked at, rising.
#[derive(Debug, Clone)]
enum Candidates {
    /// The messages that the reader has not read, from the last one backwards.
    Unread(Vec<Position>),
    /// All from here up to the one before this.
    All(Position, Position),
}

impl Candidates {
    /// The next ones of them, at most as many as one step expands.
    fn split(&self) -> (Vec<Position>, Option<Self>) {
        let max = usize::try_from(EXPAND_POSITIONS_MAX).unwrap_or(usize::MAX);
        match self {
            Self::Unread(positions) => {
                let (rest, next) = positions.split_at(positions.len().saturating_sub(max));
                let rest = (!rest.is_empty()).then(|| Self::Unread(rest.to_vec()));
                (next.iter().rev().copied().collect(), rest)
            }
            Self::All(from, end) => {
                let to = from.saturating_add(EXPAND_POSITIONS_MAX).min(*end);
                ((*from..to).collect(), (to < *end).then_some(Self::All(to, *end)))
            }
        }
    }
}

impl Fold {
    pub(super) fn mark_up_to_time(&mut self, read: &Read, up_to_ms: u64) -> Result<(), Needs> {
        let up_to_ms = event_time_ms(Some(up_to_ms), read.arrival_ms);
        let mark = TimeMark { read_at_ms: read.read_at_ms, arrival_ms: read.arrival_ms };
        let Some(conversation) = self.conversation(&read.conversation)? else {
            self.keep_time_mark(read, up_to_ms, mark);
            return Ok(());
        };
        let Kind::OneToOne(two) = &conversation.kind else {
            self.effects.counters.up_to_time_on_group += 1;
            return Ok(());
        };
        let Some(ordinal) = two.ordinal(&read.reader).filter(|_| !two.is_note()) else { return Ok(()) };
        let rest = self.candidates(&mark, up_to_ms, conversation, two, ordinal)?;
        self.keep_time_mark(read, up_to_ms, mark.clone());
        self.raise_mark(read, mark.reported_ms(up_to_ms), ordinal);
        let (conversation, reader) = (read.conversation.clone(), read.reader.clone());
        self.steps.push_front(Step::ExpandTime(TimeExpansion { conversation, reader, up_to_ms, mark, ordinal, rest }));
        Ok(())
    }

    /// It may cover a message that is yet to come.
    fn keep_time_mark(&mut self, read: &Read, up_to_ms: u64, mark: TimeMark) {
        if self.settings.waits(read.arrival_ms, self.now_ms()) {
            let prefix = (read.conversation.clone(), read.reader.clone());
            self.rows.time_marks.put(&prefix, (up_to_ms, read.offset), mark);
        }
    }

    /// The positions of messages to this party that the mark may change.
    fn candidates(
        &self,
        mark: &TimeMark,
        up_to_ms: u64,
        conversation: &Conversation,
        two: &OneToOne,
        ordinal: u32,
    ) -> Result<Candidates, Needs> {
        let number = conversation.number;
        let latest_s = two.latest_read_s.get(ordinal as usize).copied().unwrap_or(u32::MAX);
        if seconds(mark.read_at_ms) < latest_s {
            // An earlier time than one before it: read messages may move back as well.
            return Ok(Candidates::All(1, conversation.next_position));
        }
        let range = (0, 0)..=(up_to_ms, Position::MAX);
        if !self.rows.unread.is_loaded(&(number, ordinal), &range) {
            return Err(vec![Need::Unread(number, ordinal, up_to_ms)]);
        }
        let unread = self.rows.unread.range(&(number, ordinal), range);
        let mut positions: Vec<Position> = unread.map(|((_, position), _)| position).collect();
        positions.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Candidates::Unread(positions))
    }

    /// Counts the next messages that a mark covers.
    pub(super) fn expand_time(&mut self, expansion: &TimeExpansion) -> Result<(), Needs> {
        let TimeExpansion { conversation: id, reader, mark, ordinal, .. } = expansion;
        let Some(at) = self.conversation(id)?.map(|conversation| Place::of(id, conversation)) else { return Ok(()) };
        let (positions, rest) = expansion.rest.split();
        let covered = self.covered_by_time(expansion, &at, &positions)?;
        let who = InAudience { ordinal: *ordinal, ended: false };
        for position in covered {
            self.count(&at, position, who, reader, seconds(mark.read_at_ms));
        }
        if let Some(rest) = rest {
            let (conversation, reader, mark) = (id.clone(), reader.clone(), mark.clone());
            let (up_to_ms, ordinal) = (expansion.up_to_ms, *ordinal);
            let expansion = TimeExpansion { conversation, reader, up_to_ms, mark, ordinal, rest };
            self.steps.push_front(Step::ExpandTime(expansion));
        }
        Ok(())
    }

    /// Those of the positions whose messages the mark covers, with all their rows loaded.
    fn covered_by_time(
        &self,
        expansion: &TimeExpansion,
        at: &Place,
        positions: &[Position],
    ) -> Result<Vec<Position>, Needs> {
        let mut missing = Vec::new();
        let mut messages = Vec::new();
        for position in positions {
            match self.rows.messages.get(&(at.number, *position)) {
                Ok(Some(message)) if self.is_covered(expansion, message) => messages.push((*position, message)),
                Ok(_) => {}
                Err(_) => missing.push(*position),
            }
        }
        satisfied(needs_of(at.number, &missing))?;
        let mut needs = Vec::new();
        for (position, message) in &messages {
            self.prepare(at, *position, message, expansion.ordinal, &mut needs);
        }
        satisfied(needs)?;
        Ok(messages.into_iter().map(|(position, _)| position).collect())
    }

    fn is_covered(&self, TimeExpansion { up_to_ms, mark, ordinal, .. }: &TimeExpansion, message: &Message) -> bool {
        message.addresses(*ordinal)
            && message.occurred_at_ms <= *up_to_ms
            && mark.reaches(message.log_time_ms, message.occurred_at_ms)
            && self.settings.arrival(mark.arrival_ms, message.log_time_ms) == Arrival::InTime
            && self.settings.keeps(message.log_time_ms, self.now_ms())
    }

    /// The other side is notified when the highest time so marked rises.
    fn raise_mark(&mut self, read: &Read, up_to_ms: u64, ordinal: u32) {
        let Some(Conversation { kind: Kind::OneToOne(two), .. }) = self.rows.conversations.get_mut(&read.conversation)
        else {
            return;
        };
        let counts = self.settings.arrival(read.arrival_ms, two.first_log_time_ms) != Arrival::TooEarly;
        let index = ordinal as usize;
        if let (true, Some(marked), Some(other)) =
            (counts, two.marked_ms.get_mut(index), two.parties.get(1 - index.min(1)))
            && marked.is_none_or(|before_ms| before_ms < up_to_ms)
        {
            *marked = Some(up_to_ms);
            self.effects.peer_marked(&read.conversation, other, &read.reader, up_to_ms);
        }
    }
}

/// The needs for these rising positions: one range where they lie close together, as a scan of it costs less.
fn needs_of(number: ConversationNumber, positions: &[Position]) -> Needs {
    const GAPS_MAX: u64 = 4;
    let (Some(first), Some(last)) = (positions.first(), positions.last()) else { return Vec::new() };
    if last - first < GAPS_MAX * positions.len() as u64 {
        vec![Need::Messages(number, *first..=*last)]
    } else {
        positions.iter().map(|position| Need::Messages(number, *position..=*position)).collect()
    }
}
