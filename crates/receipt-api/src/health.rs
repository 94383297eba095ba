//! The standard health service. The whole is serving when every partition and every inbox serves and the log takes records;
//! each service when all partitions and inboxes do, as queries and streams go on without the log, which has a name of its
//! own.

use std::sync::Arc;

use receipt_log::Writes;
use receipt_notifier::Inbox;
use receipt_projector::{Partition, Phase};
use receipt_proto::v1::{
    receipt_admin_service_server::SERVICE_NAME as ADMIN_SERVICE, receipt_service_server::SERVICE_NAME as SERVICE,
};
use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
};
use tonic_health::{ServingStatus, server::HealthReporter};

/// The whole server.
const ALL: &str = "";
const SERVICES: [&str; 2] = [SERVICE, ADMIN_SERVICE];
/// The log.
const LOG: &str = "receipts.log";

/// Tells the health of partitions, inboxes and log.
#[derive(Clone)]
pub(crate) struct Health {
    reporter: Arc<Mutex<Option<HealthReporter>>>,
    partitions: Arc<[Partition]>,
    inboxes: Arc<[Inbox]>,
    writes: watch::Receiver<Writes>,
}

impl Health {
    /// Tells it once.
    pub(crate) async fn new(
        reporter: HealthReporter,
        partitions: &[Partition],
        inboxes: &[Inbox],
        writes: watch::Receiver<Writes>,
    ) -> Self {
        let reporter = Arc::new(Mutex::new(Some(reporter)));
        let health = Self { reporter, partitions: partitions.into(), inboxes: inboxes.into(), writes };
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
        for inbox in self.inboxes.iter() {
            let (health, inbox) = (self.clone(), inbox.clone());
            watching.spawn(async move {
                loop {
                    let phase = inbox.phase();
                    health.report().await;
                    if phase == Phase::Stopped {
                        return;
                    }
                    inbox.left(&phase).await;
                }
            });
        }
        let (health, mut writes) = (self.clone(), self.writes.clone());
        watching.spawn(async move {
            // The log goes last; without it there is nothing more to tell.
            while writes.changed().await.is_ok() {
                health.report().await;
            }
        });
        watching
    }

    async fn report(&self) {
        // Locked while the phases are looked at, so that an older look never comes last.
        let reporter = self.reporter.lock().await;
        let serves = self.partitions.iter().all(|partition| partition.phase() == Phase::Serving)
            && self.inboxes.iter().all(|inbox| inbox.phase() == Phase::Serving);
        let takes = *self.writes.borrow() == Writes::Taken;
        if let Some(reporter) = &*reporter {
            reporter.set_service_status(ALL, status(serves && takes)).await;
            for name in SERVICES {
                reporter.set_service_status(name, status(serves)).await;
            }
            reporter.set_service_status(LOG, status(takes)).await;
        }
    }

    /// Tells that the server stops, and ends the streams of those who watch.
    pub(crate) async fn stop(&self) {
        if let Some(mut reporter) = self.reporter.lock().await.take() {
            let names = || [ALL, LOG].into_iter().chain(SERVICES);
            for name in names() {
                reporter.set_service_status(name, ServingStatus::NotServing).await;
            }
            for name in names() {
                reporter.clear_service_status(name).await;
            }
        }
    }
}

fn status(serves: bool) -> ServingStatus {
    if serves { ServingStatus::Serving } else { ServingStatus::NotServing }
}
