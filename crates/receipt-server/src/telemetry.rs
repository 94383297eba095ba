//! Log lines and metrics.

use std::io::IsTerminal;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Starts both as configured.
///
/// # Errors
/// If the filter can't be read or the metrics port can't be taken.
pub(crate) fn start(config: &Config) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(&config.log).with_context(|| format!("log is {:?}: it is a list of levels", config.log))?;
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    if let Some(address) = config.metrics_listen {
        PrometheusBuilder::new()
            .with_http_listener(address)
            .install()
            .with_context(|| format!("serving metrics on {address}"))?;
    }
    Ok(())
}
