//! Groups whose messages are to be brought up to date with their leave logs: which there are, and which messages come next
//! (S3).

use receipt_codec::{
    key::Kind,
    row::{message, sweep},
};
use receipt_domain::{
    state::Sweep,
    working_set::{ConversationNumber, Position, WorkingSet},
};
use rocksdb::{DB, Direction, IteratorMode, ReadOptions};

use crate::{error::StoreError, open};

/// The first pass that is not done of a group with a number from `from` on.
pub(crate) fn next(db: &DB, from: ConversationNumber) -> Result<Option<(ConversationNumber, Sweep)>, StoreError> {
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound([Kind::Sweep as u8 + 1]);
    match db.iterator_opt(IteratorMode::From(&sweep::key(from), Direction::Forward), options).next() {
        None => Ok(None),
        Some(row) => {
            let (key, value) = row?;
            Ok(Some((sweep::decode_key(&key)?, sweep::decode(&value)?)))
        }
    }
}

/// Of a store that was folded offline: the passes whose senders are notified are those that another store of the same
/// partition has still to do; all, where there is none to go by.
pub(crate) fn notify_as(db: &DB, other: Option<&DB>) -> Result<(), StoreError> {
    let mut from = 0;
    while let Some((number, pass)) = next(db, from)? {
        let notifies = match other {
            None => true,
            Some(other) => match other.get(sweep::key(number))? {
                Some(row) => !sweep::decode(&row)?.quiet,
                None => false,
            },
        };
        if notifies {
            let row = Sweep { quiet: false, ..pass };
            db.put_opt(sweep::key(number), sweep::encode(&row)?, &open::no_wal())?;
        }
        from = number.saturating_add(1);
    }
    Ok(())
}

/// Loads the last messages of a group that ask for receipts at or before a position, at most so many, and says their
/// positions, falling.
pub(crate) fn messages_before(
    db: &DB,
    number: ConversationNumber,
    last: Position,
    max: usize,
    rows: &mut WorkingSet,
) -> Result<Vec<Position>, StoreError> {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(message::key(number, 0));
    let mut positions = Vec::with_capacity(max);
    let last = message::key(number, last);
    for row in db.iterator_opt(IteratorMode::From(&last, Direction::Reverse), options).take(max) {
        let (key, value) = row?;
        let position = message::decode_key(&key)?.1;
        rows.messages.load((number, position), Some(message::decode(&value)?));
        positions.push(position);
    }
    Ok(positions)
}
