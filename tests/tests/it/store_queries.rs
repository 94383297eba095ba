//! S24 to S28 on RocksDB: every answer that a view gives, against the model's.

use std::collections::BTreeSet;

use proptest::prelude::*;
use receipt_domain::{
    answer::{ReaderState, Unanswerable},
    id::{ConversationId, MessageId, UserId},
};
use receipt_fold_tests::runner::{check, histories_wanted};
use receipt_model::{History, LogicalState, MessageState, Model, Receipt, Status, histories};
use receipt_store::{Member, MemberFilter, PageError, PageRequest, Resources, View};
use receipt_tests::{pages::List, scenario::id, walk::walk};

type Checked = Result<(), TestCaseError>;

/// One message, and who asks about it.
struct Asked<'a> {
    conversation: &'a ConversationId,
    message: &'a MessageId,
    state: &'a MessageState,
    asker: Option<&'a UserId>,
}

/// Every user that a history names, and one that it does not.
fn users(history: &History, state: &LogicalState) -> Vec<UserId> {
    let mut users: BTreeSet<UserId> =
        history.reads.iter().filter_map(|r| Some(r.event.as_ref().ok()?.reader.clone())).collect();
    for message in state.conversations.values().flat_map(|conversation| conversation.messages.values()) {
        users.insert(message.sender.clone());
        if let Status::Kept(receipt) = &message.status {
            users.extend(receipt.read.iter().map(|reader| reader.user.clone()));
            users.extend(receipt.unread.iter().chain(&receipt.left_unread).cloned());
        }
    }
    users.insert(id("nobody"));
    users.into_iter().collect()
}

fn read_list(receipt: &Receipt) -> Vec<Member> {
    let member = |reader: &receipt_model::Reader| Member {
        user: reader.user.clone(),
        read_at_ms: Some(reader.read_at_ms),
        left: reader.left,
    };
    receipt.read.iter().map(member).collect()
}

fn unread_list(receipt: &Receipt) -> Vec<Member> {
    receipt.unread.iter().map(|user| Member { user: user.clone(), read_at_ms: None, left: false }).collect()
}

fn left_unread_list(receipt: &Receipt) -> Vec<Member> {
    receipt.left_unread.iter().map(|user| Member { user: user.clone(), read_at_ms: None, left: true }).collect()
}

/// S26, S27: all lists, in both orders, by pages of one, two and three.
fn lists_agree(view: &mut View<'_>, asked: &Asked<'_>, receipt: &Receipt) -> Checked {
    for (filter, expected) in [
        (MemberFilter::Read, read_list(receipt)),
        (MemberFilter::Unread, unread_list(receipt)),
        (MemberFilter::LeftUnread, left_unread_list(receipt)),
    ] {
        for (size, latest_first) in [(1, false), (2, false), (3, false), (1, true), (2, true), (3, true)] {
            let Asked { conversation, message, asker, .. } = *asked;
            let list = List { conversation, message, asker, filter, latest_first, size };
            let mut walked = list.walk(view);
            if latest_first {
                walked.reverse();
            }
            prop_assert_eq!(&walked, &expected, "{:?}", list);
        }
    }
    Ok(())
}

/// S27: a token is refused for another list, and for another message.
fn foreign_tokens_are_refused(view: &mut View<'_>, asked: &Asked<'_>) -> Checked {
    let Asked { conversation, message, asker, .. } = *asked;
    let (read, unread, left_unread) = (MemberFilter::Read, MemberFilter::Unread, MemberFilter::LeftUnread);
    for (filter, other) in [(read, unread), (unread, read), (unread, left_unread), (left_unread, unread)] {
        let list = List { conversation, message, asker, filter, latest_first: false, size: 1 };
        let page = list.page(view, None);
        let Some(next) = page.next else { continue };
        let (number, position) = (page.conversation, page.position);
        for (filter, start) in [
            (other, (next, number, position)),
            (filter, (next, number, position + 1)),
            (filter, (next, number + 1, position)),
        ] {
            let start = Some(start);
            let request = PageRequest { conversation, message, asker, filter, latest_first: false, size: 1, start };
            prop_assert_eq!(view.page(&request).unwrap(), Err(PageError::ForeignToken));
        }
    }
    Ok(())
}

