//! What must be there in the end: everything that was acknowledged, as plain maps.
//!
//! It shares nothing with the service. Each conversation has one writer, so the order of its events is known; reads are
//! a set, so their order does not matter. What is under way is resent until it is acknowledged before anything is
//! compared, so an attempt may be entered when it is made.

use std::collections::{BTreeMap, BTreeSet};

/// Read times in seconds since 1970; none where the server's clock gave it, which is later than any that is given.
pub(crate) type Time = Option<u32>;

/// One stay of one user in a group.
pub(crate) struct Membership {
    pub(crate) user: String,
    pub(crate) ended: bool,
}

pub(crate) struct Message {
    pub(crate) sender: String,
    pub(crate) sent_s: u32,
    pub(crate) asks: bool,
    pub(crate) recalled: bool,
    /// Memberships, rising.
    pub(crate) audience: Vec<usize>,
}

#[derive(Default)]
pub(crate) struct Conversation {
    pub(crate) one_to_one: bool,
    pub(crate) dismissed: bool,
    pub(crate) version: u64,
    pub(crate) memberships: Vec<Membership>,
    pub(crate) messages: Vec<Message>,
    /// By user and number of the message.
    pub(crate) reads: BTreeMap<(String, usize), Time>,
    /// By user: the message named, and when.
    pub(crate) marks: BTreeMap<String, BTreeSet<(usize, Time)>>,
    /// One-to-one, by user: up to when, and when.
    pub(crate) time_marks: BTreeMap<String, BTreeSet<(u32, Time)>>,
}

/// All conversations by their ids.
#[derive(Default)]
pub(crate) struct Oracle(pub(crate) BTreeMap<String, Conversation>);

/// Some of an oracle's conversations, or all.
pub(crate) type Part<'a> = BTreeMap<&'a str, &'a Conversation>;

impl Oracle {
    pub(crate) fn all(&self) -> Part<'_> {
        self.0.iter().map(|(id, conversation)| (id.as_str(), conversation)).collect()
    }

    /// Those of these ids that there are.
    pub(crate) fn part(&self, ids: &[String]) -> Part<'_> {
        let there_are = ids.iter().filter_map(|id| self.0.get_key_value(id));
        there_are.map(|(id, conversation)| (id.as_str(), conversation)).collect()
    }
}

/// The id of a conversation's message.
pub(crate) fn message_id(number: usize) -> String {
    format!("m{number}")
}

/// The earlier of two.
pub(crate) fn earlier(a: Time, b: Time) -> Time {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Conversation {
    /// The membership of who is in now.
    pub(crate) fn member(&self, user: &str) -> Option<usize> {
        self.memberships.iter().rposition(|membership| membership.user == user && !membership.ended)
    }

    /// Users who are in.
    pub(crate) fn members(&self) -> Vec<&str> {
        let current = self.memberships.iter().filter(|membership| !membership.ended);
        current.map(|membership| membership.user.as_str()).collect()
    }

    pub(crate) fn join(&mut self, user: &str) {
        if self.member(user).is_none() {
            self.memberships.push(Membership { user: user.to_owned(), ended: false });
        }
    }

    pub(crate) fn leave(&mut self, user: &str) {
        if let Some(at) = self.member(user) {
            self.memberships[at].ended = true;
        }
    }

    /// A message to all members, or to those of these users who are (S1, S7); its number.
    pub(crate) fn send(&mut self, sender: &str, asks: bool, listed: Option<&[String]>, sent_s: u32) -> usize {
        let is_in = |membership: &Membership| {
            !membership.ended
                && membership.user != sender
                && listed.is_none_or(|listed| listed.contains(&membership.user))
        };
        let members = self.memberships.iter().enumerate();
        let audience = members.filter(|(_, membership)| is_in(membership)).map(|(at, _)| at).collect();
        let sender = sender.to_owned();
        self.messages.push(Message { sender, sent_s, asks, recalled: false, audience });
        self.messages.len() - 1
    }

    pub(crate) fn read(&mut self, user: &str, message: usize, time: Time) {
        let read = self.reads.entry((user.to_owned(), message)).or_insert(time);
        *read = earlier(*read, time);
    }

    pub(crate) fn mark(&mut self, user: &str, message: usize, time: Time) {
        self.marks.entry(user.to_owned()).or_default().insert((message, time));
    }

    pub(crate) fn mark_time(&mut self, user: &str, up_to_s: u32, time: Time) {
        self.time_marks.entry(user.to_owned()).or_default().insert((up_to_s, time));
    }

    /// Whether a user has read a message, and when: the union of receipts and marks, the earliest time (S17 to S20).
    pub(crate) fn read_by(&self, user: &str, number: usize) -> Option<Time> {
        let message = &self.messages[number];
        let single = self.reads.get(&(user.to_owned(), number)).copied();
        let marks = self.marks.get(user).into_iter().flatten();
        let marks = marks.filter(|(target, _)| (number..self.messages.len()).contains(target)).map(|(_, time)| *time);
        let time_marks = self.time_marks.get(user).into_iter().flatten();
        let time_marks = time_marks.filter(|(up_to_s, _)| message.sent_s <= *up_to_s).map(|(_, time)| *time);
        let time = single.into_iter().chain(marks).chain(time_marks).reduce(earlier)?;
        Some(time.map(|time| time.max(message.sent_s)))
    }
}
