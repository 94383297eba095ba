//! A receiptd that serves folds aside itself, and tells how far it is.

use std::collections::BTreeMap;

use receipt_proto::v1::{
    self, rebuild_partitions_response::Told as Rebuild, verify_partitions_response::Told as Verify,
};
use tokio::sync::watch;

use crate::{client, progress::Progress, told::follow};

/// Has partitions of the receiptd at an address rebuilt.
pub(crate) async fn rebuild_live(
    addr: &str,
    (partition, from_snapshot): (Option<u32>, bool),
    stopped: watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<v1::RebuiltPartition>> {
    let request = v1::RebuildPartitionsRequest { partition, from_snapshot };
    let responses = client::admin(addr)?.rebuild_partitions(request).await?.into_inner();
    let (mut parts, mut done) = (Parts::new(addr, partition, quiet).await?, Vec::new());
    let each = |response: v1::RebuildPartitionsResponse| match response.told {
        Some(Rebuild::Progress(progress)) => parts.at(&progress),
        Some(Rebuild::Rebuilt(rebuilt)) => done.push(rebuilt),
        None => {}
    };
    follow(responses, stopped, each).await?;
    parts.progress.finish();
    Ok(done)
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
    let (mut parts, mut done) = (Parts::new(addr, partition, quiet).await?, Vec::new());
    let each = |response: v1::VerifyPartitionsResponse| match response.told {
        Some(Verify::Progress(progress)) => parts.at(&progress),
        Some(Verify::Verified(verified)) => done.push(verified),
        None => {}
    };
    follow(responses, stopped, each).await?;
    parts.progress.finish();
    Ok(done)
}

/// How far each partition is.
struct Parts {
    progress: Progress,
    parts: BTreeMap<u32, Box<dyn FnMut(u64)>>,
}

impl Parts {
    /// Of as many records as there are to be folded, about: more come meanwhile.
    async fn new(addr: &str, only: Option<u32>, quiet: bool) -> anyhow::Result<Self> {
        let response = client::admin(addr)?.list_partitions(v1::ListPartitionsRequest {}).await?.into_inner();
        let receipts = response.partitions.iter().filter(|one| one.projection() == v1::Projection::Receipts);
        let asked = receipts.filter(|one| only.is_none_or(|only| one.partition == only));
        let records = asked.flat_map(|one| &one.positions).map(|position| position.applied_offset).sum();
        Ok(Self { progress: Progress::new("records", records, quiet), parts: BTreeMap::new() })
    }

    fn at(&mut self, at: &v1::ReplayProgress) {
        let begin = || Box::new(self.progress.part(at.partition)) as Box<dyn FnMut(u64)>;
        self.parts.entry(at.partition).or_insert_with(begin)(at.records_folded);
    }
}
