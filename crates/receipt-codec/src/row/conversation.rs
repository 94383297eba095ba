//! A conversation, by its id.
//!
//! Key `[kind][conversation id]`, value: serde.

use receipt_domain::{id::ConversationId, state::Conversation};

use crate::{
    codec,
    error::Corrupt,
    key::{Kind, Parser, Writer, id},
};

const WHAT: &str = "conversation";

/// The row's key.
#[must_use]
pub fn key(conversation: &ConversationId) -> Vec<u8> {
    Writer::new(Kind::Conversation).last_text(conversation.as_str()).done()
}

/// What a key says.
///
/// # Errors
/// If it is no such key.
pub fn decode_key(key: &[u8]) -> Result<ConversationId, Corrupt> {
    id(WHAT, Parser::new(WHAT, Kind::Conversation, key)?.last_text()?)
}

/// The row's value.
///
/// # Errors
/// Never, with this type.
pub fn encode(row: &Conversation) -> Result<Vec<u8>, Corrupt> {
    codec::encode(WHAT, row)
}

/// The row in a value.
///
/// # Errors
/// If it is no such row.
pub fn decode(value: &[u8]) -> Result<Conversation, Corrupt> {
    codec::decode(WHAT, value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use receipt_domain::{
        id::{GroupType, UserId},
        state::{Group, Kind as ConversationKind, OneToOne},
    };

    use super::*;
    use crate::{arbitrary, proof};

    const KEY: proof::Key<ConversationId> = proof::Key { kind: Kind::Conversation, encode: key, decode: decode_key };
    const VALUE: proof::Value<Conversation> = proof::Value { what: WHAT, encode: |row| encode(row).unwrap(), decode };

    #[test]
    fn golden_bytes() {
        KEY.golden(&ConversationId::new("room-é").unwrap(), "10 726f6f6d2dc3a9");
        let group_type = GroupType::new("team").unwrap();
        let group = Group { group_type, dismissed: true, next_ordinal: 300, members: 200, leaves: 100 };
        let kind = ConversationKind::Group(group);
        VALUE.golden(
            &Conversation { number: 1, version: 2, next_position: 1000, kind },
            "01 01 02 fbe803 00 047465616d 01 fb2c01 c8 64",
        );
        let parties = [UserId::new("ann").unwrap(), UserId::new("bob").unwrap()];
        let marked_ms = [None, Some(1_700_000_000_000)];
        let pair =
            OneToOne { parties, first_log_time_ms: 1_600_000_000_000, marked_ms, latest_read_s: [0, 1_700_000_000] };
        let kind = ConversationKind::OneToOne(pair);
        VALUE.golden(
            &Conversation { number: 1, version: 0, next_position: 2, kind },
            "01 01 00 02 01 03616e6e 03626f62 fd00806e8774010000 00 01fd0068e5cf8b010000 00 fc00f15365",
        );
    }

    proptest! {
        #![proptest_config(receipt_test_seed::config())]

        #[test]
        fn rows_round_trip(id in arbitrary::id(), row in arbitrary::conversation(), damage in proof::damage()) {
            KEY.holds(&id, &damage);
            VALUE.holds(&row, &damage);
        }
    }
}
