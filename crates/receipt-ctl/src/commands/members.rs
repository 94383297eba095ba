//! `receiptctl members`: who has, or has not, read one message.

use clap::{Args, ValueEnum};
use receipt_proto::v1;
use serde_json::json;

use super::message_ref;
use crate::{
    cli::{ActingUser, After},
    client,
    output::{Output, table},
    render,
};

/// Who has, or has not, read one message, by page. For the message's sender, or a service.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl members team m1 unread --user alice
  receiptctl members team m1 read --latest-first --page-size 20
  receiptctl members team m1 left-unread
  receiptctl members team m1 read --all --json")]
pub(crate) struct Members {
    /// The conversation's id.
    conversation: String,
    /// The message's id.
    message: String,
    /// Which of its audience.
    #[arg(value_enum, ignore_case = true)]
    filter: Filter,
    /// READ: latest reader first. UNREAD and LEFT-UNREAD: latest to join first.
    #[arg(long)]
    latest_first: bool,
    /// Members of a page, 1 to 1,000; 0 means the server's default of 100, and with --all 1,000.
    #[arg(long, value_name = "N", default_value_t = 0)]
    page_size: u32,
    /// Go on where the page that gave this token ended.
    #[arg(long, value_name = "TOKEN", default_value = "")]
    page_token: String,
    /// Walk all pages.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    acting: ActingUser,
    #[command(flatten)]
    after: After,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Filter {
    /// Those who have read it.
    Read,
    /// Those who have not, and are still in the group.
    Unread,
    /// Those who left the group without having read it.
    LeftUnread,
}

impl Members {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let mut request = self.request();
        let mut client = client::receipts(addr)?;
        let mut members = Vec::new();
        loop {
            let page = client.get_group_message_read_member_list(request.clone()).await?.into_inner();
            members.extend_from_slice(&page.members);
            if page.is_finished || !self.all {
                return Self::print(&members, &page, output);
            }
            request.page_token = page.next_page_token;
            request.consistency_tokens = vec![page.consistency_token];
        }
    }

    /// What is asked for the first page.
    pub(crate) fn request(&self) -> v1::GetGroupMessageReadMemberListRequest {
        let filter = match self.filter {
            Filter::Read => v1::MemberFilter::Read,
            Filter::Unread => v1::MemberFilter::Unread,
            Filter::LeftUnread => v1::MemberFilter::LeftUnread,
        };
        v1::GetGroupMessageReadMemberListRequest {
            user_id: self.acting.user.clone(),
            message: Some(message_ref(&self.conversation, &self.message)),
            filter: filter.into(),
            latest_first: self.latest_first,
            page_size: if self.all && self.page_size == 0 { 1_000 } else { self.page_size },
            page_token: self.page_token.clone(),
            consistency_tokens: self.after.after.clone(),
        }
    }

    /// Whether all pages are asked for.
    pub(crate) fn all(&self) -> bool {
        self.all
    }

    /// The answer: these members, and the last page's end.
    pub(crate) fn print(
        members: &[v1::ReadMember],
        last: &v1::GetGroupMessageReadMemberListResponse,
        output: Output,
    ) -> anyhow::Result<()> {
        let list = members.iter().map(|member| {
        json!({ "user_id": member.user_id, "read_at": render::time_json(member.read_at.as_ref()), "left": member.left })
    });
        let json = json!({
            "members": list.collect::<Vec<_>>(),
            "next_page_token": last.next_page_token,
            "is_finished": last.is_finished,
            "receipt": render::optional_receipt_json(last.receipt.as_ref()),
            "consistency_token": last.consistency_token,
        });
        output.print(&json, || {
            let rows = members.iter().map(|member| {
                let left = if member.left { "left" } else { "" };
                [member.user_id.clone(), render::time(member.read_at.as_ref()), left.to_owned()]
            });
            let mut text = table(["user", "read at", "notes"], rows);
            text = format!("{text}\n{}", render::receipt_line(last.receipt.as_ref()));
            if !last.is_finished {
                text = format!("{text}\nnext page: --page-token {}", last.next_page_token);
            }
            format!("{text}\n{}", render::token_line(&last.consistency_token))
        })
    }
}
