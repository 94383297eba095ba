//! Both member lists of one message, walked by pages to their ends (S26).

use receipt_proto::v1::{self, MemberFilter};
use receipt_tests::{random::Random, server::Receipts};

use crate::compare::{Report, without_kept_until};

/// What the lists of one message are to be.
pub(crate) struct ListsOf {
    pub(crate) sender: String,
    pub(crate) receipt: v1::MessageReceipt,
    pub(crate) read: Vec<v1::ReadMember>,
    pub(crate) unread: Vec<v1::ReadMember>,
    /// By which the ways to ask are chosen.
    pub(crate) seed: u64,
}

/// One way to ask for one list.
#[derive(Debug)]
struct Way {
    user_id: String,
    filter: MemberFilter,
    latest_first: bool,
    page_size: u32,
}

/// Walks the list of those who have read it, and of those who have not, as the sender and as a service in turn.
pub(crate) async fn walk_both(client: Receipts, lists: ListsOf) -> Report {
    let mut random = Random::new(lists.seed);
    let mut report = Report::default();
    let users = [lists.sender.clone(), String::new()];
    let sender_reads = usize::try_from(random.below(2)).unwrap();
    for (filter, asks) in [(MemberFilter::Read, sender_reads), (MemberFilter::Unread, 1 - sender_reads)] {
        let len = if filter == MemberFilter::Read { lists.read.len() } else { lists.unread.len() };
        let way = Way {
            user_id: users[asks].clone(),
            filter,
            latest_first: random.below(2) == 1,
            page_size: page_size(&mut random, len),
        };
        walk(client.clone(), &lists, &way, &mut report).await;
    }
    report
}

/// Any, but not so small that the walk takes many calls; often one that just fills its last page.
fn page_size(random: &mut Random, len: usize) -> u32 {
    let len = u32::try_from(len).unwrap();
    let smallest = (len / 8).max(1);
    let sizes = [0, 1, 7, 100, 1_000, len, len / 2, len / 3, len + 1];
    match *random.one_of(&sizes) {
        0 => 0,
        size => size.clamp(smallest.min(1_000), 1_000),
    }
}

async fn walk(mut client: Receipts, lists: &ListsOf, way: &Way, report: &mut Report) {
    let mut expected = if way.filter == MemberFilter::Read { lists.read.clone() } else { lists.unread.clone() };
    if way.latest_first {
        expected.reverse();
    }
    let of = format!("{} {}, {way:?}", lists.receipt.conversation_id, lists.receipt.message_id);
    report.lists += 1;
    let size = if way.page_size == 0 { 100 } else { usize::try_from(way.page_size).unwrap() };
    let mut seen = 0;
    let mut page_token = String::new();
    loop {
        let request = request(lists, way, page_token);
        let page = match client.get_group_message_read_member_list(request).await {
            Ok(page) => page.into_inner(),
            Err(status) => return report.differs(&of, &"a page", &status),
        };
        report.pages += 1;
        report.entries += page.members.len() as u64;
        let right = &expected[seen..(seen + size).min(expected.len())];
        if page.members != right {
            return report.differs(&format!("{of}, from {seen} on"), &right, &page.members);
        }
        if page.receipt.as_ref().map(without_kept_until).as_ref() != Some(&lists.receipt) {
            report.differs(&of, &lists.receipt, &page.receipt);
        }
        seen += right.len();
        // Exactly when nothing follows, also when the last page is full.
        let finished = seen == expected.len();
        if (page.is_finished, page.next_page_token.is_empty()) != (finished, finished) {
            return report.differs(&format!("{of}, is_finished after {seen}"), &finished, &page.is_finished);
        }
        if finished {
            return;
        }
        page_token = page.next_page_token;
    }
}

fn request(lists: &ListsOf, way: &Way, page_token: String) -> v1::GetGroupMessageReadMemberListRequest {
    v1::GetGroupMessageReadMemberListRequest {
        user_id: way.user_id.clone(),
        message: Some(v1::MessageRef {
            conversation_id: lists.receipt.conversation_id.clone(),
            message_id: lists.receipt.message_id.clone(),
        }),
        filter: way.filter.into(),
        latest_first: way.latest_first,
        page_size: way.page_size,
        page_token,
        consistency_tokens: Vec::new(),
    }
}
