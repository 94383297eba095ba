//! The standard health service: serving when every partition serves.

use std::sync::Arc;

use receipt_projector::{Offsets, Partition, Phase};
use receipt_proto::v1::{
    receipt_admin_service_server::SERVICE_NAME as ADMIN_SERVICE, receipt_service_server::SERVICE_NAME as SERVICE,
};
use tokio::{sync::Mutex, task::JoinSet};
use tonic_health::{ServingStatus, server::HealthReporter};

/// The whole server, and its services.
const NAMES: [&str; 3] = ["", SERVICE, ADMIN_SERVICE];
/// Offsets that no partition reaches.
const NEVER: Offsets = Offsets { conversations: u64::MAX, reads: u64::MAX };

/// Tells the health of the partitions.
#[derive(Clone)]
pub(crate) struct Health {
    reporter: Arc<Mutex<Option<HealthReporter>>>,
    partitions: Arc<[Partition]>,
}

impl Health {
    /// Tells it once.
    pub(crate) async fn new(reporter: HealthReporter, partitions: &[Partition]) -> Self {
        let health = Self { reporter: Arc::new(Mutex::new(Some(reporter))), partitions: partitions.into() };
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
                    match partition.phase() {
                        Phase::CatchingUp => drop(partition.settled().await),
                        Phase::Serving => drop(partition.reached(NEVER).await),
                        // For good.
                        Phase::Sealed(_) | Phase::Stopped => return health.report().await,
                    }
                    health.report().await;
                }
            });
        }
        watching
    }

    async fn report(&self) {
        // Locked while the phases are looked at, so that an older look never comes last.
        let reporter = self.reporter.lock().await;
        let serving = self.partitions.iter().all(|partition| partition.phase() == Phase::Serving);
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        if let Some(reporter) = &*reporter {
            set(reporter, status).await;
        }
    }

    /// Tells that the server stops, and ends the streams of those who watch.
    pub(crate) async fn stop(&self) {
        if let Some(mut reporter) = self.reporter.lock().await.take() {
            set(&reporter, ServingStatus::NotServing).await;
            for name in NAMES {
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