/// S28.
fn states_agree(view: &mut View<'_>, asked: &Asked<'_>, receipt: &Receipt, users: &[UserId]) -> Checked {
    let expected = users.iter().map(|user| {
        if let Some(reader) = receipt.read.iter().find(|reader| reader.user == *user) {
            ReaderState::Read(reader.read_at_ms)
        } else if receipt.unread.contains(user) {
            ReaderState::Unread
        } else if receipt.left_unread.contains(user) {
            ReaderState::LeftUnread
        } else {
            ReaderState::NotInAudience
        }
    });
    let states = view.states(asked.conversation, asked.message, asked.asker, users).unwrap();
    let states = states.map(|states| (states.states, states.receipt.read_count as usize));
    prop_assert_eq!(states, Ok((expected.collect(), receipt.read_count)));
    Ok(())
}

/// S25: the counts, or why there are none.
fn receipt_agrees(view: &mut View<'_>, asked: &Asked<'_>) -> Checked {
    let Asked { conversation, message, state, asker } = *asked;
    let counts = view.receipt(conversation, message, asker).unwrap();
    let allowed = asker.is_none_or(|asker| *asker == state.sender);
    match &state.status {
        _ if !allowed => prop_assert_eq!(counts, Err(Unanswerable::PermissionDenied)),
        Status::NotRequested => prop_assert_eq!(counts, Err(Unanswerable::NotRequested)),
        Status::Expired => prop_assert_eq!(counts, Err(Unanswerable::Expired)),
        Status::Kept(receipt) => {
            let counts = counts.unwrap();
            let got = (counts.read_count as usize, counts.unread_count as usize, counts.recalled);
            prop_assert_eq!(got, (receipt.read_count, receipt.unread_count, receipt.recalled));
            let got = (counts.audience_count as usize, counts.read_left_count as usize, counts.kept_until_ms);
            prop_assert_eq!(got, (receipt.audience_count, receipt.read_left_count, receipt.kept_until_ms));
            let peer = counts.peer.map(|peer| (peer.user, peer.read_at_ms));
            let expected = receipt.peer.as_ref().map(|peer| (peer.peer.clone(), peer.peer_read_at_ms));
            prop_assert_eq!(peer, expected);
        }
    }
    Ok(())
}

fn answers_agree(view: &mut View<'_>, state: &LogicalState, users: &[UserId]) -> Checked {
    for (conversation, known) in &state.conversations {
        let nothing = view.receipt(conversation, &id("no such message"), None).unwrap();
        prop_assert_eq!(nothing, Err(Unanswerable::NotFound));
        for (message, state) in &known.messages {
            for asker in [None, Some(&state.sender), users.first()] {
                receipt_agrees(view, &Asked { conversation, message, state, asker })?;
            }
            if let Status::Kept(receipt) = &state.status {
                let asked = Asked { conversation, message, state, asker: Some(&state.sender) };
                lists_agree(view, &asked, receipt)?;
                foreign_tokens_are_refused(view, &asked)?;
                states_agree(view, &asked, receipt, users)?;
            }
        }
    }
    Ok(())
}

/// At every fifth stage and at the last.
fn answers(history: &History, resources: &Resources) -> Checked {
    let stages = history.stages();
    walk(history, resources, |index, _, store| {
        if index % 5 != 4 && index + 1 != stages.len() {
            return Ok(());
        }
        let stage = &stages[index];
        let (conversations, reads) = (&history.conversations[..stage.conversations], &history.reads[..stage.reads]);
        let state = Model::at(&history.settings, conversations, reads).state();
        let users = users(history, &state);
        let mut view = store.view().unwrap();
        prop_assert_eq!(view.progress().log_time_ms, state.log_time_ms);
        answers_agree(&mut view, &state, &users)
    })
}

#[test]
fn s24_s25_s26_s27_s28_a_view_answers_as_the_model() {
    let resources = Resources::new(1 << 20, 1 << 20);
    let wanted = histories_wanted(2_000);
    check("answers from RocksDB", wanted, &histories(), |history| answers(&history, &resources));
}
