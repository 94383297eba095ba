//! Log lines and metrics.

use std::io::IsTerminal;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusBuilder;
use receipt_api::Connections;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::{
    config::{Config, LogFormat},
    metrics_page,
};

/// Starts log lines as configured.
///
/// # Errors
/// If the filter can't be read.
pub(crate) fn start_log(config: &Config) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(&config.log).with_context(|| format!("log is {:?}: it is a list of levels", config.log))?;
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

/// Serves the page of metrics, if that is configured, until the process ends.
///
/// # Errors
/// If the port can't be taken.
pub(crate) async fn serve_metrics(config: &Config) -> anyhow::Result<()> {
    let Some(address) = config.metrics_listen else { return Ok(()) };
    let serving = || format!("serving metrics on {address}");
    let metrics = PrometheusBuilder::new().install_recorder().with_context(serving)?;
    let listener = TcpListener::bind(address).await.with_context(serving)?;
    tokio::spawn(metrics_page::serve(Connections::new(listener, "metrics", metrics_page::CONNECTIONS_MAX), metrics));
    Ok(())
}
