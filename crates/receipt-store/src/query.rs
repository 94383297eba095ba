//! The questions of the API, each answered from one moment (S24 to S28).

use receipt_codec::token::PageStart;
use receipt_domain::{
    answer::{ReaderState, Unanswerable},
    id::{ConversationId, MessageId, UserId},
    readers::Reader,
    receipt::Receipt,
    working_set::Needs,
};

use crate::{error::StoreError, view::View};

/// Which list of a message's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberFilter {
    /// Those who have read it, by time.
    Read,
    /// Those who have not and are still members, by membership.
    Unread,
    /// Those who left without having read it, by membership.
    LeftUnread,
}

/// One page to be answered.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// Where.
    pub conversation: &'a ConversationId,
    /// Which message.
    pub message: &'a MessageId,
    /// Who asks; `None`: a service.
    pub asker: Option<&'a UserId>,
    /// Which list.
    pub filter: MemberFilter,
    /// Latest first instead of earliest first.
    pub latest_first: bool,
    /// Entries, at most.
    pub size: usize,
    /// Where it goes on, with the message's number and position that the token was given for.
    pub start: Option<(PageStart, u64, u64)>,
}

/// An entry of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// When they read it, in milliseconds since 1970, and not before the message; readers only.
    pub read_at_ms: Option<u64>,
    /// Whether that membership has ended.
    pub left: bool,
}

/// A page of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub members: Vec<Member>,
    /// Where it goes on; `None`: nothing follows.
    pub next: Option<PageStart>,
    /// The message's receipt at the same moment.
    pub receipt: Receipt,
    /// The number of its conversation, for the token.
    pub conversation: u64,
    /// Its position there, for the token.
    pub position: u64,
}

/// States of users, and the receipt of the same moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct States {
    /// One for each user asked for.
    pub states: Vec<ReaderState>,
    /// The message's receipt.
    pub receipt: Receipt,
}

/// Why a page was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageError {
    /// There is no answer about the message.
    Unanswerable(Unanswerable),
    /// The token is of another message or list (S27).
    ForeignToken,
}

impl View<'_> {
    /// The counts of one message.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn receipt(
        &mut self,
        conversation: &ConversationId,
        message: &MessageId,
        asker: Option<&UserId>,
    ) -> Result<Result<Receipt, Unanswerable>, StoreError> {
        self.ask(|queries| match queries.find(conversation, message, asker)? {
            Ok(found) => queries.receipt(&found).map(Ok),
            Err(why) => Ok(Err(why)),
        })
    }

    /// What each of these users did with one message.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn states(
        &mut self,
        conversation: &ConversationId,
        message: &MessageId,
        asker: Option<&UserId>,
        users: &[UserId],
    ) -> Result<Result<States, Unanswerable>, StoreError> {
        self.ask(|queries| match queries.find(conversation, message, asker)? {
            Ok(found) => {
                let states = all(users, |user| queries.reader_state(&found, user))?;
                Ok(Ok(States { states, receipt: queries.receipt(&found)? }))
            }
            Err(why) => Ok(Err(why)),
        })
    }

    /// One page of a message's members.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn page(&mut self, request: &PageRequest<'_>) -> Result<Result<Page, PageError>, StoreError> {
        let PageRequest { conversation, message, asker, .. } = *request;
        // One entry more than asked for tells whether anything follows.
        let limit = request.size.saturating_add(1);
        let head = self.ask(|queries| match queries.find(conversation, message, asker)? {
            Ok(found) => Ok(Ok((found.conversation.number, found.position, queries.receipt(&found)?))),
            Err(why) => Ok(Err(why)),
        })?;
        let (number, position, receipt) = match head {
            Ok(head) => head,
            Err(why) => return Ok(Err(PageError::Unanswerable(why))),
        };
        if request.start.is_some_and(|(_, n, p)| (n, p) != (number, position)) {
            return Ok(Err(PageError::ForeignToken));
        }
        let start = request.start.map(|(start, ..)| start);
        let mut entries: Vec<PageStart> = match (request.filter, start) {
            (MemberFilter::Read, None) => self.readers(request, (number, position), None, limit)?,
            (MemberFilter::Read, Some(PageStart::Read { read_at_s, ordinal })) => {
                let from = Reader { read_at_s, ordinal };
                self.readers(request, (number, position), Some(from), limit)?
            }
            (MemberFilter::Unread | MemberFilter::LeftUnread, None) => self.without_read(request, None, limit)?,
            (MemberFilter::Unread, Some(PageStart::Unread { ordinal }))
            | (MemberFilter::LeftUnread, Some(PageStart::LeftUnread { ordinal })) => {
                self.without_read(request, Some(ordinal), limit)?
            }
            (_, Some(_)) => return Ok(Err(PageError::ForeignToken)),
        };
        let next = entries.get(request.size).copied();
        entries.truncate(request.size);
        let members = self.ask(|queries| match queries.find(conversation, message, asker)? {
            Ok(found) => all(&entries, |entry| {
                let (ordinal, read_at_ms) = match *entry {
                    PageStart::Read { read_at_s, ordinal } => (ordinal, Some(found.message.answered_ms(read_at_s))),
                    PageStart::Unread { ordinal } | PageStart::LeftUnread { ordinal } => (ordinal, None),
                };
                let member = queries.member(&found, ordinal)?;
                Ok(member.map(|(user, left)| Member { user: user.clone(), read_at_ms, left }))
            }),
            Err(_) => Ok(Vec::new()),
        })?;
        let members = members.into_iter().flatten().collect();
        Ok(Ok(Page { members, next, receipt, conversation: number, position }))
    }

    fn readers(
        &mut self,
        request: &PageRequest<'_>,
        message: (u64, u64),
        from: Option<Reader>,
        limit: usize,
    ) -> Result<Vec<PageStart>, StoreError> {
        let inline = self.ask(|queries| {
            let found = queries.find(request.conversation, request.message, request.asker)?;
            Ok(found.map(|found| queries.inline_readers(&found, from, request.latest_first, limit)))
        })?;
        let readers = match inline {
            Ok(Some(readers)) => readers,
            Ok(None) => self.readers_by_time(message, from, request.latest_first, limit)?,
            Err(_) => Vec::new(),
        };
        Ok(readers.into_iter().map(PageStart::from).collect())
    }

    /// Those who have not read it, members or left, as the request says.
    fn without_read(
        &mut self,
        PageRequest { conversation, message, asker, filter, latest_first, .. }: &PageRequest<'_>,
        from: Option<u32>,
        limit: usize,
    ) -> Result<Vec<PageStart>, StoreError> {
        let left = *filter == MemberFilter::LeftUnread;
        let ordinals = self.ask(|queries| match queries.find(conversation, message, *asker)? {
            Ok(found) if left => queries.left_unread(&found, from, *latest_first, limit),
            Ok(found) => queries.unread(&found, from, *latest_first, limit),
            Err(_) => Ok(Vec::new()),
        })?;
        let start = |ordinal| if left { PageStart::LeftUnread { ordinal } } else { PageStart::Unread { ordinal } };
        Ok(ordinals.into_iter().map(start).collect())
    }
}

/// One answer for each, gathering the needs of all.
fn all<T, A>(items: &[T], answer: impl Fn(&T) -> Result<A, Needs>) -> Result<Vec<A>, Needs> {
    let mut answers = Vec::with_capacity(items.len());
    let mut needs = Needs::new();
    for item in items {
        match answer(item) {
            Ok(answer) => answers.push(answer),
            Err(more) => needs.extend(more),
        }
    }
    receipt_domain::working_set::satisfied(needs).map(|()| answers)
}
