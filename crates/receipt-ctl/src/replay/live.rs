//! A receiptd that serves folds aside itself, and tells how far it is.

use std::collections::BTreeMap;

use anyhow::bail;
use receipt_proto::v1::{
    self, rebuild_partitions_response::Told as Rebuild, verify_partitions_response::Told as Verify,
};
use tokio::sync::watch;
use tonic::{Status, Streaming};

use super::STOPPED;
use crate::{client, progress::Progress};

/// Has partitions of the receiptd at an address rebuilt.
pub(crate) async fn rebuild_live(
    addr: &str,
    (partition, from_snapshot): (Option<u32>, bool),
    stopped: watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<v1::RebuiltPartition>> {
    let request = v1::RebuildPartitionsRequest { partition, from_snapshot };
    let responses = client::admin(addr)?.rebuild_partitions(request).await?.into_inner();
    follow(responses, records(addr, partition).await?, stopped, quiet, |response| match response.told {
        Some(Rebuild::Progress(progress)) => Told::Progress(progress),
        Some(Rebuild::Rebuilt(rebuilt)) => Told::Done(rebuilt),
        None => Told::Nothing,
    })
    .await
}

/// Has partitions of the receiptd at an address verified.
pub(crate) async fn verify_live(
    addr: &str,
    (partition, from_snapshot): (Option<u32>, bool),
    stopped: watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<v1::VerifiedPartition>> {
    let request = v1::VerifyPartitionsRequest { partition, from_snapshot };
    let responses = client::admin(addr)?.verify_partitions(request).await?.into_inner();
    follow(responses, records(addr, partition).await?, stopped, quiet, |response| match response.told {
        Some(Verify::Progress(progress)) => Told::Progress(progress),
        Some(Verify::Verified(verified)) => Told::Done(verified),
        None => Told::Nothing,
    })
    .await
}

enum Told<T> {
    Progress(v1::ReplayProgress),
    Done(T),
    Nothing,
}

/// Records to be folded, about: more come meanwhile.
async fn records(addr: &str, only: Option<u32>) -> anyhow::Result<u64> {
    let response = client::admin(addr)?.list_partitions(v1::ListPartitionsRequest {}).await?.into_inner();
    let receipts = response.partitions.iter().filter(|one| one.projection() == v1::Projection::Receipts);
    let asked = receipts.filter(|one| only.is_none_or(|only| one.partition == only));
    Ok(asked.flat_map(|one| &one.positions).map(|position| position.applied_offset).sum())
}

/// Shows how far it is until all is done. Where the command is stopped, so is the call.
async fn follow<R, T>(
    mut responses: Streaming<R>,
    records: u64,
    mut stopped: watch::Receiver<bool>,
    quiet: bool,
    told: impl Fn(R) -> Told<T>,
) -> anyhow::Result<Vec<T>> {
    let progress = Progress::new("records", records, quiet);
    let (mut parts, mut done) = (BTreeMap::new(), Vec::new());
    loop {
        let response: Result<Option<R>, Status> = tokio::select! {
            response = responses.message() => response,
            _ = stopped.wait_for(|stopped| *stopped) => bail!("{} partitions are done; {STOPPED}", done.len()),
        };
        match response?.map(&told) {
            None => break,
            Some(Told::Nothing) => {}
            Some(Told::Progress(v1::ReplayProgress { partition, records_folded, .. })) => {
                parts.entry(partition).or_insert_with(|| progress.part(partition))(records_folded);
            }
            Some(Told::Done(result)) => done.push(result),
        }
    }
    progress.finish();
    Ok(done)
}
