//! The standard health service: serving when every partition serves. Whether the log can be written to is told under a
//! name of its own, as queries go on where it can't.

use std::sync::Arc;

use receipt_projector::{Partition, Phase};
use receipt_proto::v1::{
    receipt_admin_service_server::SERVICE_NAME as ADMIN_SERVICE, receipt_service_server::SERVICE_NAME as SERVICE,
};
use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
};
use tonic_health::{ServingStatus, server::HealthReporter};

/// The whole server, and its services.
const NAMES: [&str; 3] = ["", SERVICE, ADMIN_SERVICE];
/// The log.
const LOG: &str = "receipts.log";

/// Tells the health of the partitions.
#[derive(Clone)]
pub(crate) struct Health {
    reporter: Arc<Mutex<Option<HealthReporter>>>,
    partitions: Arc<[Partition]>,
    log_reachable: watch::Receiver<bool>,
}

impl Health {
    /// Tells it once.
    pub(crate) async fn new(
        reporter: HealthReporter,
        partitions: &[Partition],
        log_reachable: watch::Receiver<bool>,
    ) -> Self {
        let reporter = Arc::new(Mutex::new(Some(reporter)));
        let health = Self { reporter, partitions: partitions.into(), log_reachable };
        health.report().await;
        health
    }

    /// Goes on telling it until what it returns is dropped.
    pub(crate) fn watch(&self) -> JoinSet<()> {
        let mut watching = JoinSet::new();
        for partition in self.partitions.iter() {
            let (health, partition) = (self.clone(), partition.clone());
            watching.spawn(async move {
                loop {
                    let phase = partition.phase();
                    health.report().await;
                    if phase == Phase::Stopped {
                        return;
                    }
                    partition.left(&phase).await;
                }
            });
        }
        let (health, mut reachable) = (self.clone(), self.log_reachable.clone());
        watching.spawn(async move {
            // The log goes last; without it there is nothing more to tell.
            while reachable.changed().await.is_ok() {
                health.report().await;
            }
        });
        watching
    }

    async fn report(&self) {
        // Locked while the phases are looked at, so that an older look never comes last.
        let reporter = self.reporter.lock().await;
        let serving = self.partitions.iter().all(|partition| partition.phase() == Phase::Serving);
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        let log = if *self.log_reachable.borrow() { ServingStatus::Serving } else { ServingStatus::NotServing };
        if let Some(reporter) = &*reporter {
            set(reporter, status).await;
            reporter.set_service_status(LOG, log).await;
        }
    }

    /// Tells that the server stops, and ends the streams of those who watch.
    pub(crate) async fn stop(&self) {
        if let Some(mut reporter) = self.reporter.lock().await.take() {
            set(&reporter, ServingStatus::NotServing).await;
            for name in NAMES.into_iter().chain([LOG]) {
                reporter.clear_service_status(name).await;
            }
        }
    }
}

async fn set(reporter: &HealthReporter, status: ServingStatus) {
    for name in NAMES {
        reporter.set_service_status(name, status).await;
    }
}
