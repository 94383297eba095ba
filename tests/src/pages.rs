//! Lists of members walked page by page, as a client walks them.

use receipt_codec::token::PageStart;
use receipt_domain::id::{ConversationId, MessageId, UserId};
use receipt_store::{Member, MemberFilter, Page, PageRequest, View};

/// Which walk.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    /// Where.
    pub conversation: &'a ConversationId,
    /// Which message.
    pub message: &'a MessageId,
    /// Who asks; `None`: a service.
    pub asker: Option<&'a UserId>,
    /// Readers, or those who have not read.
    pub filter: MemberFilter,
    /// The other way round.
    pub latest_first: bool,
    /// Entries of a page.
    pub size: usize,
}

impl<'a> List<'a> {
    /// What is to be asked for one page.
    #[must_use]
    pub fn request(&self, start: Option<(PageStart, u64, u64)>) -> PageRequest<'a> {
        let List { conversation, message, asker, filter, latest_first, size } = *self;
        PageRequest { conversation, message, asker, filter, latest_first, size, start }
    }

    /// One page.
    ///
    /// # Panics
    /// If the store can't be read, or if there is no answer about the message.
    pub fn page(&self, view: &mut View<'_>, start: Option<(PageStart, u64, u64)>) -> Page {
        view.page(&self.request(start)).expect("a store that can be read").expect("a message that can be listed")
    }

    /// All entries, from first to last.
    ///
    /// # Panics
    /// If a page is not full though more follow, is the last without being told so, or has another receipt.
    pub fn walk(&self, view: &mut View<'_>) -> Vec<Member> {
        let mut members = Vec::new();
        let mut start = None;
        loop {
            let page = self.page(view, start);
            let receipt = &page.receipt;
            let wanted = match self.filter {
                MemberFilter::Read => receipt.read_count,
                MemberFilter::Unread => receipt.unread_count,
                MemberFilter::LeftUnread => receipt.audience_count - receipt.read_count - receipt.unread_count,
            } as usize;
            let expected = self.size.min(wanted - members.len());
            assert_eq!(page.members.len(), expected, "a page is full unless nothing follows: {self:?}");
            members.extend(page.members);
            assert_eq!(page.next.is_none(), members.len() == wanted, "S26: finished exactly at the end: {self:?}");
            match page.next {
                Some(next) => start = Some((next, page.conversation, page.position)),
                None => return members,
            }
        }
    }
}
