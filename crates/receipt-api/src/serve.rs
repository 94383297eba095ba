//! The server: both services, health and reflection on one listener, until it is to stop.

use std::{path::PathBuf, sync::Arc, time::Duration};

use receipt_domain::limits::REQUEST_MAX_BYTES;
use receipt_log::Log;
use receipt_notifier::Inbox;
use receipt_projector::{Partition, PastOptions};
use receipt_proto::{
    FILE_DESCRIPTOR_SET,
    v1::{receipt_admin_service_server::ReceiptAdminServiceServer, receipt_service_server::ReceiptServiceServer},
};
use tokio::{net::TcpListener, sync::watch};
use tonic::transport::server::{Router, Server, TcpIncoming};
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH_DESCRIPTOR_SET;

use crate::{api::Api, edge::Edge, health::Health, service::Services, snapshots::Snapshots, streams::StreamLimits};

/// How long calls and streams may go on once the server is to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Pings find connections that are dead.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// So that the largest request does not wait for window updates.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Calls of one connection at a time.
const STREAMS_MAX: u32 = 4096;

/// What is served.
pub struct Context {
    /// Where writes go.
    pub log: Log,
    /// What queries ask, by number.
    pub partitions: Vec<Partition>,
    /// What streams tell, by number.
    pub inboxes: Vec<Inbox>,
    /// How many streams there may be.
    pub stream_limits: StreamLimits,
    /// Where partitions are folded aside, on the file system of their state.
    pub replay_dir: PathBuf,
    /// Takes snapshots; `None`: there is no place for them.
    pub snapshots: Option<Arc<Snapshots>>,
    /// Where and how states of the past are folded.
    pub past: PastOptions,
}

/// Why the server could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener failed.
    #[error("serving: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The contract's descriptors are damaged: a defect of this program.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves until `shutdown` resolves, then drains: no new calls are taken, and those under way get some time to end.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    context: Context,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let (stop, mut stopping) = watch::channel(false);
    let (reporter, health_server) = tonic_health::server::health_reporter();
    let health = Health::new(reporter, &context.partitions, context.log.reachable()).await;
    let _watching = health.watch();
    let services = Services(Arc::new(Api::new(context, stopping.clone())));
    let router = router(services)?.add_service(health_server);

    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let signal = async {
        shutdown.await;
        health.stop().await;
        stop.send_replace(true);
    };
    let overtime = async {
        // The sender is above, and says so before it goes.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        served = router.serve_with_incoming_shutdown(incoming, signal) => Ok(served?),
        () = overtime => {
            tracing::warn!("calls are still under way, and are given up");
            Ok(())
        }
    }
}

fn router(services: Services) -> Result<Router, ServeError> {
    let receipts = ReceiptServiceServer::new(services.clone()).max_decoding_message_size(REQUEST_MAX_BYTES);
    let admin = ReceiptAdminServiceServer::new(services).max_decoding_message_size(REQUEST_MAX_BYTES);
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure();
        let builder = builder.register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET);
        builder.register_encoded_file_descriptor_set(HEALTH_DESCRIPTOR_SET)
    };
    Ok(Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .add_service(Edge(receipts))
        .add_service(Edge(admin))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}
