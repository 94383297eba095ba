//! The page of metrics, for Prometheus.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use receipt_api::{Connection, Connections};

/// Connections at a time.
pub(crate) const CONNECTIONS_MAX: usize = 64;
/// Of a request, and between two.
const HEADER_MAX: Duration = Duration::from_secs(60);
/// How often what was measured is put together, so that it does not pile up where nobody asks.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serves it until this is dropped.
pub(crate) async fn serve(mut connections: Connections, metrics: PrometheusHandle) {
    let mut upkeep = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            connection = connections.accept() => drop(tokio::spawn(answer(connection, metrics.clone()))),
            _ = upkeep.tick() => metrics.run_upkeep(),
        }
    }
}

async fn answer(connection: Connection, metrics: PrometheusHandle) {
    let page = service_fn(move |request: Request<Incoming>| {
        let response = page(&request, &metrics);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_MAX);
    if let Err(error) = server.serve_connection(TokioIo::new(connection), page).await {
        tracing::debug!(%error, "a connection for metrics");
    }
}

fn page(request: &Request<Incoming>, metrics: &PrometheusHandle) -> Response<Full<Bytes>> {
    if request.uri().path() == "/metrics" {
        let mut page = Response::new(Full::from(metrics.render()));
        let text = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        page.headers_mut().insert(header::CONTENT_TYPE, text);
        return page;
    }
    let mut none = Response::new(Full::from("metrics are at /metrics\n"));
    *none.status_mut() = StatusCode::NOT_FOUND;
    none
}
