//! What a log says of one conversation alone is what the whole log says of it, and what is told to have happened is what
//! there is in the end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use receipt_ctl::story::{ConversationLife, KindNow, MembershipLife, MessageLife, MessageNow, Story, Watcher, What};
use receipt_domain::{
    answer::Unanswerable,
    event::{Change, Event, ReadTarget},
    id::{ConversationId, MessageId, UserId},
};
use receipt_fold_tests::runner::{check, histories_wanted};
use receipt_model::{History, KindState, LogicalState, Model, Status, histories};
use receipt_store::{Resources, Store, in_memory};
use receipt_tests::{
    dir,
    feed::{self, Input},
    random::Random,
};

/// Read sets are in chunks from so many readers on, so that small groups show them.
const INLINE_READERS_MAX: usize = 2;

/// Takes all of a history, as receiptctl does: of each topic in order, the older record first, and of other conversations
/// the time only.
fn told<W: Watcher>(history: &History, id: &ConversationId, watcher: W) -> Story<W> {
    let story = Story::new(history.settings, id.clone(), watcher).with_inline_readers_max(INLINE_READERS_MAX);
    told_on(story, history, id, (0, 0))
}

/// What comes behind a cut.
fn told_on<W: Watcher>(mut story: Story<W>, history: &History, id: &ConversationId, cut: Cut) -> Story<W> {
    let mut reads = history.reads[cut.1..].iter().peekable();
    for record in &history.conversations[cut.0..] {
        while let Some(read) = reads.next_if(|read| read.arrival_ms < record.arrival_ms) {
            story.read(read.clone());
        }
        match &record.event {
            Ok(Event::Conversation(event)) if event.conversation != *id => story.time(record.offset, record.arrival_ms),
            _ => story.event(record.clone()),
        }
    }
    reads.for_each(|read| story.read(read.clone()));
    story
}

/// How many records of each topic a state holds that a story begins with.
type Cut = (usize, usize);

/// As [`told`], after a state that holds the records before a cut: of the log, only what is behind it is read.
fn told_after<W: Watcher>(history: &History, id: &ConversationId, watcher: W, store: &Store, cut: Cut) -> Story<W> {
    let mut rows = Vec::new();
    let view = store.view().unwrap();
    view.conversation_rows(id, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        true
    })
    .unwrap();
    let story = Story::after(history.settings, id.clone(), in_memory(rows).unwrap(), watcher);
    told_on(story.with_inline_readers_max(INLINE_READERS_MAX), history, id, cut)
}

/// All ids that a history names.
#[derive(Default)]
struct Ids {
    messages: BTreeSet<(ConversationId, MessageId)>,
    users: BTreeSet<(ConversationId, UserId)>,
}

fn ids(history: &History) -> Ids {
    let mut ids = Ids::default();
    for record in &history.conversations {
        let Ok(Event::Conversation(event)) = &record.event else { continue };
        let id = &event.conversation;
        match &event.change {
            Change::MessageSent { message, .. } | Change::MessageRecalled { message } => {
                ids.messages.insert((id.clone(), message.clone()));
            }
            Change::GroupCreated { members, .. } | Change::MembersAdded(members) | Change::MembersRemoved(members) => {
                ids.users.extend(members.iter().map(|user| (id.clone(), user.clone())));
            }
            Change::GroupDismissed => {}
        }
    }
    for record in &history.reads {
        let Ok(read) = &record.event else { continue };
        let named = match &read.target {
            ReadTarget::Messages(named) => named.clone(),
            ReadTarget::UpToMessage(message) => vec![message.clone()],
            ReadTarget::UpToTime(_) => Vec::new(),
        };
        ids.messages.extend(named.into_iter().map(|message| (read.conversation.clone(), message)));
    }
    ids
}

fn is_status(status: Option<&Status>, now: &MessageNow) -> bool {
    match (status, &now.answer) {
        (None, Err(Unanswerable::NotFound))
        | (Some(Status::NotRequested), Err(Unanswerable::NotRequested))
        | (Some(Status::Expired), Err(Unanswerable::Expired)) => true,
        (Some(Status::Kept(kept)), Ok(answer)) => {
            let readers = answer.readers.iter().map(|reader| (&reader.user, reader.read_at_ms, reader.left));
            let same_readers =
                readers.eq(kept.read.iter().map(|reader| (&reader.user, reader.read_at_ms, reader.left)));
            let receipt = &answer.receipt;
            let counts = (receipt.read_count as usize, receipt.unread_count as usize, receipt.recalled);
            same_readers
                && counts == (kept.read_count, kept.unread_count, kept.recalled)
                && (&answer.unread, &answer.left_unread) == (&kept.unread, &kept.left_unread)
        }
        _ => false,
    }
}

/// What comes of what happened, since the message was last sent.
fn by_happenings(life: &MessageLife) -> (BTreeMap<UserId, u64>, BTreeSet<UserId>, bool) {
    let sent = life.happenings.iter().rposition(|one| matches!(one.what, What::Sent { .. })).unwrap_or(0);
    let (mut readers, mut left_unread, mut recalled) = (BTreeMap::new(), BTreeSet::new(), false);
    for happening in &life.happenings[sent..] {
        match &happening.what {
            What::Read { user, read_at_ms, before_ms, .. } => {
                assert_eq!(readers.insert(user.clone(), *read_at_ms), *before_ms, "{:#?}", life.happenings);
                left_unread.remove(user);
            }
            What::Left { user, had_read } => {
                assert_eq!(readers.contains_key(user), *had_read, "{:#?}", life.happenings);
                if !had_read {
                    left_unread.insert(user.clone());
                }
            }
            What::Recalled { again: false } => recalled = true,
            _ => {}
        }
    }
    (readers, left_unread, recalled)
}

