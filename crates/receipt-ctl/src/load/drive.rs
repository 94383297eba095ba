//! Sends the reads, each at its time, whatever became of those before it (open loop).

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use receipt_proto::v1;
use tokio::{runtime::Handle, sync::mpsc};

use super::Shared;
use crate::{client::Receipts, status};

/// How long a call may take.
const CALL_MAX: Duration = Duration::from_secs(30);
/// Until the first read.
const RUN_UP: Duration = Duration::from_millis(200);

/// Sends all reads, and returns when every call has ended: how long that took.
pub(crate) async fn drive(shared: &Arc<Shared>, clients: Vec<Receipts>) -> anyhow::Result<Duration> {
    let start = shared.start_at(Instant::now() + RUN_UP);
    // Each call holds a sender; when all are gone, all calls have ended.
    let (under_way, mut ended) = mpsc::channel::<()>(1);
    let pacer = {
        let (shared, runtime) = (shared.clone(), Handle::current());
        // A thread sleeps more exactly than the runtime's timer, which goes by milliseconds.
        move || {
            for k in 0..shared.plan.reads {
                let due = start + shared.plan.at(k);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let client = clients[k % clients.len()].clone();
                let (shared, under_way) = (shared.clone(), under_way.clone());
                runtime.spawn(async move {
                    call(&shared, client, k, due).await;
                    drop(under_way);
                });
            }
        }
    };
    tokio::task::spawn_blocking(pacer).await?;
    while ended.recv().await.is_some() {}
    Ok(start.elapsed())
}

async fn call(shared: &Shared, mut client: Receipts, k: usize, due: Instant) {
    let started_late = due.elapsed();
    let read = shared.plan.read(k);
    let request = v1::SendMessageReadReceiptsRequest {
        user_id: shared.plan.reader(read.reader),
        conversation_id: shared.plan.conversation(read.message),
        message_ids: vec![shared.plan.message(read.message)],
        wait: false,
    };
    let result = tokio::time::timeout(CALL_MAX, client.send_message_read_receipts(request)).await;
    let latency = due.elapsed();
    let mut tally = shared.tally();
    match result {
        Ok(Ok(_)) => tally.called(read, started_late, latency),
        Ok(Err(why)) => tally.failed(status::line(&anyhow::Error::new(why))),
        Err(_) => tally.failed(format!("no answer within {} s", CALL_MAX.as_secs())),
    }
}
