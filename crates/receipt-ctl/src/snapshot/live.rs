//! A receiptd that serves takes snapshots, and trims its log, itself, and tells how far it is.

use anyhow::bail;
use receipt_proto::v1::{self, create_snapshots_response::Told as Create, trim_log_response::Told as Trimming};
use tokio::sync::watch;
use tonic::Streaming;

use crate::{client, progress::Progress};

/// Has the receiptd at an address take snapshots.
pub(crate) async fn create_live(
    addr: &str,
    partition: Option<u32>,
    stopped: watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<v1::SnapshotTaken>> {
    let request = v1::CreateSnapshotsRequest { partition };
    let responses = client::admin(addr)?.create_snapshots(request).await?.into_inner();
    follow(responses, bytes(addr).await?, stopped, quiet, |response| match response.told? {
        Create::Bytes(bytes) => Some(Told::Bytes(bytes)),
        Create::Taken(taken) => Some(Told::Done(taken)),
    })
    .await
}

/// Has the receiptd at an address trim its log.
pub(crate) async fn trim_live(
    addr: &str,
    request: v1::TrimLogRequest,
    stopped: watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<v1::TrimmedPartition>> {
    let responses = client::admin(addr)?.trim_log(request).await?.into_inner();
    follow(responses, bytes(addr).await?, stopped, quiet, |response| match response.told? {
        Trimming::Bytes(bytes) => Some(Told::Bytes(bytes)),
        Trimming::Trimmed(trimmed) => Some(Told::Done(trimmed)),
    })
    .await
}

/// Bytes of the state, which are about those of its snapshots.
async fn bytes(addr: &str) -> anyhow::Result<u64> {
    let response = client::admin(addr)?.list_partitions(v1::ListPartitionsRequest {}).await?.into_inner();
    Ok(response.partitions.iter().map(|one| one.disk_bytes).sum())
}

enum Told<T> {
    Bytes(u64),
    Done(T),
}

/// Shows how far it is until all is done. Where the command is stopped, so is the call.
async fn follow<R, T>(
    mut responses: Streaming<R>,
    bytes: u64,
    mut stopped: watch::Receiver<bool>,
    quiet: bool,
    told: impl Fn(R) -> Option<Told<T>>,
) -> anyhow::Result<Vec<T>> {
    let progress = Progress::new("bytes", bytes, quiet);
    let mut done = Vec::new();
    loop {
        let response = tokio::select! {
            response = responses.message() => response?,
            _ = stopped.wait_for(|stopped| *stopped) => bail!("stopped; the same command goes on from here"),
        };
        let Some(response) = response else { break };
        match told(response) {
            Some(Told::Bytes(bytes)) => progress.at(bytes),
            Some(Told::Done(one)) => done.push(one),
            None => {}
        }
    }
    progress.finish();
    Ok(done)
}
