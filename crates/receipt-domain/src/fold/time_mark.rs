//! One-to-one reads up to a time (S19, S20).

use std::collections::BTreeSet;

use super::{Fold, Read, count::Place};
use crate::{
    audience::InAudience,
    state::{Conversation, Kind, OneToOne, TimeMark},
    time::{Arrival, event_time_ms, seconds},
    working_set::{Need, Needs, Position, known, satisfied},
};

impl Fold {
    pub(super) fn mark_up_to_time(&mut self, read: &Read, up_to_ms: u64) -> Result<(), Needs> {
        let up_to_ms = event_time_ms(Some(up_to_ms), read.arrival_ms);
        let Some(conversation) = self.conversation(&read.conversation)? else {
            self.keep_time_mark(read, up_to_ms);
            return Ok(());
        };
        let Kind::OneToOne(two) = &conversation.kind else {
            self.effects.counters.up_to_time_on_group += 1;
            return Ok(());
        };
        let Some(ordinal) = two.ordinal(&read.reader) else { return Ok(()) };
        let at = Place::of(&read.conversation, conversation);
        let covered = self.covered_by_time(read, up_to_ms, conversation, two, ordinal)?;
        let mut needs = Vec::new();
        for position in &covered {
            if let Ok(Some(message)) = self.rows.messages.get(&(at.number, *position)) {
                self.prepare(&at, *position, message, ordinal, &mut needs);
            }
        }
        satisfied(needs)?;
        self.keep_time_mark(read, up_to_ms);
        self.raise_mark(read, up_to_ms, ordinal);
        let who = InAudience { ordinal, ended: false };
        for position in covered {
            self.count(&at, position, who, &read.reader, seconds(read.read_at_ms));
        }
        Ok(())
    }

    /// It may cover a message that is yet to come.
    fn keep_time_mark(&mut self, read: &Read, up_to_ms: u64) {
        if self.settings.waits(read.arrival_ms, self.now_ms()) {
            let prefix = (read.conversation.clone(), read.reader.clone());
            let row = TimeMark { read_at_ms: read.read_at_ms, arrival_ms: read.arrival_ms };
            self.rows.time_marks.put(&prefix, (up_to_ms, read.offset), row);
        }
    }

    /// The positions of the messages to this party that the mark covers, with their rows loaded.
    fn covered_by_time(
        &self,
        read: &Read,
        up_to_ms: u64,
        conversation: &Conversation,
        two: &OneToOne,
        ordinal: u32,
    ) -> Result<BTreeSet<Position>, Needs> {
        let number = conversation.number;
        let latest_s = two.latest_read_s.get(ordinal as usize).copied().unwrap_or(u32::MAX);
        let candidates: BTreeSet<Position> = if seconds(read.read_at_ms) < latest_s {
            // An earlier time than one before it: read messages may move back as well.
            (1..conversation.next_position).collect()
        } else {
            let range = (0, 0)..=(up_to_ms, Position::MAX);
            if !self.rows.unread.is_loaded(&(number, ordinal), &range) {
                return Err(vec![Need::Unread(number, ordinal, up_to_ms)]);
            }
            self.rows.unread.range(&(number, ordinal), range).map(|((_, position), _)| position).collect()
        };
        let last = candidates.last().copied().unwrap_or_default();
        let mut covered = BTreeSet::new();
        for position in candidates {
            let row = self.rows.messages.get(&(number, position));
            let Some(message) = known(row, || Need::Messages(number, position..=last))? else { continue };
            if message.addresses(ordinal)
                && message.occurred_at_ms <= up_to_ms
                && self.settings().arrival(read.arrival_ms, message.log_time_ms) == Arrival::InTime
                && self.settings().keeps(message.log_time_ms, self.now_ms())
            {
                covered.insert(position);
            }
        }
        Ok(covered)
    }

    /// The other side is told when the highest time so marked rises.
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
