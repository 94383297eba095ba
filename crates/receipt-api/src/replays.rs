//! For operators: partitions are folded anew beside their state, to prove it or to take its place.

use std::{path::PathBuf, sync::Arc};

use receipt_projector::{Aside, Offsets, Partition, ProjectorError, Snapshots};
use receipt_proto::v1::{
    self, rebuild_partitions_response::Told as Rebuild, verify_partitions_response::Told as Verify,
};
use receipt_store::Resources;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tonic::{Request, Response, Status};

use crate::{
    api::Api,
    dead_letters::check_partition,
    error,
    told::{self, Responses, Teller},
};

const MIB: usize = 1 << 20;
/// Memory of what is folded aside, so that what serves keeps its own.
const CACHE_BYTES: usize = 64 * MIB;
const WRITE_BUFFER_BYTES: usize = 128 * MIB;
/// Where partitions are folded aside, one call at a time.
pub(crate) struct Replays {
    dir: PathBuf,
    one: Arc<Semaphore>,
}

impl Replays {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, one: Arc::new(Semaphore::new(1)) }
    }

    /// Where a command that does not fold puts copies.
    pub(crate) fn dir(&self, command: &str) -> PathBuf {
        self.dir.join(command)
    }

    /// The place of a command, for as long as the permit is held.
    fn take(&self, command: &str) -> Result<(PathBuf, OwnedSemaphorePermit), Status> {
        let permit = Arc::clone(&self.one).try_acquire_owned().map_err(|_| error::replay_running())?;
        Ok((self.dir.join(command), permit))
    }
}

/// RebuildPartitions.
pub(crate) fn rebuild(
    api: &Api,
    request: &Request<v1::RebuildPartitionsRequest>,
) -> Result<Response<Responses<v1::RebuildPartitionsResponse>>, Status> {
    let partitions = partitions(api, request.get_ref().partition)?;
    let (dir, permit) = api.replays.take("rebuild")?;
    let response = |told| v1::RebuildPartitionsResponse { told: Some(told) };
    let from_snapshot = request.get_ref().from_snapshot;
    let work = move |teller: &Teller<_>, aside: &Aside<'_>| {
        for partition in &partitions {
            let told = progress(teller, partition, |progress| response(Rebuild::Progress(progress)));
            let applied = aside.rebuild_live(partition, told)?;
            if !teller.tell(response(Rebuild::Rebuilt(rebuilt(partition, applied)))) {
                break;
            }
        }
        Ok(())
    };
    aside(api, dir, permit, from_snapshot, work)
}

/// VerifyPartitions.
pub(crate) fn verify(
    api: &Api,
    request: &Request<v1::VerifyPartitionsRequest>,
) -> Result<Response<Responses<v1::VerifyPartitionsResponse>>, Status> {
    let partitions = partitions(api, request.get_ref().partition)?;
    let (dir, permit) = api.replays.take("verify")?;
    let response = |told| v1::VerifyPartitionsResponse { told: Some(told) };
    let from_snapshot = request.get_ref().from_snapshot;
    let work = move |teller: &Teller<_>, aside: &Aside<'_>| {
        for partition in &partitions {
            let told = progress(teller, partition, |progress| response(Verify::Progress(progress)));
            let (applied, found) = aside.verify_live(partition, told)?;
            if !teller.tell(response(Verify::Verified(found.told(partition.number(), applied)))) {
                break;
            }
        }
        Ok(())
    };
    aside(api, dir, permit, from_snapshot, work)
}

fn partitions(api: &Api, only: Option<u32>) -> Result<Vec<Partition>, Status> {
    let Some(number) = only else { return Ok(api.partitions.clone()) };
    check_partition(&api.log, "partition", number)?;
    let partition = api.partition(number).map_err(|why| error::unserved(number, &why))?;
    Ok(vec![partition.clone()])
}

/// Folds aside, and tells the client.
fn aside<T: Send + 'static>(
    api: &Api,
    dir: PathBuf,
    permit: OwnedSemaphorePermit,
    from_snapshot: bool,
    work: impl FnOnce(&Teller<T>, &Aside<'_>) -> Result<(), ProjectorError> + Send + 'static,
) -> Result<Response<Responses<T>>, Status> {
    let (log, runtime) = (api.log.clone(), Handle::current());
    let place = api.snapshots.as_ref().map(|snapshots| snapshots.place().clone());
    if from_snapshot && place.is_none() {
        return Err(error::no_snapshot_place());
    }
    Ok(told::stream(api, move |teller| {
        let resources = Resources::new(CACHE_BYTES, WRITE_BUFFER_BYTES);
        let stopped = &teller.stopped;
        let snapshots = place.as_ref().map(|place| Snapshots { place, always: from_snapshot });
        let aside = Aside { log: &log, resources: &resources, dir: &dir, runtime: &runtime, stopped, snapshots };
        let done = work(teller, &aside);
        // Not empty where it was stopped, for the next call to go on from.
        for dir in dir.ancestors().take(2) {
            let _ = std::fs::remove_dir(dir);
        }
        drop(permit);
        done.map_err(|why| error::replay(&why))
    }))
}

/// Tells how far a partition is.
fn progress<'a, T>(
    teller: &'a Teller<T>,
    partition: &'a Partition,
    response: impl Fn(v1::ReplayProgress) -> T + 'a,
) -> impl FnMut(u64) + 'a {
    let mut tell = teller.now_and_then();
    move |records_folded| {
        let (partition, records) = (partition.number(), partition.applied().records());
        tell(&|| response(v1::ReplayProgress { partition, records_folded, records }));
    }
}

fn rebuilt(partition: &Partition, applied: Offsets) -> v1::RebuiltPartition {
    let progress = partition.with_store(|store| store.view().map(|view| view.progress().clone()));
    let progress = progress.and_then(Result::ok).unwrap_or_default();
    v1::RebuiltPartition {
        partition: partition.number(),
        conversations_offset: applied.conversations,
        reads_offset: applied.reads,
        messages: progress.messages,
        receipts: progress.receipts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folds_aside_at_a_time() {
        let replays = Replays::new("/data/replay".into());
        let (dir, permit) = replays.take("verify").unwrap();
        assert_eq!(dir, PathBuf::from("/data/replay/verify"));
        let refused = replays.take("rebuild").unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        drop(permit);
        assert!(replays.take("rebuild").is_ok());
    }
}
