//! Deltas between the domain and the wire.

use receipt_domain::{
    effects::{Delta, DeltaChange},
    id::UserId,
    receipt::{Peer, Receipt},
};

use crate::{InvalidField, conversation_id, message_id, ms_from_timestamp, timestamp_from_ms, user_id, v1};

impl From<&Receipt> for v1::MessageReceipt {
    fn from(receipt: &Receipt) -> Self {
        let peer = receipt.peer.as_ref();
        let read_at_ms = peer.and_then(|peer| peer.read_at_ms);
        Self {
            conversation_id: receipt.conversation.to_string(),
            message_id: receipt.message.to_string(),
            read_count: receipt.read_count,
            unread_count: receipt.unread_count,
            recalled: receipt.recalled,
            peer_id: peer.map(|peer| peer.user.to_string()).unwrap_or_default(),
            is_peer_read: read_at_ms.is_some(),
            peer_read_at: read_at_ms.map(timestamp_from_ms),
            audience_count: receipt.audience_count,
            read_left_count: receipt.read_left_count,
            kept_until: receipt.kept_until_ms.map(timestamp_from_ms),
        }
    }
}

/// Its consistency token is left empty.
impl From<&Delta> for v1::ReceiptDelta {
    fn from(delta: &Delta) -> Self {
        use v1::receipt_delta::Change;
        let sender_id = delta.sender.to_string();
        match &delta.change {
            DeltaChange::Receipt { receipt, new_readers, more_readers } => Self {
                sender_id,
                change: Some(Change::Receipt(receipt.into())),
                new_readers: new_readers
                    .iter()
                    .map(|(user, read_at_ms)| v1::Reader {
                        user_id: user.to_string(),
                        read_at: Some(timestamp_from_ms(*read_at_ms)),
                    })
                    .collect(),
                more_readers: *more_readers,
                consistency_token: String::new(),
            },
            DeltaChange::PeerReadMark { conversation, peer, up_to_ms } => Self {
                sender_id,
                change: Some(Change::PeerReadMark(v1::PeerReadMark {
                    conversation_id: conversation.to_string(),
                    peer_id: peer.to_string(),
                    up_to_time: Some(timestamp_from_ms(*up_to_ms)),
                })),
                ..Self::default()
            },
        }
    }
}

/// What a delta of the log says.
///
/// # Errors
/// Names the field that is no such thing.
pub fn delta(delta: v1::ReceiptDelta) -> Result<Delta, InvalidField> {
    use v1::receipt_delta::Change;
    let sender = user_id("sender_id", &delta.sender_id)?;
    let change = match delta.change {
        None => return Err(InvalidField::rule("change", "is missing")),
        Some(Change::PeerReadMark(mark)) => DeltaChange::PeerReadMark {
            conversation: conversation_id("peer_read_mark.conversation_id", &mark.conversation_id)?,
            peer: user_id("peer_read_mark.peer_id", &mark.peer_id)?,
            up_to_ms: ms_from_timestamp("peer_read_mark.up_to_time", &mark.up_to_time.unwrap_or_default())?,
        },
        Some(Change::Receipt(receipt)) => DeltaChange::Receipt {
            receipt: message_receipt(receipt)?,
            new_readers: delta.new_readers.into_iter().map(new_reader).collect::<Result<_, _>>()?,
            more_readers: delta.more_readers,
        },
    };
    Ok(Delta { sender, change })
}

fn new_reader(reader: v1::Reader) -> Result<(UserId, u64), InvalidField> {
    let read_at_ms = ms_from_timestamp("new_readers.read_at", &reader.read_at.unwrap_or_default())?;
    Ok((user_id("new_readers.user_id", &reader.user_id)?, read_at_ms))
}

fn message_receipt(receipt: v1::MessageReceipt) -> Result<Receipt, InvalidField> {
    let peer = match receipt.peer_id.as_str() {
        "" => None,
        peer => {
            let read_at_ms =
                receipt.peer_read_at.map(|at| ms_from_timestamp("receipt.peer_read_at", &at)).transpose()?;
            let user = user_id("receipt.peer_id", peer)?;
            Some(Peer { user, read_at_ms })
        }
    };
    Ok(Receipt {
        conversation: conversation_id("receipt.conversation_id", &receipt.conversation_id)?,
        message: message_id("receipt.message_id", &receipt.message_id)?,
        read_count: receipt.read_count,
        unread_count: receipt.unread_count,
        audience_count: receipt.audience_count,
        read_left_count: receipt.read_left_count,
        kept_until_ms: receipt.kept_until.map(|at| ms_from_timestamp("receipt.kept_until", &at)).transpose()?,
        recalled: receipt.recalled,
        peer,
    })
}

#[cfg(test)]
mod tests {
    use receipt_domain::id::{ConversationId, MessageId};

    use super::*;

    #[test]
    fn deltas_come_back_from_the_wire() {
        let (user, conversation) = (|n| UserId::new(n).unwrap(), ConversationId::new("c").unwrap());
        let receipt = Receipt {
            conversation: conversation.clone(),
            message: MessageId::new("m").unwrap(),
            read_count: 1,
            unread_count: 0,
            audience_count: 2,
            read_left_count: 1,
            kept_until_ms: Some(9_001),
            recalled: true,
            peer: Some(Peer { user: user("p"), read_at_ms: Some(7_001) }),
        };
        let changes = [
            DeltaChange::Receipt { receipt, new_readers: vec![(user("p"), 7_001)], more_readers: true },
            DeltaChange::PeerReadMark { conversation, peer: user("p"), up_to_ms: 1234 },
        ];
        for change in changes {
            let there = Delta { sender: user("s"), change };
            assert_eq!(delta(v1::ReceiptDelta::from(&there)), Ok(there));
        }
        assert_eq!(delta(v1::ReceiptDelta::default()).map_err(|why| why.field), Err("sender_id".to_owned()));
    }
}
