//! For operators: the receipt policy, and where each partition stands.

use std::sync::Arc;

use prost::Message as _;
use receipt_domain::{
    event::{Event, Policy},
    state::Progress,
};
use receipt_log::{Log, NewRecord, Topic};
use receipt_notifier::Inbox;
use receipt_projector::{Offsets, Partition, Phase};
use receipt_proto::{InvalidField, v1};
use receipt_store::{Durable, InboxStore};
use tonic::{Request, Response, Status};

use crate::{
    api::{self, Api, blocking},
    deadline::Deadline,
    error, panics,
    token::Positions,
};

/// SetReceiptPolicy.
pub(crate) async fn set_policy(
    api: &Api,
    request: Request<v1::SetReceiptPolicyRequest>,
) -> Result<Response<v1::SetReceiptPolicyResponse>, Status> {
    let deadline = Deadline::of(&request);
    let policy = request.into_inner().policy;
    let policy = policy.ok_or_else(|| error::invalid(InvalidField::rule("policy", "must be given")))?;
    let policy = receipt_proto::policy(&policy).map_err(|why| error::invalid(why.within("policy")))?;
    let value = v1::ConversationEvent::from(&Event::PolicyChanged(policy)).encode_to_vec();
    let record = NewRecord { key: None, value: Some(value.into()), headers: Vec::new() };
    let batches = (0..api.log.partitions()).map(|partition| (Topic::Conversations, partition, vec![record.clone()]));
    let batches: Vec<_> = batches.collect();

    let (log, policy_appends) = (api.log.clone(), Arc::clone(&api.policy_appends));
    // A task of its own: a caller that goes away must not let the next one in between.
    let append = tokio::spawn(async move {
        let _one_at_a_time = policy_appends.lock().await;
        log.append_many(batches).await
    });
    let appended = tokio::time::timeout_at(deadline.instant(), append).await.map_err(|_| error::log_slow())?;
    let appended = appended.map_err(panics::joined)?;
    let appended = appended.map_err(|error| error::log(&error))?;
    let mut positions = Positions::default();
    for (partition, records) in (0..).zip(appended) {
        let conversations = records.last().map_or(0, |last| last.offset + 1);
        positions.include(partition, Offsets { conversations, reads: 0 });
    }
    Ok(Response::new(v1::SetReceiptPolicyResponse { consistency_token: positions.encode(&api.log) }))
}

/// GetReceiptPolicy.
pub(crate) async fn get_policy(
    api: &Api,
    _: Request<v1::GetReceiptPolicyRequest>,
) -> Result<Response<v1::GetReceiptPolicyResponse>, Status> {
    let partitions = api.partitions.clone();
    let policy = blocking(move || policy_of_all(&partitions)).await?;
    Ok(Response::new(v1::GetReceiptPolicyResponse { policy: Some(v1::ReceiptPolicy::from(&policy)) }))
}

/// The last policy that every partition has applied.
fn policy_of_all(partitions: &[Partition]) -> Result<Policy, Status> {
    let mut fewest: Option<(u64, &Partition)> = None;
    for partition in partitions {
        let (applied, _) = api::ask(partition, |view| Ok(view.progress().policies))?;
        if fewest.is_none_or(|(fewest, _)| applied < fewest) {
            fewest = Some((applied, partition));
        }
    }
    let Some((applied, partition)) = fewest else { return Ok(Policy::EveryGroupType) };
    let Some(last) = applied.checked_sub(1) else { return Ok(Policy::EveryGroupType) };
    let (policy, _) = api::ask(partition, |view| view.policy(last))?;
    policy.ok_or_else(|| {
        tracing::error!(partition = partition.number(), number = last, "a policy is missing");
        error::internal("the state could not be read")
    })
}

/// ListPartitions.
pub(crate) async fn list_partitions(
    api: &Api,
    _: Request<v1::ListPartitionsRequest>,
) -> Result<Response<v1::ListPartitionsResponse>, Status> {
    let (log, partitions, inboxes) = (api.log.clone(), api.partitions.clone(), api.inboxes.clone());
    let list = move || {
        let receipts = partitions.iter().map(|partition| status(&log, partition));
        Ok(receipts.chain(inboxes.iter().map(|inbox| inbox_status(&log, inbox))).collect())
    };
    let partitions = blocking(list).await?;
    let log_refuses = api.log.writes().borrow().why_not().unwrap_or_default().to_owned();
    Ok(Response::new(v1::ListPartitionsResponse { partitions, log_refuses }))
}

fn status(log: &Log, partition: &Partition) -> v1::PartitionStatus {
    let number = partition.number();
    let read = partition.with_store(|store| {
        let progress = store.view().map(|view| view.progress().clone());
        (progress, store.durable(), store.disk_bytes())
    });
    let (progress, durable, disk_bytes) = match read {
        None => (Progress::default(), Durable::default(), 0),
        Some((Ok(progress), durable, disk_bytes)) => (progress, durable, disk_bytes),
        Some((Err(error), durable, disk_bytes)) => {
            tracing::error!(partition = number, %error, "the store could not be read");
            if error.is_corruption() {
                partition.seal(error);
            }
            (Progress::default(), durable, disk_bytes)
        }
    };
    let applied = partition.applied();
    let position = |topic: Topic, applied_offset, durable_offset| v1::TopicPosition {
        topic: topic.name().to_owned(),
        applied_offset,
        end_offset: log.end_offset(topic, number),
        durable_offset,
    };
    v1::PartitionStatus {
        projection: v1::Projection::Receipts.into(),
        partition: number,
        positions: vec![
            position(Topic::Conversations, applied.conversations, durable.conversations_offset),
            position(Topic::Reads, applied.reads, durable.reads_offset),
        ],
        conversations: progress.next_conversation,
        messages: progress.messages,
        receipts: progress.receipts,
        disk_bytes,
        sealed: why_not(partition.phase()),
    }
}

fn inbox_status(log: &Log, inbox: &Inbox) -> v1::PartitionStatus {
    let (number, store) = (inbox.number(), inbox.store());
    v1::PartitionStatus {
        projection: v1::Projection::Inbox.into(),
        partition: number,
        positions: vec![v1::TopicPosition {
            topic: Topic::Deltas.name().to_owned(),
            applied_offset: inbox.applied_offset(),
            end_offset: log.end_offset(Topic::Deltas, number),
            durable_offset: store.map_or(0, InboxStore::durable_offset),
        }],
        disk_bytes: store.map_or(0, InboxStore::disk_bytes),
        sealed: why_not(inbox.phase()),
        ..v1::PartitionStatus::default()
    }
}

/// Why a partition does not serve; empty when it does.
fn why_not(phase: Phase) -> String {
    match phase {
        Phase::Serving => String::new(),
        Phase::CatchingUp => "catching up with the log; it serves once it is there".to_owned(),
        Phase::Sealed(why) => why,
        Phase::Stopped => "shutting down".to_owned(),
    }
}
