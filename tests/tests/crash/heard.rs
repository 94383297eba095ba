//! What one sender keeps of the stream: the join of all deltas, and who was named.

use std::collections::BTreeMap;

use prost::Message as _;
use receipt_proto::v1::{self, receipt_delta::Change};

use crate::{
    expected::{Expected, expected},
    oracle::{Part, message_id},
};

/// What was said last of one message.
#[derive(Debug)]
pub(crate) struct LastWord {
    pub(crate) receipt: v1::MessageReceipt,
    /// Everyone ever named, with the earliest time.
    pub(crate) named: BTreeMap<String, i64>,
    /// Somebody was not.
    pub(crate) more: bool,
}

/// What one sender was told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// By conversation and message.
    pub(crate) messages: BTreeMap<(String, String), LastWord>,
    /// By conversation and peer: up to when.
    pub(crate) marks: BTreeMap<(String, String), i64>,
    pub(crate) token: String,
    pub(crate) responses: u64,
    pub(crate) deltas: u64,
    pub(crate) bytes: u64,
    /// What a stream must never say.
    pub(crate) wrong: Vec<String>,
}

impl Heard {
    pub(crate) fn take(&mut self, response: v1::SubscribeMessageReadReceiptsResponse) {
        self.responses += 1;
        self.bytes += response.encoded_len() as u64;
        if response.reset {
            self.wrong.push("a reset".to_owned());
        }
        if response.resume_token.is_empty() {
            self.wrong.push("a response without a token".to_owned());
        }
        self.token = response.resume_token;
        for delta in response.deltas {
            self.deltas += 1;
            match delta.change {
                Some(Change::Receipt(receipt)) => self.receipt(receipt, &delta.new_readers, delta.more_readers),
                Some(Change::PeerReadMark(mark)) => {
                    let up_to = mark.up_to_time.map_or(0, |at| at.seconds);
                    let told = self.marks.entry((mark.conversation_id, mark.peer_id)).or_default();
                    if up_to < *told {
                        self.wrong.push(format!("a mark goes back from {told} to {up_to}"));
                    }
                    *told = up_to.max(*told);
                }
                None => self.wrong.push("a delta without a change".to_owned()),
            }
        }
    }

    fn receipt(&mut self, receipt: v1::MessageReceipt, new: &[v1::Reader], more: bool) {
        let key = (receipt.conversation_id.clone(), receipt.message_id.clone());
        let fresh = LastWord { receipt: receipt.clone(), named: BTreeMap::new(), more: false };
        let last = self.messages.entry(key).or_insert(fresh);
        let before = &last.receipt;
        if receipt.read_count < before.read_count
            || receipt.unread_count > before.unread_count
            || (before.recalled && !receipt.recalled)
            || (before.is_peer_read && !receipt.is_peer_read)
        {
            self.wrong.push(format!("S33: goes back from {before:?} to {receipt:?}"));
        }
        last.more |= more;
        last.receipt = receipt;
        for reader in new {
            let at = reader.read_at.map_or(0, |at| at.seconds);
            let named = last.named.entry(reader.user_id.clone()).or_insert(at);
            *named = at.min(*named);
        }
        if !last.more && last.named.len() != last.receipt.read_count as usize {
            self.wrong.push(format!("S32: {} named, without more_readers: {:?}", last.named.len(), last.receipt));
        }
    }

    /// How the last word on each of a sender's messages differs from what must be there in the end.
    pub(crate) fn differences(&self, sender: &str, part: &Part<'_>) -> Vec<String> {
        let mut differences = self.wrong.clone();
        for (id, conversation) in part {
            for (number, message) in conversation.messages.iter().enumerate() {
                if message.sender != sender {
                    continue;
                }
                let wanted = expected(conversation, number);
                let word = self.messages.get(&((*id).to_owned(), message_id(number)));
                let why = match word {
                    None if !message.asks || wanted.is_unchanged() => None,
                    None => Some("nothing was said".to_owned()),
                    Some(_) if !message.asks => Some("said though it does not ask".to_owned()),
                    Some(word) => word.differs(&wanted),
                };
                differences.extend(why.map(|why| format!("{sender} of {id}/{number}: {why}")));
            }
            if conversation.one_to_one {
                for (peer, marks) in conversation.time_marks.iter().filter(|(peer, _)| *peer != sender) {
                    let parties = conversation.memberships.iter().any(|party| party.user == sender)
                        && conversation.memberships.iter().any(|party| party.user == *peer);
                    let highest = marks.iter().map(|(up_to_s, _)| i64::from(*up_to_s)).max();
                    let told = self.marks.get(&((*id).to_owned(), peer.clone())).copied();
                    if parties && !conversation.messages.is_empty() && told != highest {
                        differences.push(format!("{sender} in {id}: {peer} marked {highest:?}, told {told:?}"));
                    }
                }
            }
        }
        differences
    }
}

impl LastWord {
    fn differs(&self, wanted: &Expected) -> Option<String> {
        let mut receipt = self.receipt.clone();
        // A time may move back, and nobody is told of that alone (S18).
        let peer_time = wanted.readers.first().and_then(|reader| reader.time).filter(|_| wanted.peer.is_some());
        if let (Some(time), Some(told)) = (peer_time, &mut receipt.peer_read_at) {
            told.seconds = if told.seconds >= time.into() { time.into() } else { told.seconds };
        }
        if let Some(why) = wanted.differs(&receipt) {
            return Some(why);
        }
        let readers: BTreeMap<&str, _> = wanted.readers.iter().map(|r| (r.user.as_str(), r.time)).collect();
        for (user, at) in &self.named {
            match readers.get(user.as_str()) {
                None => return Some(format!("{user} is named and has not read")),
                Some(Some(time)) if *at < i64::from(*time) => {
                    return Some(format!("{user} read at {time}, named {at}"));
                }
                Some(_) => {}
            }
        }
        let everyone = self.more || self.named.len() == readers.len();
        (!everyone).then(|| format!("{} of {} are named", self.named.len(), readers.len()))
    }
}
