//! The reads, joined to the messages: by position, by arrival and by window, never by which came first.

use receipt_domain::{
    event::{ReadEvent, ReadTarget, Record},
    id::{ConversationId, MessageId, UserId},
    settings::Settings,
};

use super::{
    conversations::{Conversation, Kind, Message},
    times::{counts, given_or_arrival, not_too_early},
};

/// What one read covers in one conversation.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub(super) reader: &'a UserId,
    pub(super) arrival_ms: u64,
    /// S20: the read's own time.
    pub(super) at_ms: u64,
    pub(super) reach: Reach<'a>,
}

/// How far a read reaches.
#[derive(Debug)]
pub(super) enum Reach<'a> {
    /// S13: these.
    Ids(&'a [MessageId]),
    /// S17: those up to this place in the conversation.
    Place(usize),
    /// S19: those sent at or before this time.
    Time(u64),
    /// None.
    Nothing,
}

/// The reads of this conversation that could be read.
pub(super) fn of<'a>(
    settings: &Settings,
    id: &ConversationId,
    conversation: &Conversation,
    reads: &'a [Record<ReadEvent>],
) -> Vec<Read<'a>> {
    let events = reads.iter().filter_map(|record| Some((record.arrival_ms, record.event.as_ref().ok()?)));
    events
        .filter(|(_, event)| event.conversation == *id)
        .map(|(arrival_ms, event)| Read {
            reader: &event.reader,
            arrival_ms,
            at_ms: given_or_arrival(event.read_at_ms, arrival_ms),
            reach: reach(settings, conversation, arrival_ms, &event.target),
        })
        .collect()
}

fn reach<'a>(settings: &Settings, conversation: &Conversation, arrival_ms: u64, target: &'a ReadTarget) -> Reach<'a> {
    match target {
        ReadTarget::Messages(ids) => Reach::Ids(ids),
        // S17: up to the message it names, if S16 holds for that one. An id that was used again names the use that the
        // arrival fits.
        ReadTarget::UpToMessage(id) => conversation
            .messages
            .iter()
            .rposition(|message| message.id == *id && counts(settings, arrival_ms, message.log_time_ms))
            .map_or(Reach::Nothing, Reach::Place),
        // S19: on a group a mark up to a time is ignored. S20: its time, too, is not far ahead.
        ReadTarget::UpToTime(ms) if matches!(conversation.kind, Kind::OneToOne { .. }) => {
            Reach::Time(given_or_arrival(Some(*ms), arrival_ms))
        }
        ReadTarget::UpToTime(_) => Reach::Nothing,
    }
}

impl Read<'_> {
    /// Whether this read counts for the message at this place, were its reader in the audience.
    pub(super) fn covers(&self, settings: &Settings, place: usize, message: &Message) -> bool {
        match self.reach {
            Reach::Ids(ids) => ids.contains(&message.id) && counts(settings, self.arrival_ms, message.log_time_ms),
            Reach::Place(last) => place <= last,
            // S19: what was sent by then, and was in the log or sent by the time that the mark arrived.
            Reach::Time(until_ms) => {
                message.sent_at_ms <= until_ms
                    && (message.log_time_ms <= self.arrival_ms || message.sent_at_ms <= self.arrival_ms)
                    && counts(settings, self.arrival_ms, message.log_time_ms)
            }
            Reach::Nothing => false,
        }
    }
}

/// When the user read the message at this place, as it is answered, in milliseconds; `None`: not yet. S14, S18: the
/// earliest time of all the reads that cover it; S20: in whole seconds, and not before it was sent.
pub(super) fn read_at_ms(
    settings: &Settings,
    reads: &[Read<'_>],
    place: usize,
    message: &Message,
    user: &UserId,
) -> Option<u64> {
    let covering = reads.iter().filter(|read| read.reader == user && read.covers(settings, place, message));
    covering.map(|read| (read.at_ms / 1000 * 1000).max(message.sent_at_ms)).min()
}

/// S19: the highest time that this party has marked. Every mark counts that arrived no more than `early_window` before
/// the log time at the conversation's first message, whenever it is that they and it are folded.
pub(super) fn highest_mark_ms(
    settings: &Settings,
    conversation: &Conversation,
    reads: &[Read<'_>],
    party: &UserId,
) -> Option<u64> {
    let first = conversation.messages.first()?;
    // S8: in a note to oneself there is nobody to notify.
    if matches!(&conversation.kind, Kind::OneToOne { parties: [a, b] } if a == b) {
        return None;
    }
    let marks = reads.iter().filter(|read| read.reader == party);
    marks
        .filter(|read| not_too_early(settings, read.arrival_ms, first.log_time_ms))
        // S19: at most the mark's arrival.
        .filter_map(|read| if let Reach::Time(ms) = read.reach { Some(ms.min(read.arrival_ms)) } else { None })
        .max()
}
