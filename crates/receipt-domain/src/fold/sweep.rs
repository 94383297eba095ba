//! Leaves that messages do not show yet: a pass over a group's messages, newest first, that counts them and notifies the
//! senders (S3).
//!
//! Nothing but work still to be done: what a query answers and what a read counts is right without it. So it is done in
//! slices between batches, and again after a crash.

use super::{Fold, count::Place};
use crate::{
    id::ConversationId,
    state::{Kind, Sweep},
    working_set::{ConversationNumber, Need, Needs, Position, known, satisfied},
};

impl Fold {
    /// Members left a group: its messages are to be looked at. A pass that is going on is followed by another, so that a
    /// group that members leave all the time gets to its oldest messages as well. All rows are loaded.
    pub(super) fn sweep_later(&mut self, id: &ConversationId, number: ConversationNumber, next_position: Position) {
        let going_on = self.rows.sweeps.get(&number).ok().flatten().is_some_and(|sweep| !sweep.quiet || !self.notifies);
        if going_on {
            return;
        }
        let Ok(Some(leaves)) = self.rows.conversations.get(id).map(|row| row.map(|row| leaves_of(&row.kind))) else {
            return;
        };
        let (next, quiet) = (next_position.saturating_sub(1), !self.notifies);
        self.rows.sweeps.put(number, Sweep { conversation: id.clone(), next, leaves, looked_at: 0, quiet });
    }

    /// Brings the message of a group at this position, if there is one, up to date with the group's leave log, as part of
    /// the group's pass. `false`: it has expired, and so has all before it. Changes nothing when it is called again.
    ///
    /// # Errors
    /// The rows that it still needs.
    pub fn sweep(&mut self, number: ConversationNumber, position: Position) -> Result<bool, Needs> {
        let row = known(self.rows.sweeps.get(&number), || Need::Sweep(number))?;
        let Some(Sweep { conversation: id, quiet, .. }) = row.cloned() else { return Ok(false) };
        let Some(conversation) = self.conversation(&id)? else { return Ok(false) };
        let at = Place::of(&id, conversation);
        let row = self.rows.messages.get(&(number, position));
        let Some(message) = known(row, || Need::Messages(number, position..=position))? else { return Ok(true) };
        if !self.settings.keeps(message.log_time_ms, self.now_ms()) {
            return Ok(false);
        }
        let mut needs = Vec::new();
        self.rows.need_leaves(number, position, message, at.leaves, &mut needs);
        satisfied(needs)?;
        if self.bring_up_to_date(&at, position) && !quiet {
            self.effects.changed(&id, (number, position));
        }
        Ok(true)
    }

    /// So many messages of a group's pass were looked at, down to the position after `next`; `ended`: there are no more.
    /// Where members have left since the pass began, another follows.
    ///
    /// # Errors
    /// The rows that it still needs.
    pub fn swept(
        &mut self,
        number: ConversationNumber,
        next: Position,
        looked_at: u64,
        ended: bool,
    ) -> Result<(), Needs> {
        let row = known(self.rows.sweeps.get(&number), || Need::Sweep(number))?;
        let Some(sweep) = row.cloned() else { return Ok(()) };
        let group = self.conversation(&sweep.conversation)?.map(|row| (leaves_of(&row.kind), row.next_position));
        match group {
            Some(_) if !ended => {
                let looked_at = sweep.looked_at + looked_at;
                self.rows.sweeps.put(number, Sweep { next, looked_at, ..sweep });
            }
            Some((leaves, next_position)) if sweep.leaves < leaves => {
                let next = next_position.saturating_sub(1);
                self.rows.sweeps.put(number, Sweep { next, leaves, looked_at: 0, ..sweep });
            }
            _ => self.rows.sweeps.delete(&number),
        }
        Ok(())
    }
}

fn leaves_of(kind: &Kind) -> u32 {
    match kind {
        Kind::Group(group) => group.leaves,
        Kind::OneToOne(_) => 0,
    }
}
