//! The server: both services, health and reflection on one listener, until it is to stop.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use futures_util::stream;
use receipt_domain::limits::REQUEST_MAX_BYTES;
use receipt_log::Log;
use receipt_notifier::Inbox;
use receipt_projector::{Partition, PastOptions};
use receipt_proto::{
    FILE_DESCRIPTOR_SET,
    v1::{receipt_admin_service_server::ReceiptAdminServiceServer, receipt_service_server::ReceiptServiceServer},
};
use tokio::sync::watch;
use tonic::transport::server::{Router, Server};
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH_DESCRIPTOR_SET;

use crate::{
    api::Api,
    bodies::{Bodies, BodyLimits},
    calls::CallLimits,
    connections::Connections,
    edge::Edge,
    health::Health,
    service::Services,
    snapshots::Snapshots,
    streams::StreamLimits,
};

/// How long calls and streams may go on once the server is to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Pings find connections that are dead.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// What a connection may have sent that nobody has read yet: of a body, so that the largest does not wait for window updates,
/// and of all bodies. By the latter h2 also reckons how many small requests may come at once: with 1 MiB it closes the
/// connection of a client that sends some thousands together.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Calls of one connection at a time.
const STREAMS_MAX: u32 = 4096;
/// Calls of one connection that ended as its client broke the protocol, until the connection is closed.
const LOCAL_ERROR_RESETS_MAX: usize = 1024;
/// Headers of one call, as they come.
const HEADERS_MAX_BYTES: u32 = 16 << 10;

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
    /// What requests may take until they are answered.
    pub body_limits: BodyLimits,
    /// How many calls may be under way.
    pub call_limits: CallLimits,
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
    connections: Connections,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let (stop, mut stopping) = watch::channel(false);
    let (reporter, health_server) = tonic_health::server::health_reporter();
    let health = Health::new(reporter, &context.partitions, &context.inboxes, context.log.writes()).await;
    let _watching = health.watch();
    let bodies = Bodies::new(context.body_limits);
    let services = Services(Arc::new(Api::new(context, stopping.clone())));
    let router = router(services, &bodies)?.add_service(health_server);

    let incoming = stream::unfold((connections, bodies), |(mut connections, bodies)| async {
        let connection = connections.accept().await.with_memory(bodies.of_connection());
        Some((Ok::<_, Infallible>(connection), (connections, bodies)))
    });
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

fn router(services: Services, bodies: &Bodies) -> Result<Router, ServeError> {
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
        .http2_max_local_error_reset_streams(Some(LOCAL_ERROR_RESETS_MAX))
        .http2_max_header_list_size(HEADERS_MAX_BYTES)
        .add_service(Edge { service: receipts, bodies: bodies.clone() })
        .add_service(Edge { service: admin, bodies: bodies.clone() })
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}
