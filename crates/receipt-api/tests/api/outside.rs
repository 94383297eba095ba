//! What is refused before a handler sees it, and what stands beside the services.

use receipt_proto::v1::{self, conversation_event::Event as Kind};
use tonic::{
    Code, Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::harness::*;

/// Bytes as they are.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        Ok(Some(()))
    }
}

#[tokio::test]
async fn s39_a_request_over_4_mib_is_refused_by_its_limit() {
    let server = Server::start().await;
    let before = server.ends();
    let members = v1::MembersAdded { member_ids: vec!["x".repeat(128); 7_000] };
    let events = vec![event("c", Kind::MembersAdded(members)); 5];
    let request = v1::PublishConversationEventsRequest { events, wait: true };
    let answer = server.client().publish_conversation_events(request).await;
    refused(answer, Code::InvalidArgument, "LIMIT_EXCEEDED", "request", Some(4 << 20));
    let types = v1::ReceiptPolicy { every_group_type: false, group_types: vec!["x".repeat(5 << 20)] };
    let answer = server.admin.clone().set_receipt_policy(v1::SetReceiptPolicyRequest { policy: Some(types) }).await;
    refused(answer, Code::InvalidArgument, "LIMIT_EXCEEDED", "request", Some(4 << 20));
    assert_eq!(server.ends(), before);
    // The connection goes on.
    server.publish(vec![group("c", &["u"])]).await;
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_no_message_is_refused() {
    let server = Server::start().await;
    let mut grpc = tonic::client::Grpc::new(server.channel.clone());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/receipts.v1.ReceiptService/GetMessageReadReceipts");
    let answer = grpc.unary(Request::new(vec![0x0a, 0xff]), path, Raw).await;
    refused(answer, Code::InvalidArgument, "INVALID_FIELD", "request", None);
    server.stop().await;
}

async fn health(server: &Server, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(server.channel.clone()).check(request).await.unwrap().into_inner().status()
}

#[tokio::test]
async fn health_is_that_of_the_partitions_and_watchers_do_not_hold_a_stop_up() {
    const NAMES: [&str; 3] = ["", "receipts.v1.ReceiptService", "receipts.v1.ReceiptAdminService"];
    let server = Server::start().await;
    for name in NAMES {
        assert_eq!(health(&server, name).await, ServingStatus::Serving, "{name}");
    }
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = HealthClient::new(server.channel.clone()).watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let told = tokio::spawn(async move { watch.message().await.unwrap().unwrap().status() });
    server.stop().await;
    assert_eq!(told.await.unwrap(), ServingStatus::NotServing);

    let sealed = Server::with(Setup { sealed: Some(1), ..Setup::default() }).await;
    for name in NAMES {
        assert_eq!(health(&sealed, name).await, ServingStatus::NotServing, "{name}");
    }
    sealed.stop().await;
}

#[tokio::test]
async fn reflection_names_the_services() {
    let server = Server::start().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(server.channel.clone());
    let answer = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
    let answer = answer.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in ["receipts.v1.ReceiptService", "receipts.v1.ReceiptAdminService", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|n| n == name), "{names:?}");
    }
    server.stop().await;
}
