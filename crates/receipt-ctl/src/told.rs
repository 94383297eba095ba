//! Calls of operators that stream how far they are.

use anyhow::bail;
use tokio::sync::watch;
use tonic::Streaming;

/// Why a command ended before its time.
pub(crate) const STOPPED: &str = "stopped; the same command goes on from here";

/// Hands on each response until the call has ended. Where the command is stopped, so is the call.
pub(crate) async fn follow<R>(
    mut responses: Streaming<R>,
    mut stopped: watch::Receiver<bool>,
    mut each: impl FnMut(R),
) -> anyhow::Result<()> {
    loop {
        let response = tokio::select! {
            response = responses.message() => response?,
            _ = stopped.wait_for(|stopped| *stopped) => bail!("{STOPPED}"),
        };
        let Some(response) = response else { return Ok(()) };
        each(response);
    }
}
