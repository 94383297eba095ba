//! Who a message is for, and who of those has read it: what the fold and the queries both ask of the rows (R4, S5).

use crate::{
    id::UserId,
    readers::{Readers, chunk_of},
    settings::Settings,
    state::{Conversation, Kind, Membership, Message},
    working_set::{ConversationNumber, Need, Needs, Position, WorkingSet, known},
};

/// The membership by which a user is in a message's audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InAudience {
    /// Which.
    pub ordinal: u32,
    /// Whether it has ended since.
    pub ended: bool,
}

/// Members of a message's audience whose leaves are not in its own counts yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewlyLeft {
    /// Those who have not read it.
    pub unread: u32,
    /// Those who have.
    pub read: u32,
}

impl WorkingSet {
    /// Whether the ordinal is among the readers. Of a large set, the chunk is loaded.
    pub(crate) fn read_at_s(
        &self,
        number: ConversationNumber,
        position: Position,
        readers: &Readers,
        ordinal: u32,
    ) -> Option<u32> {
        match readers {
            Readers::Inline(list) => list.iter().find(|r| r.ordinal == ordinal).map(|r| r.read_at_s),
            Readers::Chunked(_) => {
                let chunk = self.reads.get(&(number, position, chunk_of(ordinal))).ok()??;
                chunk.read_at_s(ordinal)
            }
        }
    }

    /// Of those who left since the message last looked: how many are in its audience. The rows of
    /// [`WorkingSet::need_leaves`] are loaded.
    pub(crate) fn newly_left(&self, number: ConversationNumber, position: Position, message: &Message) -> NewlyLeft {
        let mut left = NewlyLeft::default();
        for (index, entry) in self.leaves.range(&number, message.leaves_from()..=u32::MAX) {
            if !message.addresses(entry.ordinal) {
                continue;
            }
            if self.read_at_s(number, position, &message.readers, entry.ordinal).is_some() {
                left.read += 1;
            } else if index >= message.leaves_applied {
                left.unread += 1;
            }
        }
        left
    }

    /// The rows that applying the leave log to a message needs.
    pub(crate) fn need_leaves(
        &self,
        number: ConversationNumber,
        position: Position,
        message: &Message,
        leaves: u32,
        needs: &mut Needs,
    ) {
        if !message.is_behind(leaves) {
            return;
        }
        let range = message.leaves_from()..=u32::MAX;
        if !self.leaves.is_loaded(&number, &range) {
            needs.push(Need::Leaves(number, message.leaves_from()));
        } else if matches!(message.readers, Readers::Chunked(_)) {
            for (_, entry) in self.leaves.range(&number, range).filter(|(_, entry)| message.addresses(entry.ordinal)) {
                self.need_chunk(number, position, entry.ordinal, needs);
            }
        }
    }

    pub(crate) fn need_chunk(&self, number: ConversationNumber, position: Position, ordinal: u32, needs: &mut Needs) {
        let key = (number, position, chunk_of(ordinal));
        if !self.reads.is_loaded(&key) {
            let need = Need::Reads(key.0, key.1, key.2);
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
    }

    /// A user's memberships of a group, rising.
    pub(crate) fn stays(&self, number: ConversationNumber, user: &UserId) -> Result<&[Membership], Needs> {
        let row = self.memberships.get(&(number, user.clone()));
        Ok(known(row, || Need::Memberships(number, user.clone()))?.map(Vec::as_slice).unwrap_or_default())
    }

    /// Whether a user's memberships are loaded; a one-to-one conversation has none.
    pub(crate) fn need_stays(&self, conversation: &Conversation, user: &UserId) -> Result<(), Needs> {
        match conversation.kind {
            Kind::OneToOne(_) => Ok(()),
            Kind::Group(_) => self.stays(conversation.number, user).map(|_| ()),
        }
    }

    /// The membership that has not ended, if the user is a member.
    pub(crate) fn membership_now(
        &self,
        number: ConversationNumber,
        user: &UserId,
    ) -> Result<Option<&Membership>, Needs> {
        Ok(self.stays(number, user)?.last().filter(|stay| stay.left.is_none()))
    }

    /// Which of the user's memberships a kept message means, if it is in the audience. One that has expired covers none:
    /// what its row still says is not looked at.
    pub(crate) fn in_audience(
        &self,
        conversation: &Conversation,
        position: Position,
        message: &Message,
        user: &UserId,
        settings: &Settings,
    ) -> Result<Option<InAudience>, Needs> {
        let who = match &conversation.kind {
            Kind::OneToOne(two) => two.ordinal(user).map(|ordinal| InAudience { ordinal, ended: false }),
            Kind::Group(_) => {
                let stays = self.stays(conversation.number, user)?;
                let now_ms = self.progress.log_time_ms;
                let stay = stays.iter().rev().find(|stay| stay.covers(position) && stay.is_kept(settings, now_ms));
                stay.map(|stay| InAudience { ordinal: stay.ordinal, ended: stay.left.is_some() })
            }
        };
        Ok(who.filter(|who| message.addresses(who.ordinal)))
    }
}
