//! What the oracle says of one message.

use receipt_proto::v1;

use crate::oracle::{Conversation, Time};

pub(crate) struct ExpectedReader {
    pub(crate) user: String,
    pub(crate) time: Time,
    pub(crate) left: bool,
}

/// A message's receipt and lists.
pub(crate) struct Expected {
    /// By membership.
    pub(crate) readers: Vec<ExpectedReader>,
    /// By membership.
    pub(crate) unread: Vec<String>,
    /// Of the audience, who left without reading.
    pub(crate) left_unread: Vec<String>,
    pub(crate) recalled: bool,
    /// One-to-one: the other party.
    pub(crate) peer: Option<String>,
}

pub(crate) fn expected(conversation: &Conversation, number: usize) -> Expected {
    let message = &conversation.messages[number];
    let mut expected = Expected {
        readers: Vec::new(),
        unread: Vec::new(),
        left_unread: Vec::new(),
        recalled: message.recalled,
        peer: None,
    };
    for at in &message.audience {
        let membership = &conversation.memberships[*at];
        let user = membership.user.clone();
        match conversation.read_by(&user, number) {
            Some(time) => expected.readers.push(ExpectedReader { user, time, left: membership.ended }),
            None if membership.ended => expected.left_unread.push(user),
            None => expected.unread.push(user),
        }
    }
    if conversation.one_to_one {
        expected.peer = message.audience.first().map(|at| conversation.memberships[*at].user.clone());
    }
    expected
}

impl Expected {
    pub(crate) fn read_count(&self) -> u32 {
        u32::try_from(self.readers.len()).unwrap()
    }

    pub(crate) fn unread_count(&self) -> u32 {
        u32::try_from(self.unread.len()).unwrap()
    }

    /// Nothing has happened to it that its sender is notified of.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.readers.is_empty() && self.left_unread.is_empty() && !self.recalled
    }

    /// How a receipt differs.
    pub(crate) fn differs(&self, receipt: &v1::MessageReceipt) -> Option<String> {
        let peer_time = self.readers.first().filter(|_| self.peer.is_some()).map(|reader| reader.time);
        let told_time = receipt.peer_read_at.map(|at| u32::try_from(at.seconds).unwrap());
        let same = receipt.read_count == self.read_count()
            && receipt.unread_count == self.unread_count()
            && receipt.audience_count as usize == self.readers.len() + self.unread.len() + self.left_unread.len()
            && receipt.read_left_count as usize == self.readers.iter().filter(|reader| reader.left).count()
            && receipt.recalled == self.recalled
            && receipt.peer_id == self.peer.clone().unwrap_or_default()
            && receipt.is_peer_read == peer_time.is_some()
            && told_time.is_some() == peer_time.is_some()
            && peer_time.flatten().is_none_or(|time| told_time == Some(time));
        let (read, unread, recalled) = (self.read_count(), self.unread_count(), self.recalled);
        let peer = &self.peer;
        (!same).then(|| format!("{read} read, {unread} unread, {recalled}, {peer:?} {peer_time:?}, but {receipt:?}"))
    }
}
