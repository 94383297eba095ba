//! What waited for a message: reads and marks that overtook it (S16, S19).

use std::collections::BTreeMap;

use super::{Fold, Read, Step, message::ALL};
use crate::{
    event::ReadTarget,
    id::{ConversationId, MessageId, UserId},
    state::{Audience, Conversation, Kind, OneToOne, Stub},
    time::{Arrival, seconds},
    working_set::{Need, Needs, Position, ReadKey, known},
};

/// The reads of one user that are counted as one: at the earliest of their times.
#[derive(Default)]
struct Waited {
    read_at_ms: u64,
    arrival_ms: u64,
    keys: Vec<ReadKey>,
}

impl Fold {
    /// Takes the reads that waited for a message and are in time for it; the others go on waiting for the id's next use,
    /// until they are too old (S16). Each is forgotten once it is counted, so that this may be called again.
    pub(super) fn release(&mut self, id: &ConversationId, message: &MessageId) -> Result<(), Needs> {
        let Some(stub) = self.known_stub(id, message)?.cloned() else { return Ok(()) };
        let Some(conversation) = self.conversation(id)? else { return Ok(()) };
        let prefix = (id.clone(), message.clone());
        if !self.rows.waiting.is_loaded(&prefix, &ALL) {
            return Err(vec![Need::Waiting(id.clone(), message.clone())]);
        }
        let count = match &conversation.kind {
            Kind::OneToOne(two) if stub.asks => self.covered_by_marks(id, conversation, two, &stub)?,
            _ => None,
        };
        self.steps.extend(count);
        for ((reader, up_to), waited) in self.waited(&prefix, &stub) {
            let target = if up_to {
                ReadTarget::UpToMessage(message.clone())
            } else {
                ReadTarget::Messages(vec![message.clone()])
            };
            let Waited { read_at_ms, arrival_ms, keys } = waited;
            let offset = keys.first().map_or(0, |key| key.0);
            let conversation = id.clone();
            self.steps.push_back(Step::Read(Read { conversation, reader, read_at_ms, arrival_ms, target, offset }));
            self.steps.push_back(Step::Released { conversation: id.clone(), message: message.clone(), keys });
        }
        Ok(())
    }

    /// The reads that are in time for a message, by user, and by whether they cover all up to it. All of one user's are
    /// in time, so the earliest time of them says what all of them do (S18), however many there are.
    fn waited(&self, prefix: &(ConversationId, MessageId), stub: &Stub) -> BTreeMap<(UserId, bool), Waited> {
        let mut waited = BTreeMap::<_, Waited>::new();
        for (key, read) in self.rows.waiting.range(prefix, ALL) {
            if self.settings.arrival(read.arrival_ms, stub.log_time_ms) != Arrival::InTime {
                continue;
            }
            let all = waited.entry((read.reader.clone(), read.up_to)).or_default();
            if all.keys.is_empty() || read.read_at_ms < all.read_at_ms {
                all.read_at_ms = read.read_at_ms;
                all.arrival_ms = read.arrival_ms;
            }
            all.keys.push(key);
        }
        waited
    }

    /// The peer's reads up to a time that cover a one-to-one message, counted as one (S19).
    fn covered_by_marks(
        &self,
        id: &ConversationId,
        conversation: &Conversation,
        two: &OneToOne,
        stub: &Stub,
    ) -> Result<Option<Step>, Needs> {
        let (number, position): (_, Position) = (conversation.number, stub.position);
        let row = self.rows.messages.get(&(number, position));
        let Some(message) = known(row, || Need::Messages(number, position..=position))? else { return Ok(None) };
        let Audience::Listed(ordinals) = &message.audience else { return Ok(None) };
        let Some((ordinal, peer)) =
            ordinals.first().and_then(|ordinal| Some((*ordinal, two.parties.get(*ordinal as usize)?)))
        else {
            return Ok(None);
        };
        let prefix = (id.clone(), peer.clone());
        let covering = (message.occurred_at_ms, 0)..=(u64::MAX, u64::MAX);
        if !self.rows.time_marks.is_loaded(&prefix, &covering) {
            return Err(vec![Need::TimeMarks(prefix.0, prefix.1, message.occurred_at_ms)]);
        }
        let in_time = self.rows.time_marks.range(&prefix, covering).filter(|(_, mark)| {
            mark.reaches(message.log_time_ms, message.occurred_at_ms)
                && self.settings.arrival(mark.arrival_ms, message.log_time_ms) == Arrival::InTime
        });
        Ok(in_time.map(|(_, mark)| mark.read_at_ms).min().map(|read_at_ms| Step::Count {
            conversation: id.clone(),
            position,
            ordinal,
            reader: peer.clone(),
            read_at_s: seconds(read_at_ms),
        }))
    }
}
