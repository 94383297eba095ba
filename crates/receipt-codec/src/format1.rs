//! Rows as format 1 wrote them, where format 2 has more in them. They are read, and never written.

use receipt_domain::{
    id::{ConversationId, MessageId, UserId},
    inbox::{InboxEntry, InboxReader, Told},
    readers::Readers,
    receipt::{Peer, Receipt},
    state::{Audience, Message, Progress},
};
use serde::Deserialize;

/// Before it held what a message is still releasing, and leader epochs.
#[derive(Deserialize)]
pub(crate) struct Progress1 {
    conversations_offset: u64,
    reads_offset: u64,
    log_time_ms: u64,
    next_conversation: u64,
    policies: u64,
    messages: u64,
    receipts: u64,
}

impl From<Progress1> for Progress {
    fn from(row: Progress1) -> Self {
        let Progress1 {
            conversations_offset,
            reads_offset,
            log_time_ms,
            next_conversation,
            policies,
            messages,
            receipts,
        } = row;
        Self {
            conversations_offset,
            reads_offset,
            log_time_ms,
            next_conversation,
            policies,
            messages,
            receipts,
            releasing: None,
            conversations_epoch: None,
            reads_epoch: None,
        }
    }
}

/// Before it counted the readers who left.
#[derive(Deserialize)]
pub(crate) struct Message1 {
    id: MessageId,
    sender: UserId,
    log_time_ms: u64,
    occurred_at_ms: u64,
    audience: Audience,
    audience_size: u32,
    recalled: bool,
    leaves_applied: u32,
    left_unread: u32,
    readers: Readers,
}

impl From<Message1> for Message {
    fn from(row: Message1) -> Self {
        Self {
            id: row.id,
            sender: row.sender,
            log_time_ms: row.log_time_ms,
            occurred_at_ms: row.occurred_at_ms,
            audience: row.audience,
            audience_size: row.audience_size,
            recalled: row.recalled,
            leaves_applied: row.leaves_applied,
            left_unread: row.left_unread,
            read_left: None,
            readers: row.readers,
        }
    }
}

/// Before its times were in milliseconds, and its receipt said which use of the id it is of.
#[derive(Deserialize)]
pub(crate) struct InboxEntry1 {
    log_time_ms: u64,
    told: Told1,
    readers: Vec<InboxReader1>,
    unnamed_offset: Option<u64>,
    token: String,
}

#[derive(Deserialize)]
enum Told1 {
    Receipt(Receipt1),
    PeerReadMark { conversation: ConversationId, peer: UserId, up_to_ms: u64 },
}

#[derive(Deserialize)]
struct Receipt1 {
    conversation: ConversationId,
    message: MessageId,
    read_count: u32,
    unread_count: u32,
    recalled: bool,
    peer: Option<Peer1>,
}

#[derive(Deserialize)]
struct Peer1 {
    user: UserId,
    read_at_s: Option<u32>,
}

#[derive(Deserialize)]
struct InboxReader1 {
    user: UserId,
    read_at_s: u32,
    offset: u64,
}

fn milliseconds(seconds: u32) -> u64 {
    u64::from(seconds) * 1000
}

impl From<InboxEntry1> for InboxEntry {
    fn from(row: InboxEntry1) -> Self {
        let readers = row.readers.into_iter().map(|reader| InboxReader {
            user: reader.user,
            read_at_ms: milliseconds(reader.read_at_s),
            offset: reader.offset,
        });
        Self {
            log_time_ms: row.log_time_ms,
            told: match row.told {
                Told1::Receipt(receipt) => Told::Receipt(receipt.into()),
                Told1::PeerReadMark { conversation, peer, up_to_ms } => {
                    Told::PeerReadMark { conversation, peer, up_to_ms }
                }
            },
            readers: readers.collect(),
            unnamed_offset: row.unnamed_offset,
            token: row.token,
        }
    }
}

impl From<Receipt1> for Receipt {
    fn from(row: Receipt1) -> Self {
        Self {
            conversation: row.conversation,
            message: row.message,
            read_count: row.read_count,
            unread_count: row.unread_count,
            audience_count: 0,
            read_left_count: 0,
            kept_until_ms: None,
            recalled: row.recalled,
            peer: row.peer.map(|peer| Peer { user: peer.user, read_at_ms: peer.read_at_s.map(milliseconds) }),
        }
    }
}
