//! Reads of single messages, and reads that wait (S13 to S16, S18, S20).

use super::{Fold, Read, count::Place};
use crate::{
    audience::InAudience,
    event::{ReadEvent, ReadTarget},
    id::MessageId,
    state::{Conversation, WaitingRead},
    time::{Arrival, event_time_ms, seconds},
    working_set::{Need, Needs, Position, known, satisfied},
};

impl Read {
    pub(super) fn new(event: ReadEvent, arrival_ms: u64, offset: u64) -> Self {
        Self {
            conversation: event.conversation,
            reader: event.reader,
            read_at_ms: event_time_ms(event.read_at_ms, arrival_ms),
            arrival_ms,
            target: event.target,
            offset,
        }
    }
}

/// What a read does for one message id.
enum Hit {
    /// It waits for it.
    Wait,
    /// It counts.
    Count(Position, InAudience),
    /// Nothing.
    Nothing,
}

impl Fold {
    pub(super) fn read(&mut self, read: &Read) -> Result<(), Needs> {
        match &read.target {
            ReadTarget::Messages(messages) => self.read_messages(read, messages),
            ReadTarget::UpToMessage(message) => self.mark(read, message),
            ReadTarget::UpToTime(up_to_ms) => self.mark_up_to_time(read, *up_to_ms),
        }
    }

    fn read_messages(&mut self, read: &Read, messages: &[MessageId]) -> Result<(), Needs> {
        let Some(conversation) = self.conversation(&read.conversation)? else {
            for (place, message) in (0..).zip(messages) {
                self.wait(read, message, place, false);
            }
            return Ok(());
        };
        let at = Place::of(&read.conversation, conversation);
        let mut hits = Vec::with_capacity(messages.len());
        let mut needs = Vec::new();
        for message in messages {
            match self.hit(read, conversation, &at, message) {
                Ok(hit) => hits.push(hit),
                Err(more) => needs.extend(more),
            }
        }
        satisfied(needs)?;
        for (place, (hit, message)) in (0..).zip(hits.into_iter().zip(messages)) {
            match hit {
                Hit::Wait => self.wait(read, message, place, false),
                Hit::Count(position, in_audience) => {
                    self.count(&at, position, in_audience, &read.reader, seconds(read.read_at_ms));
                }
                Hit::Nothing => {}
            }
        }
        Ok(())
    }

    fn hit(&self, read: &Read, conversation: &Conversation, at: &Place, message: &MessageId) -> Result<Hit, Needs> {
        let Some(stub) = self.known_stub(&read.conversation, message)? else { return Ok(Hit::Wait) };
        match self.settings().arrival(read.arrival_ms, stub.log_time_ms) {
            // It may be meant for the id's next use.
            Arrival::TooLate => return Ok(Hit::Wait),
            Arrival::TooEarly => return Ok(Hit::Nothing),
            Arrival::InTime => {}
        }
        if !stub.asks || !self.settings().keeps(stub.log_time_ms, self.now_ms()) {
            return Ok(Hit::Nothing);
        }
        let position = stub.position;
        let key = (conversation.number, position);
        let row = known(self.rows.messages.get(&key), || Need::Messages(key.0, position..=position));
        let in_audience = match (row, self.rows.need_stays(conversation, &read.reader)) {
            (Ok(Some(row)), Ok(())) => {
                let who = self.rows.in_audience(conversation, position, row, &read.reader, self.settings())?;
                who.map(|who| (row, who))
            }
            (Ok(None), _) => None,
            (Err(mut needs), Err(more)) => {
                needs.extend(more);
                return Err(needs);
            }
            (Err(needs), Ok(())) | (Ok(Some(_)), Err(needs)) => return Err(needs),
        };
        let Some((row, in_audience)) = in_audience else { return Ok(Hit::Nothing) };
        let mut needs = Vec::new();
        self.prepare(at, position, row, in_audience.ordinal, &mut needs);
        satisfied(needs)?;
        Ok(Hit::Count(position, in_audience))
    }

    /// Keeps a read aside until its message comes, or can no more come in time (S16).
    pub(super) fn wait(&mut self, read: &Read, message: &MessageId, place: u64, up_to: bool) {
        if !self.settings.waits(read.arrival_ms, self.now_ms()) {
            return;
        }
        let row = WaitingRead {
            reader: read.reader.clone(),
            read_at_ms: read.read_at_ms,
            arrival_ms: read.arrival_ms,
            up_to,
        };
        let prefix = (read.conversation.clone(), message.clone());
        self.rows.waiting.put(&prefix, (read.offset, place), row);
    }
}
