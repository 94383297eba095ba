//! A receiptd that serves takes snapshots, and trims its log, itself, and tells how far it is.

use receipt_proto::v1::{self, create_snapshots_response::Told as Create, trim_log_response::Told as Trimming};
use tokio::sync::watch;

use crate::{client, progress::Progress, told::follow};

/// Has the receiptd at an address take snapshots.
pub(crate) async fn create_live(
    addr: &str,
    partition: Option<u32>,
    stopped: watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<v1::SnapshotTaken>> {
    let request = v1::CreateSnapshotsRequest { partition };
    let responses = client::admin(addr)?.create_snapshots(request).await?.into_inner();
    let (progress, mut done) = (bytes(addr, quiet).await?, Vec::new());
    let each = |response: v1::CreateSnapshotsResponse| match response.told {
        Some(Create::Bytes(bytes)) => progress.at(bytes),
        Some(Create::Taken(taken)) => done.push(taken),
        None => {}
    };
    follow(responses, stopped, each).await?;
    progress.finish();
    Ok(done)
}

/// Has the receiptd at an address trim its log.
pub(crate) async fn trim_live(
    addr: &str,
    request: v1::TrimLogRequest,
    stopped: watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<v1::TrimmedPartition>> {
    let responses = client::admin(addr)?.trim_log(request).await?.into_inner();
    let (progress, mut done) = (bytes(addr, quiet).await?, Vec::new());
    let each = |response: v1::TrimLogResponse| match response.told {
        Some(Trimming::Bytes(bytes)) => progress.at(bytes),
        Some(Trimming::Trimmed(trimmed)) => done.push(trimmed),
        None => {}
    };
    follow(responses, stopped, each).await?;
    progress.finish();
    Ok(done)
}

/// Of as many bytes as the state has, which are about those of its snapshots.
async fn bytes(addr: &str, quiet: bool) -> anyhow::Result<Progress> {
    let response = client::admin(addr)?.list_partitions(v1::ListPartitionsRequest {}).await?.into_inner();
    Ok(Progress::new("bytes", response.partitions.iter().map(|one| one.disk_bytes).sum(), quiet))
}