/// Tells a conversation of a history, whole or from a state on.
trait Teller {
    fn tell<W: Watcher>(&self, id: &ConversationId, watcher: W) -> Story<W>;
}

/// From the log's beginning.
struct Whole<'a>(&'a History);

impl Teller for Whole<'_> {
    fn tell<W: Watcher>(&self, id: &ConversationId, watcher: W) -> Story<W> {
        told(self.0, id, watcher)
    }
}

/// From a state on.
struct After<'a>(&'a History, &'a Store, Cut);

impl Teller for After<'_> {
    fn tell<W: Watcher>(&self, id: &ConversationId, watcher: W) -> Story<W> {
        told_after(self.0, id, watcher, self.1, self.2)
    }
}

fn is_told_right(history: &History, teller: &impl Teller) -> Result<(), TestCaseError> {
    let state: LogicalState = Model::at(&history.settings, &history.conversations, &history.reads).state();
    let ids = ids(history);
    for (id, message) in &ids.messages {
        let story = teller.tell(id, MessageLife::new(message.clone()));
        let now = story.watcher.now(story.now());
        let expected = state.conversations.get(id).and_then(|conversation| conversation.messages.get(message));
        let status = expected.map(|message| &message.status);
        prop_assert!(is_status(status, &now), "{:?} {:?}: {:#?}, in the model {:#?}", id, message, now, status);
        prop_assert_eq!(now.log_time_ms, state.log_time_ms);
        if let Ok(answer) = &now.answer {
            let (readers, left_unread, recalled) = by_happenings(&story.watcher);
            let there: BTreeMap<_, _> = answer.readers.iter().map(|one| (one.user.clone(), one.read_at_ms)).collect();
            prop_assert_eq!(readers, there, "{:#?}", story.watcher.happenings);
            let there: BTreeSet<_> = answer.left_unread.iter().cloned().collect();
            prop_assert_eq!(left_unread, there, "{:#?}", story.watcher.happenings);
            prop_assert_eq!(recalled, answer.receipt.recalled);
        }
    }
    for (id, conversation) in &state.conversations {
        let now = ConversationLife::now(teller.tell(id, ConversationLife::default()).now());
        let now = now.ok_or_else(|| TestCaseError::fail("no conversation"))?;
        prop_assert_eq!(now.version, conversation.last_version);
        prop_assert_eq!(now.messages.len(), conversation.messages.len());
        match (&now.kind, &conversation.kind) {
            (KindNow::Group { dismissed, members, group_type, .. }, KindState::Group(group)) => {
                let members: Vec<_> = members.iter().map(|member| member.user.clone()).collect();
                prop_assert_eq!(
                    (dismissed, &members, group_type),
                    (&group.dismissed, &group.members, &group.group_type)
                );
            }
            (KindNow::OneToOne(two), KindState::OneToOne(parties)) => {
                let parties = parties.each_ref().map(|party| (party.user.clone(), party.highest_mark_ms));
                prop_assert_eq!(two, &parties);
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
    }
    for (id, user) in &ids.users {
        let story = teller.tell(id, MembershipLife::new(user.clone()));
        let is_member = story.watcher.stays.last().is_some_and(|stay| stay.left.is_none());
        let group = state.conversations.get(id).and_then(|conversation| match &conversation.kind {
            KindState::Group(group) => Some(group.members.contains(user)),
            KindState::OneToOne(_) => None,
        });
        prop_assert!(group.is_none_or(|group| group == is_member), "{:?} {:?}: {:#?}", id, user, story.watcher);
    }
    Ok(())
}

#[test]
fn r1_one_conversation_alone_is_as_in_the_whole_log() {
    check("conversations by themselves", histories_wanted(1_500), &histories(), |history| {
        is_told_right(&history, &Whole(&history))
    });
}

/// As where the log has lost its beginning, and a snapshot holds what came of it.
#[test]
fn r1_after_a_state_one_conversation_is_as_in_the_whole_log() {
    let resources = Resources::new(1 << 20, 1 << 20);
    check("conversations after a state", histories_wanted(300), &histories(), |history| {
        // The same one for a history that is tried again, as when it is shrunk.
        let mut random = Random::of_history([history.conversations.len(), history.reads.len()]);
        let cut = |random: &mut Random, of: usize| usize::try_from(random.below(of as u64 + 1)).unwrap();
        let cut = (cut(&mut random, history.conversations.len()), cut(&mut random, history.reads.len()));
        let dir = dir::temporary();
        let store = Store::open(dir.path(), &resources, &feed::identity(history.settings)).unwrap();
        let events = history.conversations[..cut.0].iter().cloned().map(Input::Conversations);
        let reads = history.reads[..cut.1].iter().cloned().map(Input::Reads);
        feed::batch(&store, INLINE_READERS_MAX, events.chain(reads));
        is_told_right(&history, &After(&history, &store, cut))
    });
}
