//! Counts, lists and times that the server answers, against the oracle.

use std::collections::BTreeMap;

use receipt_proto::v1;
use receipt_tests::{random::Random, server::Receipts};

use crate::{
    expected::{Expected, expected},
    oracle::{Part, message_id},
};

/// What was compared, and how it differed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) counts: u64,
    pub(crate) lists: u64,
    pub(crate) readers: u64,
    pub(crate) exact_times: u64,
    pub(crate) differences: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, other: Report) {
        self.counts += other.counts;
        self.lists += other.lists;
        self.readers += other.readers;
        self.exact_times += other.exact_times;
        self.differences.extend(other.differences);
    }

    pub(crate) fn assert_same(&self) {
        let first = &self.differences[..self.differences.len().min(10)];
        assert!(self.differences.is_empty(), "{} differences: {first:#?}", self.differences.len());
    }
}

/// The counts of every message of these conversations.
pub(crate) async fn counts(client: &mut Receipts, part: &Part<'_>, report: &mut Report) {
    let messages = part.iter().flat_map(|(id, conversation)| {
        (0..conversation.messages.len()).map(move |number| (*id, *conversation, number))
    });
    let messages: Vec<_> = messages.collect();
    for chunk in messages.chunks(100) {
        let wanted = chunk.iter().map(|(id, _, number)| reference(id, *number)).collect();
        let request = v1::GetMessageReadReceiptsRequest { messages: wanted, ..Default::default() };
        let answer = client.get_message_read_receipts(request).await.expect("counts").into_inner();
        assert_eq!(answer.results.len(), chunk.len());
        for ((id, conversation, number), result) in chunk.iter().zip(answer.results) {
            report.counts += 1;
            let asks = conversation.messages[*number].asks;
            let why = match result.result {
                Some(v1::receipt_result::Result::Receipt(receipt)) if asks => {
                    expected(conversation, *number).differs(&receipt)
                }
                Some(v1::receipt_result::Result::Error(error))
                    if !asks && error == i32::from(v1::ReceiptError::NotRequested) =>
                {
                    None
                }
                other => Some(format!("asks: {asks}, but {other:?}")),
            };
            report.differences.extend(why.map(|why| format!("{id}/{number}: {why}")));
        }
    }
}

/// Both lists of every message of these conversations, as its sender walks them.
pub(crate) async fn lists(client: &mut Receipts, part: &Part<'_>, random: &mut Random, report: &mut Report) {
    for (id, conversation) in part {
        for (number, message) in conversation.messages.iter().enumerate().filter(|(_, message)| message.asks) {
            let wanted = expected(conversation, number);
            let size = 1 + u32::try_from(random.below(60)).unwrap();
            let mut differ = |why: String| report.differences.push(format!("{id}/{number}: {why}"));
            let read = walk(client, &message.sender, reference(id, number), v1::MemberFilter::Read, size).await;
            readers(&wanted, &read).into_iter().for_each(&mut differ);
            let unread = walk(client, &message.sender, reference(id, number), v1::MemberFilter::Unread, size).await;
            let unread: Vec<&str> = unread.iter().map(|member| member.user_id.as_str()).collect();
            if unread != wanted.unread {
                differ(format!("unread are {:?}, but {unread:?}", wanted.unread));
            }
            report.lists += 2;
            report.readers += read.len() as u64;
            report.exact_times += wanted.readers.iter().filter(|reader| reader.time.is_some()).count() as u64;
        }
    }
}

fn readers(wanted: &Expected, read: &[v1::ReadMember]) -> Vec<String> {
    let mut differences = Vec::new();
    let memberships = wanted.readers.iter().enumerate().map(|(at, reader)| (reader.user.as_str(), (at, reader)));
    let by_user: BTreeMap<_, _> = memberships.collect();
    let mut order = Vec::new();
    for member in read {
        let at = member.read_at.map_or(0, |at| at.seconds);
        match by_user.get(member.user_id.as_str()) {
            Some((membership, reader)) => {
                order.push((at, *membership));
                if member.left != reader.left || reader.time.is_some_and(|time| i64::from(time) != at) {
                    differences.push(format!("read at {:?}, left {}, but {member:?}", reader.time, reader.left));
                }
            }
            None => differences.push(format!("{member:?} has not read")),
        }
    }
    if read.len() != wanted.readers.len() || !order.is_sorted() || order.windows(2).any(|two| two[0] == two[1]) {
        differences.push(format!("{} readers in the order {order:?}, but {}", read.len(), wanted.readers.len()));
    }
    differences
}

async fn walk(
    client: &mut Receipts,
    sender: &str,
    message: v1::MessageRef,
    filter: v1::MemberFilter,
    page_size: u32,
) -> Vec<v1::ReadMember> {
    let mut members = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::GetGroupMessageReadMemberListRequest {
            user_id: sender.to_owned(),
            message: Some(message.clone()),
            filter: filter.into(),
            page_size,
            page_token,
            ..Default::default()
        };
        let page = client.get_group_message_read_member_list(request).await.expect("a page").into_inner();
        members.extend(page.members);
        if page.is_finished {
            return members;
        }
        page_token = page.next_page_token;
    }
}

fn reference(id: &str, number: usize) -> v1::MessageRef {
    v1::MessageRef { conversation_id: id.to_owned(), message_id: message_id(number) }
}
