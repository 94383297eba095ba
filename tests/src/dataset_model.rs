//! The right answer for every message of the data sets, as a plain program over their events.
//!
//! It shares no code with the fold, nor with the reference model: it knows only what the data sets hold (no policies,
//! recalls or dismissals; a read never comes before its message), and so is short enough to be checked by eye.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use prost_types::Timestamp;
use receipt_ctl::dataset::{self, DataEvent, Kind};
use receipt_proto::{
    timestamp_from_ms,
    v1::{self, conversation_event::Event, message_sent::Audience, read_event::Target},
};

/// What one membership is to one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The message was not sent to it.
    NotInAudience,
    /// It has not read the message.
    Unread,
    /// It has, at this time.
    Read { at_s: u64 },
}

/// One stay of one user (S5). Its number is its place in the list of all, which is the order of joining.
#[derive(Debug)]
struct Membership {
    user: String,
    left: bool,
}

/// A message that asks for receipts.
#[derive(Debug)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Who sent it.
    pub sender: String,
    sent_ms: u64,
    /// By membership, of those there were when it was sent: nobody who joins later is in the audience (S2).
    states: Vec<State>,
}

/// One who has read a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader<'a> {
    /// Who.
    pub user: &'a str,
    /// The earliest time, in milliseconds: a whole second, but not before the message (S14, S18, S20).
    pub read_at_ms: u64,
    /// Whether the membership that was in the audience has ended (S4, S5).
    pub left: bool,
}

/// What is to be answered about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'a> {
    /// By time, then membership (S26).
    pub read: Vec<Reader<'a>>,
    /// By membership, without those who have left (S3).
    pub unread: Vec<&'a str>,
}

fn count(of: impl Iterator) -> u32 {
    of.count().try_into().unwrap()
}

/// One conversation.
#[derive(Debug)]
pub struct Conversation {
    /// Its id.
    pub id: String,
    one_to_one: bool,
    memberships: Vec<Membership>,
    /// The memberships of each user.
    by_user: HashMap<String, Vec<usize>>,
    /// In the order they were sent.
    messages: Vec<Message>,
    by_id: HashMap<String, usize>,
}

