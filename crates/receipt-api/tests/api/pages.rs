//! Member lists by page.

use receipt_proto::v1::{
    GetGroupMessageReadMemberListRequest as ListRequest, GetGroupMessageReadMemberListResponse as ListResponse,
    MemberFilter::{self, Read, Unread},
};
use tonic::Code;

use crate::harness::*;

fn request(message: &str, filter: MemberFilter, latest_first: bool, page_size: u32) -> ListRequest {
    ListRequest {
        user_id: "a".to_owned(),
        message: Some(message_ref("g", message)),
        filter: filter.into(),
        latest_first,
        page_size,
        ..Default::default()
    }
}

/// A group of `a` and nine others, of whom the first six read `m`, one each second.
async fn started() -> Server {
    let server = Server::start().await;
    let members = ["a", "u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8"];
    server.publish(vec![group("g", &members), to_all("g", "m", "a"), to_all("g", "n", "a")]).await;
    for reader in &members[1..7] {
        server.advance(1000);
        server.read(reader, "g", &["m"]).await;
    }
    server
}

async fn page(server: &Server, request: ListRequest) -> ListResponse {
    server.client().get_group_message_read_member_list(request).await.unwrap().into_inner()
}

async fn walk(server: &Server, mut request: ListRequest) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        let page = page(server, request.clone()).await;
        let receipt = page.receipt.unwrap();
        assert_eq!((receipt.read_count, receipt.unread_count), (6, 3));
        pages.push(page.members.into_iter().map(|member| member.user_id).collect());
        assert_eq!(page.is_finished, page.next_page_token.is_empty());
        if page.is_finished {
            return pages;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn s26_pages_are_in_order_and_finished_exactly_at_the_end() {
    let server = started().await;
    let cases: [(MemberFilter, bool, u32, &[&[&str]]); 6] = [
        // The last page is exactly full.
        (Read, false, 3, &[&["u0", "u1", "u2"], &["u3", "u4", "u5"]]),
        (Read, true, 4, &[&["u5", "u4", "u3", "u2"], &["u1", "u0"]]),
        (Read, false, 0, &[&["u0", "u1", "u2", "u3", "u4", "u5"]]),
        (Unread, false, 3, &[&["u6", "u7", "u8"]]),
        (Unread, false, 2, &[&["u6", "u7"], &["u8"]]),
        (Unread, true, 1, &[&["u8"], &["u7"], &["u6"]]),
    ];
    for (filter, latest_first, size, pages) in cases {
        assert_eq!(walk(&server, request("m", filter, latest_first, size)).await, pages, "{filter:?} {size}");
    }
    let read = page(&server, request("m", Read, false, 1)).await.members;
    assert_eq!(read[0].read_at.unwrap().seconds, i64::try_from(START_MS / 1000 + 1).unwrap());
    assert_eq!(page(&server, request("m", Unread, false, 1)).await.members[0].read_at, None);
    server.stop().await;
}

#[tokio::test]
async fn s27_a_page_token_is_of_its_message_filter_and_order() {
    let server = started().await;
    let other = started().await;
    let token = page(&server, request("m", Read, false, 2)).await.next_page_token;
    let unread = page(&server, request("m", Unread, false, 2)).await.next_page_token;
    let foreign = page(&other, request("m", Read, false, 2)).await.next_page_token;
    let damaged = format!("{token}A");
    let wrong = [
        (request("n", Read, false, 2), &token),
        (request("m", Read, true, 2), &token),
        (request("m", Unread, false, 2), &token),
        (request("m", Read, false, 2), &unread),
        (request("m", Read, false, 2), &foreign),
        (request("m", Read, false, 2), &damaged),
    ];
    for (request, token) in wrong {
        let request = ListRequest { page_token: token.clone(), ..request };
        let answer = server.client().get_group_message_read_member_list(request).await;
        refused(answer, Code::InvalidArgument, "INVALID_PAGE_TOKEN", "page_token", None);
    }
    // Rights are checked on every page, before the token.
    let request = ListRequest { page_token: token.clone(), user_id: "u0".to_owned(), ..request("m", Read, false, 2) };
    let answer = server.client().get_group_message_read_member_list(request).await;
    refused(answer, Code::PermissionDenied, "NOT_ALLOWED", "", None);
    other.stop().await;
    server.stop().await;
}
