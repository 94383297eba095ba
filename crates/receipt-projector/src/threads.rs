//! The threads of a projection, one a partition. They have stores open: the process must not end before them.

use std::thread::JoinHandle;

use tokio::{runtime::Handle, sync::watch};

use crate::{
    error::ProjectorError,
    worker::{self, Projection},
};

/// Threads that fold until they are told to stop. Dropped, it waits for them, too: RocksDB breaks where a store is closed
/// while the process ends.
pub struct Threads {
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Threads {
    /// None yet.
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { threads: Vec::new(), stop: watch::Sender::new(false) }
    }

    /// Starts one of this name.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn spawn(&mut self, name: String, projection: impl Projection, runtime: &Handle) -> Result<(), ProjectorError> {
        self.threads.push(worker::spawn(name, projection, runtime.clone(), self.stop.subscribe())?);
        Ok(())
    }

    /// Stops folding, makes everything durable, and ends the threads.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut self.threads);
        if tokio::task::spawn_blocking(|| join(threads)).await.is_err() {
            tracing::error!("the threads of the partitions were not waited for");
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        join(std::mem::take(&mut self.threads));
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        let name = thread.thread().name().unwrap_or_default().to_owned();
        if thread.join().is_err() {
            tracing::error!(name, "a partition's thread did not end well");
        }
    }
}