impl Conversation {
    /// One in which nothing has happened yet.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            one_to_one: false,
            memberships: Vec::new(),
            by_user: HashMap::new(),
            messages: Vec::new(),
            by_id: HashMap::new(),
        }
    }

    /// Its messages, in the order they were sent.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// What is to be answered about a message now.
    #[must_use]
    pub fn answer(&self, message: &Message) -> Answer<'_> {
        let mut read = Vec::new();
        let mut unread = Vec::new();
        for (membership, state) in self.memberships.iter().zip(&message.states) {
            let (user, left) = (membership.user.as_str(), membership.left);
            match state {
                State::Read { at_s } => {
                    read.push(Reader { user, read_at_ms: (*at_s * 1000).max(message.sent_ms), left })
                }
                State::Unread if !left => unread.push(user),
                State::Unread | State::NotInAudience => {}
            }
        }
        // The sort is stable: within one second the order of memberships stays.
        read.sort_by_key(|reader| reader.read_at_ms);
        Answer { read, unread }
    }

    /// The receipt as the contract has it, but for when it expires, and with it the whole answer.
    #[must_use]
    pub fn receipt(&self, message: &Message) -> (v1::MessageReceipt, Answer<'_>) {
        let answer = self.answer(message);
        let mut receipt = v1::MessageReceipt {
            conversation_id: self.id.clone(),
            message_id: message.id.clone(),
            read_count: answer.read.len().try_into().unwrap(),
            unread_count: answer.unread.len().try_into().unwrap(),
            audience_count: count(message.states.iter().filter(|state| **state != State::NotInAudience)),
            read_left_count: count(answer.read.iter().filter(|reader| reader.left)),
            ..v1::MessageReceipt::default()
        };
        if self.one_to_one {
            let peer = self.memberships.iter().find(|party| party.user != message.sender).unwrap();
            receipt.peer_id.clone_from(&peer.user);
            receipt.is_peer_read = !answer.read.is_empty();
            receipt.peer_read_at = answer.read.first().map(|reader| timestamp_from_ms(reader.read_at_ms));
        }
        (receipt, answer)
    }

    /// Something happened other than a read.
    ///
    /// # Panics
    /// If the data sets hold no such thing.
    pub fn apply(&mut self, event: &v1::ConversationEvent) {
        match event.event.as_ref().unwrap() {
            Event::GroupCreated(created) => self.join(&created.member_ids),
            Event::MembersAdded(added) => self.join(&added.member_ids),
            Event::MembersRemoved(removed) => self.leave(&removed.member_ids),
            Event::MessageSent(sent) => self.send(sent, milliseconds(event.occurred_at.as_ref())),
            other => panic!("the data sets hold no {other:?}"),
        }
    }

    /// S5: each stay is a membership of its own. Adding a member again changes nothing (S8).
    fn join(&mut self, users: &[String]) {
        for user in users {
            let stays = self.by_user.entry(user.clone()).or_default();
            if stays.iter().all(|stay| self.memberships[*stay].left) {
                stays.push(self.memberships.len());
                self.memberships.push(Membership { user: user.clone(), left: false });
            }
        }
    }

    fn leave(&mut self, users: &[String]) {
        for user in users {
            for stay in self.by_user.get(user).into_iter().flatten() {
                self.memberships[*stay].left = true;
            }
        }
    }

    /// S1, S7: the audience is who is a member now, and listed where there is a list, less the sender.
    fn send(&mut self, sent: &v1::MessageSent, sent_ms: u64) {
        assert!(sent.need_read_receipt, "all messages of the data sets ask for receipts");
        let listed = match sent.audience.as_ref().unwrap() {
            Audience::AllMembers(_) => None,
            Audience::ListedMembers(list) => Some(&list.member_ids),
            Audience::PeerId(peer) => {
                self.one_to_one = true;
                self.join(&[sent.sender_id.clone(), peer.clone()]);
                None
            }
        };
        let states = self.memberships.iter().map(|membership| {
            let is_listed = listed.is_none_or(|users| users.contains(&membership.user));
            if is_listed && !membership.left && membership.user != sent.sender_id {
                State::Unread
            } else {
                State::NotInAudience
            }
        });
        let (id, sender) = (sent.message_id.clone(), sent.sender_id.clone());
        let message = Message { id: id.clone(), sender, sent_ms, states: states.collect() };
        assert!(self.by_id.insert(id, self.messages.len()).is_none(), "message ids are unique");
        self.messages.push(message);
    }

    /// Somebody has read something.
    ///
    /// # Panics
    /// If the data sets hold no such read.
    pub fn read(&mut self, event: &v1::ReadEvent) {
        let read_ms = milliseconds(event.read_at.as_ref());
        let stays = self.by_user.get(&event.reader_id).map_or(&[][..], Vec::as_slice);
        match event.target.as_ref().unwrap() {
            Target::Messages(named) => {
                for id in &named.message_ids {
                    read_one(&mut self.messages[self.by_id[id]], stays, read_ms);
                }
            }
            // S17: all at or before it whose audience holds the reader.
            Target::UpToMessageId(last) => {
                for message in &mut self.messages[..=self.by_id[last]] {
                    read_one(message, stays, read_ms);
                }
            }
            Target::UpToTime(_) => panic!("the data sets hold no marks up to a time"),
        }
    }
}

/// The reader's stay that is in the message's audience has read it: at the earliest time of all reads (S18), and not
/// before the message was sent (S20).
fn read_one(message: &mut Message, stays: &[usize], read_ms: u64) {
    let at_s = read_ms.max(message.sent_ms) / 1000;
    for stay in stays {
        match message.states.get_mut(*stay) {
            Some(state @ State::Unread) => *state = State::Read { at_s },
            Some(State::Read { at_s: earliest }) => *earliest = at_s.min(*earliest),
            Some(State::NotInAudience) | None => {}
        }
    }
}

fn milliseconds(time: Option<&Timestamp>) -> u64 {
    let time = time.expect("everything in the data sets has a time");
    u64::try_from(time.seconds).unwrap() * 1000 + u64::try_from(time.nanos / 1_000_000).unwrap()
}

/// All conversations of a data set as they are at its end, one after the other.
///
/// Of the channel's stretches, which do not overlap, only one is in memory at a time.
///
/// # Panics
/// If the data set cannot be read.
pub fn for_each_conversation(kind: Kind, file: &Path, mut each: impl FnMut(&Conversation)) {
    let mut open: BTreeMap<String, Conversation> = BTreeMap::new();
    let mut closed = HashSet::new();
    for event in dataset::open(kind, file).unwrap() {
        let event = event.unwrap();
        let id = match &event {
            DataEvent::Conversation(event) => &event.conversation_id,
            DataEvent::Read(event) => &event.conversation_id,
        };
        if kind == Kind::UbuntuIrc
            && !open.contains_key(id)
            && let Some((before, conversation)) = open.pop_first()
        {
            each(&conversation);
            closed.insert(before);
        }
        assert!(!closed.contains(id), "{id} goes on after its end");
        let conversation = open.entry(id.clone()).or_insert_with(|| Conversation::new(id));
        match &event {
            DataEvent::Conversation(event) => conversation.apply(event),
            DataEvent::Read(event) => conversation.read(event),
        }
    }
    open.values().for_each(each);
}

#[cfg(test)]
mod tests;
