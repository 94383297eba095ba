//! What follows from a batch must be in the log before the batch is written: so it is tried until the log takes it.

use std::{thread, time::Duration};

use receipt_log::{Batch, ErrorKind, Log};
use tokio::sync::watch;

use crate::error::ProjectorError;

/// Between two tries. An append to a log that does not answer takes seconds to fail anyway.
const PAUSE: Duration = Duration::from_millis(200);

/// Appends all of it. What a failed try has appended stands twice then, which joins make harmless (R6).
pub(crate) fn until_taken(
    log: &Log,
    batches: Vec<Batch>,
    stopped: &watch::Receiver<bool>,
) -> Result<(), ProjectorError> {
    loop {
        match log.append_many_blocking(batches.clone()) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Retry => {
                // A log that is closed takes nothing any more.
                if *stopped.borrow() || log.is_closed() {
                    return Err(ProjectorError::Stopped);
                }
                tracing::warn!(%error, "deltas or dead letters are not taken; trying again");
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
