//! GetGroupMessageReadMemberList: who has, or has not, read one message, by page (S26, S27).

use receipt_codec::token::{PageStart, PageToken};
use receipt_domain::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use receipt_proto::{InvalidField, v1};
use receipt_store::{MemberFilter, Page, PageError, PageRequest};
use tonic::{Request, Response, Status};

use crate::{
    api::{self, Api, blocking},
    convert,
    deadline::Deadline,
    error,
    message::{Question, answer_token},
};

const FOREIGN: &str = "is of another message, filter or order";

/// Which walk a page belongs to, and where it goes on.
struct Walk {
    filter: MemberFilter,
    latest_first: bool,
    size: usize,
    start: Option<(PageStart, u64, u64)>,
}

/// GetGroupMessageReadMemberList.
pub(crate) async fn get(
    api: &Api,
    request: Request<v1::GetGroupMessageReadMemberListRequest>,
) -> Result<Response<v1::GetGroupMessageReadMemberListResponse>, Status> {
    let deadline = Deadline::of(&request);
    let request = request.into_inner();
    let question = Question::new(api, &request.user_id, request.message.as_ref(), &request.consistency_tokens)?;
    let walk = Walk::new(api, &request, question.partition)?;
    let latest_first = walk.latest_first;
    let partition = question.caught_up(api, deadline).await?;
    let (page, offsets, question) = blocking(move || {
        let (page, offsets) = api::ask(&partition, |view| view.page(&walk.page_request(&question)))?;
        Ok((page.map_err(refused)?, offsets, question))
    })
    .await?;

    let Page { members, next, receipt, conversation, position } = page;
    let number = question.partition;
    let log_id = *api.log.id().as_bytes();
    let next_token = next.map(|next| {
        let token = PageToken { log_id, partition: number, conversation, position, latest_first, next };
        token.encode()
    });
    Ok(Response::new(v1::GetGroupMessageReadMemberListResponse {
        members: members.into_iter().map(convert::member).collect(),
        is_finished: next_token.is_none(),
        next_page_token: next_token.unwrap_or_default(),
        receipt: Some((&receipt).into()),
        consistency_token: answer_token(api, question.positions, number, offsets),
    }))
}

fn refused(why: PageError) -> Status {
    match why {
        PageError::Unanswerable(why) => error::unanswerable(why),
        PageError::ForeignToken => error::page_token(FOREIGN),
    }
}

impl Walk {
    fn new(api: &Api, request: &v1::GetGroupMessageReadMemberListRequest, partition: u32) -> Result<Self, Status> {
        let filter = filter(request.filter).map_err(error::invalid)?;
        let size = page_size(request.page_size).map_err(error::invalid)?;
        let latest_first = request.latest_first;
        if request.page_token.is_empty() {
            return Ok(Self { filter, latest_first, size, start: None });
        }
        let token =
            PageToken::decode(&request.page_token).map_err(|_| error::page_token("is damaged, or no page token"))?;
        let ours = token.log_id == *api.log.id().as_bytes() && token.partition == partition;
        let same_list = match token.next {
            PageStart::Read { .. } => filter == MemberFilter::Read,
            PageStart::Unread { .. } => filter == MemberFilter::Unread,
        };
        if !ours || !same_list || token.latest_first != latest_first {
            return Err(error::page_token(FOREIGN));
        }
        Ok(Self { filter, latest_first, size, start: Some((token.next, token.conversation, token.position)) })
    }

    fn page_request<'a>(&self, question: &'a Question) -> PageRequest<'a> {
        PageRequest {
            conversation: &question.conversation,
            message: &question.message,
            asker: question.asker.as_ref(),
            filter: self.filter,
            latest_first: self.latest_first,
            size: self.size,
            start: self.start,
        }
    }
}

fn filter(filter: i32) -> Result<MemberFilter, InvalidField> {
    match v1::MemberFilter::try_from(filter) {
        Ok(v1::MemberFilter::Read) => Ok(MemberFilter::Read),
        Ok(v1::MemberFilter::Unread) => Ok(MemberFilter::Unread),
        Ok(v1::MemberFilter::Unspecified) | Err(_) => {
            Err(InvalidField::rule("filter", "must be MEMBER_FILTER_READ or MEMBER_FILTER_UNREAD"))
        }
    }
}

pub(crate) fn page_size(size: u32) -> Result<usize, InvalidField> {
    let size = if size == 0 { PAGE_SIZE_DEFAULT } else { size };
    if size > PAGE_SIZE_MAX {
        return Err(InvalidField::limit("page_size", format_args!("is {size}, at most {PAGE_SIZE_MAX} are allowed")));
    }
    usize::try_from(size).map_err(|why| InvalidField::rule("page_size", why))
}
