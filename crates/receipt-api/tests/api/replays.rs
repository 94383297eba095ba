//! Partitions folded anew beside their state.

use receipt_proto::v1::{
    self, rebuild_partitions_response::Told as Rebuild, verify_partitions_response::Told as Verify,
};

use crate::harness::*;

async fn rebuilt(server: &Server, partition: Option<u32>) -> Vec<u32> {
    let request = v1::RebuildPartitionsRequest { partition, from_snapshot: false };
    let mut responses = server.admin.clone().rebuild_partitions(request).await.unwrap().into_inner();
    let mut rebuilt = Vec::new();
    while let Some(response) = responses.message().await.unwrap() {
        match response.told.unwrap() {
            Rebuild::Progress(progress) => assert!(progress.records_folded <= progress.records, "{progress:?}"),
            Rebuild::Rebuilt(one) => rebuilt.push(one.partition),
        }
    }
    rebuilt
}

async fn verified(server: &Server) -> Vec<v1::VerifiedPartition> {
    let request = v1::VerifyPartitionsRequest { partition: None, from_snapshot: false };
    let mut responses = server.admin.clone().verify_partitions(request).await.unwrap().into_inner();
    let mut verified = Vec::new();
    while let Some(response) = responses.message().await.unwrap() {
        if let Verify::Verified(one) = response.told.unwrap() {
            verified.push(one);
        }
    }
    verified
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_changes_no_answer_and_what_comes_after_it_counts() {
    let server = Server::start().await;
    let conversations = [0, 1, 2].map(|partition| server.conversation_in(partition));
    server.publish(conversations.iter().map(|c| group(c, &["a", "b", "c"])).collect()).await;
    let token = server.publish(conversations.iter().map(|c| to_all(c, "m", "a")).collect()).await;
    let messages: Vec<_> = conversations.iter().map(|c| (c.as_str(), "m")).collect();
    let before = server.counts("a", &messages, &[&token]).await;
    for _ in 0..3 {
        assert_eq!(rebuilt(&server, None).await, [0, 1, 2]);
        assert_eq!(server.counts("a", &messages, &[&token]).await, before);
    }
    assert_eq!(rebuilt(&server, Some(1)).await, [1]);
    let found = verified(&server).await;
    assert!(found.iter().all(|one| one.equal && one.error.is_empty() && one.differences == 0), "{found:?}");
    assert!(found.iter().all(|one| one.state_rows > 0 && one.state_digest == one.log_digest), "{found:?}");

    server.read("b", &conversations[1], &["m"]).await;
    let counts = server.counts("a", &messages, &[]).await;
    let read = counts.results.iter().map(|result| match &result.result {
        Some(v1::receipt_result::Result::Receipt(receipt)) => receipt.read_count,
        other => panic!("{other:?}"),
    });
    assert_eq!(read.collect::<Vec<_>>(), [0, 1, 0]);
    server.stop().await;
}

#[tokio::test]
async fn a_partition_that_there_is_not_is_refused() {
    let server = Server::start().await;
    let mut admin = server.admin.clone();
    let rebuild = admin
        .rebuild_partitions(v1::RebuildPartitionsRequest { partition: Some(3), from_snapshot: false })
        .await
        .unwrap_err();
    let verify = admin
        .verify_partitions(v1::VerifyPartitionsRequest { partition: Some(3), from_snapshot: false })
        .await
        .unwrap_err();
    for refused in [rebuild, verify] {
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert_eq!(refused.message(), "partition is 3: the log has partitions 0 to 2");
    }
    server.stop().await;
}

/// Else one call would take away all that the only snapshot stands for.
#[tokio::test]
async fn a_trim_without_a_bound_is_refused_and_so_is_one_with_two() {
    let server = Server::start().await;
    let trim = async |older_than_ms: Option<u64>, all| {
        let older_than = older_than_ms.map(receipt_proto::timestamp_from_ms);
        let request = v1::TrimLogRequest { older_than, dry_run: true, all };
        server.admin.clone().trim_log(request).await.unwrap_err()
    };
    for refused in [trim(None, false).await, trim(Some(1), true).await] {
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().starts_with("older_than or all must be given, and not both"), "{refused}");
    }
    for bounded in [trim(None, true).await, trim(Some(1), false).await] {
        assert_eq!(bounded.code(), tonic::Code::FailedPrecondition, "this server has no snapshots");
    }
    server.stop().await;
}
