//! GetGroupMessageReadMemberList: who has, or has not, read one message, by page (S26, S27).

use receipt_codec::token::{PageStart, PageToken};
use receipt_domain::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use receipt_log::Log;
use receipt_projector::Offsets;
use receipt_proto::{InvalidField, v1};
use receipt_store::{MemberFilter, Page, PageError, PageRequest, StoreError, View};
use tonic::{Request, Response, Status};

use crate::{
    api::{self, Api},
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

/// A request whose shape is checked.
pub(crate) struct Asked {
    pub(crate) question: Question,
    walk: Walk,
}

type Answer = Result<Page, PageError>;

/// GetGroupMessageReadMemberList.
pub(crate) async fn get(
    api: &Api,
    request: Request<v1::GetGroupMessageReadMemberListRequest>,
) -> Result<Response<v1::GetGroupMessageReadMemberListResponse>, Status> {
    let deadline = Deadline::of(&request);
    let asked = Asked::new(&api.log, &request.into_inner())?;
    let partition = asked.question.caught_up(api, deadline).await?;
    let (asked, answer, offsets) = api
        .read(move || {
            let (answer, offsets) = api::ask(&partition, |view| asked.ask(view))?;
            Ok((asked, answer, offsets))
        })
        .await?;
    Ok(Response::new(asked.response(&api.log, answer, offsets)?))
}

impl Asked {
    pub(crate) fn new(log: &Log, request: &v1::GetGroupMessageReadMemberListRequest) -> Result<Self, Status> {
        let question = Question::new(log, &request.user_id, request.message.as_ref(), &request.consistency_tokens)?;
        let walk = Walk::new(log, request, question.partition)?;
        Ok(Self { question, walk })
    }

    /// The page of one moment.
    pub(crate) fn ask(&self, view: &mut View<'_>) -> Result<Answer, StoreError> {
        view.page(&self.walk.page_request(&self.question))
    }

    /// The answer, as it was at these offsets.
    pub(crate) fn response(
        self,
        log: &Log,
        answer: Answer,
        offsets: Offsets,
    ) -> Result<v1::GetGroupMessageReadMemberListResponse, Status> {
        let Page { members, next, receipt, conversation, position } = answer.map_err(refused)?;
        let (partition, latest_first) = (self.question.partition, self.walk.latest_first);
        let log_id = *log.id().as_bytes();
        let next_token = next.map(|next| {
            let token = PageToken { log_id, partition, conversation, position, latest_first, next };
            token.encode()
        });
        Ok(v1::GetGroupMessageReadMemberListResponse {
            members: members.into_iter().map(convert::member).collect(),
            is_finished: next_token.is_none(),
            next_page_token: next_token.unwrap_or_default(),
            receipt: Some((&receipt).into()),
            consistency_token: answer_token(log, self.question.positions, partition, offsets),
        })
    }
}

fn refused(why: PageError) -> Status {
    match why {
        PageError::Unanswerable(why) => error::unanswerable(why),
        PageError::ForeignToken => error::page_token(FOREIGN),
    }
}

impl Walk {
    fn new(log: &Log, request: &v1::GetGroupMessageReadMemberListRequest, partition: u32) -> Result<Self, Status> {
        let filter = filter(request.filter).map_err(error::invalid)?;
        let size = page_size(request.page_size).map_err(error::invalid)?;
        let latest_first = request.latest_first;
        if request.page_token.is_empty() {
            return Ok(Self { filter, latest_first, size, start: None });
        }
        let token =
            PageToken::decode(&request.page_token).map_err(|_| error::page_token("is damaged, or no page token"))?;
        let ours = token.log_id == *log.id().as_bytes() && token.partition == partition;
        let same_list = match token.next {
            PageStart::Read { .. } => filter == MemberFilter::Read,
            PageStart::Unread { .. } => filter == MemberFilter::Unread,
            PageStart::LeftUnread { .. } => filter == MemberFilter::LeftUnread,
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
        Ok(v1::MemberFilter::LeftUnread) => Ok(MemberFilter::LeftUnread),
        Ok(v1::MemberFilter::Unspecified) | Err(_) => Err(InvalidField::rule(
            "filter",
            "must be MEMBER_FILTER_READ, MEMBER_FILTER_UNREAD or MEMBER_FILTER_LEFT_UNREAD",
        )),
    }
}

pub(crate) fn page_size(size: u32) -> Result<usize, InvalidField> {
    let size = if size == 0 { PAGE_SIZE_DEFAULT } else { size };
    if size > PAGE_SIZE_MAX {
        return Err(InvalidField::limit("page_size", format_args!("is {size}, at most {PAGE_SIZE_MAX} are allowed")));
    }
    usize::try_from(size).map_err(|why| InvalidField::rule("page_size", why))
}
