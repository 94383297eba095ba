//! The calls of both services, each handed to the module that does it.

use std::sync::Arc;

use receipt_proto::v1::{
    self, receipt_admin_service_server::ReceiptAdminService, receipt_service_server::ReceiptService,
};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    admin, api::Api, as_of, conversation_state, counts, dead_letter_pages, dead_letters, members, publish, read_log,
    receipts, replays, snapshots, states, subscribe, told::Responses,
};

/// Both services.
#[derive(Clone)]
pub(crate) struct Services(pub(crate) Arc<Api>);

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl ReceiptService for Services {
    async fn publish_conversation_events(
        &self,
        request: Request<v1::PublishConversationEventsRequest>,
    ) -> Answer<v1::PublishConversationEventsResponse> {
        publish::conversation_events(&self.0, request).await
    }

    async fn publish_read_events(
        &self,
        request: Request<v1::PublishReadEventsRequest>,
    ) -> Answer<v1::PublishReadEventsResponse> {
        publish::read_events(&self.0, request).await
    }

    async fn send_message_read_receipts(
        &self,
        request: Request<v1::SendMessageReadReceiptsRequest>,
    ) -> Answer<v1::SendMessageReadReceiptsResponse> {
        receipts::send(&self.0, request).await
    }

    async fn mark_conversation_read(
        &self,
        request: Request<v1::MarkConversationReadRequest>,
    ) -> Answer<v1::MarkConversationReadResponse> {
        receipts::mark(&self.0, request).await
    }

    async fn get_message_read_receipts(
        &self,
        request: Request<v1::GetMessageReadReceiptsRequest>,
    ) -> Answer<v1::GetMessageReadReceiptsResponse> {
        counts::get(&self.0, request).await
    }

    async fn get_group_message_read_member_list(
        &self,
        request: Request<v1::GetGroupMessageReadMemberListRequest>,
    ) -> Answer<v1::GetGroupMessageReadMemberListResponse> {
        members::get(&self.0, request).await
    }

    async fn get_message_read_states(
        &self,
        request: Request<v1::GetMessageReadStatesRequest>,
    ) -> Answer<v1::GetMessageReadStatesResponse> {
        states::get(&self.0, request).await
    }

    type SubscribeMessageReadReceiptsStream = subscribe::Responses;

    async fn subscribe_message_read_receipts(
        &self,
        request: Request<v1::SubscribeMessageReadReceiptsRequest>,
    ) -> Answer<Self::SubscribeMessageReadReceiptsStream> {
        subscribe::subscribe(&self.0, request).await
    }
}

#[async_trait]
impl ReceiptAdminService for Services {
    async fn set_receipt_policy(
        &self,
        request: Request<v1::SetReceiptPolicyRequest>,
    ) -> Answer<v1::SetReceiptPolicyResponse> {
        admin::set_policy(&self.0, request).await
    }

    async fn get_receipt_policy(
        &self,
        request: Request<v1::GetReceiptPolicyRequest>,
    ) -> Answer<v1::GetReceiptPolicyResponse> {
        admin::get_policy(&self.0, request).await
    }

    async fn list_partitions(&self, request: Request<v1::ListPartitionsRequest>) -> Answer<v1::ListPartitionsResponse> {
        admin::list_partitions(&self.0, request).await
    }

    async fn list_dead_letters(
        &self,
        request: Request<v1::ListDeadLettersRequest>,
    ) -> Answer<v1::ListDeadLettersResponse> {
        dead_letter_pages::list(&self.0, request).await
    }

    async fn get_dead_letter(&self, request: Request<v1::GetDeadLetterRequest>) -> Answer<v1::GetDeadLetterResponse> {
        dead_letters::get(&self.0, request).await
    }

    async fn retry_dead_letters(
        &self,
        request: Request<v1::RetryDeadLettersRequest>,
    ) -> Answer<v1::RetryDeadLettersResponse> {
        dead_letters::retry(&self.0, request).await
    }

    type RebuildPartitionsStream = Responses<v1::RebuildPartitionsResponse>;

    async fn rebuild_partitions(
        &self,
        request: Request<v1::RebuildPartitionsRequest>,
    ) -> Answer<Self::RebuildPartitionsStream> {
        replays::rebuild(&self.0, &request)
    }

    type VerifyPartitionsStream = Responses<v1::VerifyPartitionsResponse>;

    async fn verify_partitions(
        &self,
        request: Request<v1::VerifyPartitionsRequest>,
    ) -> Answer<Self::VerifyPartitionsStream> {
        replays::verify(&self.0, &request)
    }

    type CreateSnapshotsStream = Responses<v1::CreateSnapshotsResponse>;

    async fn create_snapshots(
        &self,
        request: Request<v1::CreateSnapshotsRequest>,
    ) -> Answer<Self::CreateSnapshotsStream> {
        snapshots::create(&self.0, &request)
    }

    type TrimLogStream = Responses<v1::TrimLogResponse>;

    async fn trim_log(&self, request: Request<v1::TrimLogRequest>) -> Answer<Self::TrimLogStream> {
        snapshots::trim_log(&self.0, &request)
    }

    type ReadLogStream = read_log::Responses;

    async fn read_log(&self, request: Request<v1::ReadLogRequest>) -> Answer<Self::ReadLogStream> {
        read_log::read(&self.0, request).await
    }

    type AskAsOfStream = Responses<v1::AskAsOfResponse>;

    async fn ask_as_of(&self, request: Request<v1::AskAsOfRequest>) -> Answer<Self::AskAsOfStream> {
        as_of::ask(&self.0, request)
    }

    type ReadConversationStateStream = Responses<v1::ReadConversationStateResponse>;

    async fn read_conversation_state(
        &self,
        request: Request<v1::ReadConversationStateRequest>,
    ) -> Answer<Self::ReadConversationStateStream> {
        conversation_state::read(&self.0, request).await
    }
}
