//! The senders' streams.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;
use prost::Message as _;
use receipt_proto::v1::{self, receipt_delta::Change};
use tokio::task::JoinSet;

use super::{
    Shared,
    tally::{Tally, Told},
};
use crate::{
    client::{self, Receipts},
    follow::{Follower, News},
    status,
};

/// Streams of a connection, at most.
const STREAMS_MAX: usize = 4_000;
/// How long opening may take.
const OPEN_MAX: Duration = Duration::from_secs(120);

/// The open streams; they end with it.
pub(crate) struct Streams {
    pub(crate) connections: usize,
    _tasks: JoinSet<()>,
}

/// Opens a stream for every sender, and returns when each has had its first response.
pub(crate) async fn open(shared: &Arc<Shared>, addr: &str, connections: usize) -> anyhow::Result<Streams> {
    let senders = shared.plan.senders;
    let connections = connections.max(senders.div_ceil(STREAMS_MAX));
    let clients = (0..connections).map(|_| client::receipts(addr)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut tasks = JoinSet::new();
    for sender in 0..senders {
        tasks.spawn(follow(shared.clone(), clients[sender % connections].clone(), sender));
    }
    let start = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let (open, errors) = {
            let tally = shared.tally();
            (tally.streams_open, tally.errors.clone())
        };
        if let Some((error, _)) = errors.first_key_value() {
            bail!("{open} of {senders} streams opened, then: {error}");
        }
        if open == senders {
            return Ok(Streams { connections, _tasks: tasks });
        }
        if start.elapsed() > OPEN_MAX {
            bail!("only {open} of {senders} streams opened within {} s", OPEN_MAX.as_secs());
        }
    }
}

async fn follow(shared: Arc<Shared>, client: Receipts, sender: usize) {
    let mut follower = Follower::new(client, shared.plan.sender(sender), None);
    let mut told_before = false;
    loop {
        let news = follower.next().await;
        let now = shared.since_start();
        let mut tally = shared.tally();
        match news {
            Ok(News::Told { response, .. }) => {
                if !std::mem::replace(&mut told_before, true) {
                    tally.streams_open += 1;
                }
                take(&shared, &mut tally, &response, now);
            }
            Ok(News::Lost { .. }) => tally.streams_lost += 1,
            Err(why) => return tally.failed(status::line(&anyhow::Error::new(why))),
        }
    }
}

fn take(shared: &Shared, tally: &mut Tally, response: &v1::SubscribeMessageReadReceiptsResponse, now: Duration) {
    tally.responses += 1;
    tally.heartbeats += u64::from(response.deltas.is_empty());
    for delta in &response.deltas {
        tally.deltas += 1;
        tally.delta_bytes += u64::try_from(delta.encoded_len()).unwrap_or_default();
        match told(shared, delta) {
            Some(told) => tally.told(&shared.plan, &told, now),
            None => tally.failed("a delta that is not of this load".to_owned()),
        }
    }
}

/// A delta with the load's own numbers, if it is of this load.
fn told(shared: &Shared, delta: &v1::ReceiptDelta) -> Option<Told> {
    let Some(Change::Receipt(receipt)) = &delta.change else { return None };
    let plan = &shared.plan;
    let message = plan.message_of(&receipt.message_id)?;
    if receipt.conversation_id != plan.conversation(message) {
        return None;
    }
    let readers = delta.new_readers.iter().map(|reader| plan.reader_of(&reader.user_id));
    Some(Told {
        message,
        counts: (receipt.read_count, receipt.unread_count),
        readers: readers.collect::<Option<_>>()?,
        more_readers: delta.more_readers,
    })
}
