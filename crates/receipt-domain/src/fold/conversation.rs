//! Groups and who is in them (S5, S8, S9, S12, S22).

use std::collections::BTreeSet;

use super::{Fold, Outcome};
use crate::{
    event::{Change, ConversationEvent, Rejection},
    id::{ConversationId, GroupType, UserId},
    readers::chunk_of,
    state::{Conversation, Group, Kind, Leave, LeaveEntry, Member, Membership},
    working_set::{ConversationNumber, Need, Needs, known, satisfied},
};

pub(super) fn rejected(why: impl Into<String>) -> Outcome {
    Outcome::Rejected(Rejection(why.into()))
}

/// Each once, in the order given.
pub(super) fn distinct(users: &[UserId]) -> Vec<&UserId> {
    let mut seen = BTreeSet::new();
    users.iter().filter(|user| seen.insert(*user)).collect()
}

impl Fold {
    /// Looked at in this order: shape (before it came here), version, known id, S8 (S12).
    pub(super) fn conversation_event(&mut self, event: &ConversationEvent, arrival_ms: u64) -> Result<Outcome, Needs> {
        let conversation = self.conversation(&event.conversation)?;
        if event.version != 0 && conversation.is_some_and(|c| event.version <= c.version) {
            return Ok(Outcome::Repeated);
        }
        let outcome = match &event.change {
            Change::GroupCreated { group_type, members } => {
                self.group_created(&event.conversation, group_type, members)?
            }
            Change::MembersAdded(users) => self.members_added(&event.conversation, users)?,
            Change::MembersRemoved(users) => self.members_removed(&event.conversation, users)?,
            Change::GroupDismissed => self.group_dismissed(&event.conversation)?,
            Change::MessageSent { .. } => self.message_sent(event, arrival_ms)?,
            Change::MessageRecalled { message } => self.message_recalled(&event.conversation, message)?,
        };
        // Neither a dead letter nor a repeat uses up its version.
        if outcome == Outcome::Applied
            && event.version != 0
            && let Some(conversation) = self.rows.conversations.get_mut(&event.conversation)
        {
            conversation.version = event.version;
        }
        Ok(outcome)
    }

    fn group_created(
        &mut self,
        id: &ConversationId,
        group_type: &GroupType,
        members: &[UserId],
    ) -> Result<Outcome, Needs> {
        match self.conversation(id)?.map(|c| &c.kind) {
            Some(Kind::Group(_)) => return Ok(rejected("S8: the group was created before")),
            Some(Kind::OneToOne(_)) => return Ok(rejected("S8: the conversation is one-to-one")),
            None => {}
        }
        let members = distinct(members);
        if let Some(rejection) = self.over_limit(0, members.len()) {
            return Ok(rejection);
        }
        let number = self.rows.progress.next_conversation;
        self.rows.progress.next_conversation += 1;
        let group = Group { group_type: group_type.clone(), dismissed: false, next_ordinal: 0, members: 0, leaves: 0 };
        let conversation = Conversation { number, version: 0, next_position: 1, kind: Kind::Group(group) };
        self.rows.conversations.put(id.clone(), conversation);
        // A new number has no rows in the store.
        for user in &members {
            self.rows.memberships.load((number, (*user).clone()), None);
        }
        for ordinal in 0..u32::try_from(members.len()).unwrap_or(u32::MAX) {
            self.rows.active.load((number, chunk_of(ordinal)), None);
        }
        self.add(id, &members);
        Ok(Outcome::Applied)
    }

    fn members_added(&mut self, id: &ConversationId, users: &[UserId]) -> Result<Outcome, Needs> {
        let (number, group) = match self.open_group(id)? {
            Ok(found) => found,
            Err(rejection) => return Ok(rejection),
        };
        let users = distinct(users);
        let mut new = Vec::with_capacity(users.len());
        let mut needs = Vec::new();
        for user in users {
            match self.rows.membership_now(number, user) {
                Ok(None) => new.push(user),
                Ok(Some(_)) => {}
                Err(need) => needs.extend(need),
            }
        }
        satisfied(needs)?;
        if let Some(rejection) = self.over_limit(group.members, new.len()) {
            return Ok(rejection);
        }
        let first = group.next_ordinal;
        let last = first.saturating_add(u32::try_from(new.len()).unwrap_or(u32::MAX));
        self.need_active(number, (chunk_of(first)..=chunk_of(last)).collect())?;
        self.add(id, &new);
        Ok(Outcome::Applied)
    }

    /// A whole change stands or falls (S9).
    fn over_limit(&self, members: u32, joining: usize) -> Option<Outcome> {
        let max = self.settings.max_group_members;
        let over = u32::try_from(joining).ok().and_then(|n| members.checked_add(n)).is_none_or(|n| n > max);
        over.then(|| {
            rejected(format!("S9: the group would have {members} + {joining} members; max_group_members is {max}"))
        })
    }

