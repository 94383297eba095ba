//! The receipt policy.

use std::{sync::Arc, time::Duration};

use receipt_log::Topic;
use receipt_proto::v1::{self, ReceiptError, conversation_event::Event as Kind, receipt_result::Result as Answer};

use crate::harness::*;

async fn policy(server: &Server) -> v1::ReceiptPolicy {
    let answer = server.admin.clone().get_receipt_policy(v1::GetReceiptPolicyRequest {}).await.unwrap();
    answer.into_inner().policy.unwrap()
}

fn only(group_types: &[&str]) -> v1::ReceiptPolicy {
    v1::ReceiptPolicy { every_group_type: false, group_types: texts(group_types) }
}

async fn set(server: &Server, policy: v1::ReceiptPolicy) -> String {
    let request = v1::SetReceiptPolicyRequest { policy: Some(policy) };
    server.admin.clone().set_receipt_policy(request).await.unwrap().into_inner().consistency_token
}

async fn becomes(server: &Server, expected: &v1::ReceiptPolicy) {
    for _ in 0..200 {
        if policy(server).await == *expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(policy(server).await, *expected);
}

#[tokio::test]
async fn s11_a_policy_holds_from_here_on_in_every_partition() {
    let server = Server::start().await;
    assert_eq!(policy(&server).await, v1::ReceiptPolicy { every_group_type: true, group_types: vec![] });
    let conversations = [0, 1, 2].map(|partition| server.conversation_in(partition));
    let events = |message: &str| conversations.iter().map(|c| to_all(c, message, "a")).collect::<Vec<_>>();
    server.publish(conversations.iter().map(|c| group(c, &["a", "b"])).collect()).await;
    server.publish(events("before")).await;
    let token = set(&server, only(&["other"])).await;
    server.publish(events("after")).await;
    for conversation in &conversations {
        let counts = server.counts("a", &[(conversation, "before"), (conversation, "after")], &[&token]).await;
        assert!(matches!(counts.results[0].result, Some(Answer::Receipt(_))));
        let not_requested = Answer::Error(ReceiptError::NotRequested.into());
        assert_eq!(counts.results[1].result, Some(not_requested));
    }
    becomes(&server, &only(&["other"])).await;
    set(&server, v1::ReceiptPolicy { every_group_type: true, group_types: vec![] }).await;
    becomes(&server, &v1::ReceiptPolicy { every_group_type: true, group_types: vec![] }).await;
    server.stop().await;
}

#[tokio::test]
async fn s11_all_partitions_see_the_same_sequence_of_policies() {
    let server = Arc::new(Server::start().await);
    let sets = (0..20).map(|i| {
        let server = Arc::clone(&server);
        tokio::spawn(async move { set(&server, only(&[&format!("t{i}")])).await })
    });
    for set in sets.collect::<Vec<_>>() {
        set.await.unwrap();
    }
    let sequence = |partition| {
        let records = server.log.read(Topic::Conversations, partition, 0, 1000, 1 << 20).unwrap();
        let policies = records.into_iter().filter_map(|record| {
            let event: v1::ConversationEvent = prost::Message::decode(record.value.unwrap()).unwrap();
            match event.event {
                Some(Kind::PolicyChanged(changed)) => Some(changed.policy.unwrap()),
                _ => None,
            }
        });
        policies.collect::<Vec<_>>()
    };
    let first = sequence(0);
    assert_eq!(first.len(), 20);
    for partition in 1..PARTITIONS {
        assert_eq!(sequence(partition), first);
    }
    becomes(&server, &first[19]).await;
}