    /// Gives each a new membership. All rows are loaded, and none is a member.
    fn add(&mut self, id: &ConversationId, users: &[&UserId]) {
        let (now_ms, settings) = (self.now_ms(), self.settings);
        let rows = &mut self.rows;
        let Some(Conversation { number, next_position, kind: Kind::Group(group), .. }) = rows.conversations.get_mut(id)
        else {
            return;
        };
        for user in users {
            let ordinal = group.next_ordinal;
            group.next_ordinal += 1;
            group.members += 1;
            let key = (*number, (*user).clone());
            let mut stays = rows.memberships.get(&key).ok().flatten().cloned().unwrap_or_default();
            // Whatever was sent in an ended membership is expired by now, so nothing asks for it any more.
            stays.retain(|stay| stay.is_kept(&settings, now_ms));
            stays.push(Membership { ordinal, joined_position: *next_position, left: None });
            rows.memberships.put(key, stays);
            rows.members.put((*number, ordinal), Member { user: (*user).clone(), left_log_time_ms: None });
            let chunk = (*number, chunk_of(ordinal));
            let mut active = rows.active.get(&chunk).ok().flatten().cloned().unwrap_or_default();
            active.insert(ordinal);
            rows.active.put(chunk, active);
        }
    }

    fn members_removed(&mut self, id: &ConversationId, users: &[UserId]) -> Result<Outcome, Needs> {
        let (number, _) = match self.open_group(id)? {
            Ok(found) => found,
            Err(rejection) => return Ok(rejection),
        };
        let mut leaving = Vec::new();
        let mut needs = Vec::new();
        for user in distinct(users) {
            match self.rows.membership_now(number, user) {
                Ok(Some(membership)) => leaving.push((user.clone(), membership.ordinal)),
                Ok(None) => {}
                Err(need) => needs.extend(need),
            }
        }
        if !leaving.is_empty() {
            needs.extend(known(self.rows.sweeps.get(&number), || Need::Sweep(number)).err().into_iter().flatten());
        }
        satisfied(needs)?;
        self.need_active(number, leaving.iter().map(|(_, ordinal)| chunk_of(*ordinal)).collect())?;
        self.remove(id, &leaving);
        Ok(Outcome::Applied)
    }

    /// Ends these memberships. All rows are loaded, and all are members.
    fn remove(&mut self, id: &ConversationId, leaving: &[(UserId, u32)]) {
        let log_time_ms = self.now_ms();
        let rows = &mut self.rows;
        let Some(Conversation { number, next_position, kind: Kind::Group(group), .. }) = rows.conversations.get_mut(id)
        else {
            return;
        };
        for (user, ordinal) in leaving {
            if let Some(stay) = rows.memberships.get_mut(&(*number, user.clone())).and_then(|stays| stays.last_mut()) {
                stay.left = Some(Leave { position: *next_position, log_time_ms });
            }
            let member = Member { user: user.clone(), left_log_time_ms: Some(log_time_ms) };
            rows.members.put((*number, *ordinal), member);
            if let Some(active) = rows.active.get_mut(&(*number, chunk_of(*ordinal))) {
                active.remove(*ordinal);
            }
            rows.leaves.put(number, group.leaves, LeaveEntry { ordinal: *ordinal, log_time_ms });
            group.leaves += 1;
            group.members -= 1;
        }
        let (number, next_position) = (*number, *next_position);
        if !leaving.is_empty() {
            self.sweep_later(id, number, next_position);
        }
    }

    fn group_dismissed(&mut self, id: &ConversationId) -> Result<Outcome, Needs> {
        if let Err(rejection) = self.open_group(id)? {
            return Ok(rejection);
        }
        if let Some(Conversation { kind: Kind::Group(group), .. }) = self.rows.conversations.get_mut(id) {
            group.dismissed = true;
        }
        Ok(Outcome::Applied)
    }

    /// The group that an event changes, or why it can't (S8).
    fn open_group(&self, id: &ConversationId) -> Result<Result<(ConversationNumber, &Group), Outcome>, Needs> {
        Ok(match self.conversation(id)? {
            None => Err(rejected("S8: the group was never created")),
            Some(Conversation { kind: Kind::OneToOne(_), .. }) => Err(rejected("S8: the conversation is one-to-one")),
            Some(Conversation { kind: Kind::Group(group), .. }) if group.dismissed => {
                Err(rejected("S8: the group was dismissed"))
            }
            Some(Conversation { number, kind: Kind::Group(group), .. }) => Ok((*number, group)),
        })
    }

    fn need_active(&self, number: ConversationNumber, chunks: BTreeSet<u32>) -> Result<(), Needs> {
        let missing = chunks.into_iter().filter(|chunk| !self.rows.active.is_loaded(&(number, *chunk)));
        satisfied(missing.map(|chunk| Need::Active(number, chunk)).collect())
    }
}
