//! The settings in force: flags over environment over file over defaults, checked.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, bail};
use receipt_domain::settings::Settings;
use receipt_log::KafkaOptions;
use serde::{Deserialize, Serialize};

use crate::{
    config_file,
    durations::{duration, duration_ms},
    kafka,
    limits::{Given, Limits},
    options::Options,
};

/// Partitions of an embedded log, where nothing is said.
pub(crate) const EMBEDDED_PARTITIONS: u32 = 4;

/// How often snapshots are taken, and how many are kept, where nothing is said.
const SNAPSHOT_INTERVAL_MS: u64 = 24 * 3_600_000;
const SNAPSHOTS_KEPT: usize = 3;

/// What is kept free of the embedded log's disk, where nothing is said.
pub(crate) const DISK_RESERVE_MIB: u64 = 512;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// What a configuration file may hold.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data_dir: Option<PathBuf>,
    listen: Option<SocketAddr>,
    partitions: Option<u32>,
    retention: Option<String>,
    early_window: Option<String>,
    max_group_members: Option<u32>,
    block_cache_mib: Option<usize>,
    write_buffer_mib: Option<usize>,
    batch_mib: Option<usize>,
    max_streams_per_user: Option<usize>,
    max_streams: Option<usize>,
    max_connections: Option<u64>,
    disk_reserve_mib: Option<u64>,
    request_memory_mib: Option<usize>,
    request_timeout: Option<String>,
    max_reads: Option<usize>,
    max_appends: Option<usize>,
    max_waits: Option<usize>,
    snapshots: Option<String>,
    snapshot_interval: Option<String>,
    snapshot_keep: Option<usize>,
    log_retention: Option<String>,
    metrics_listen: Option<SocketAddr>,
    log: Option<String>,
    log_format: Option<String>,
    // Last: a table of its own.
    kafka: Option<toml::Table>,
}

/// Which snapshots are taken, and what becomes of the log behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotConfig {
    /// A folder or URL.
    pub(crate) place: String,
    /// 0: none are taken but when one is asked for.
    pub(crate) interval_ms: u64,
    /// Of each unit.
    pub(crate) keep: usize,
    /// `None`: the log is not trimmed.
    pub(crate) log_retention_ms: Option<u64>,
}

/// The settings in force.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: SocketAddr,
    /// `None`: the embedded log's default, or what the topics have.
    pub(crate) partitions: Option<u32>,
    /// `None`: the embedded log.
    pub(crate) kafka: Option<KafkaOptions>,
    pub(crate) fold: Settings,
    pub(crate) block_cache_mib: usize,
    pub(crate) write_buffer_mib: usize,
    pub(crate) batch_mib: usize,
    pub(crate) limits: Limits,
    /// `None`: the default, on the embedded log.
    pub(crate) disk_reserve_mib: Option<u64>,
    pub(crate) snapshots: Option<SnapshotConfig>,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    pub(crate) accept_clock_jump: bool,
}

impl Config {
    /// Puts together what is set where.
    ///
    /// # Errors
    /// Names the setting that can't be, and what it may be.
    pub(crate) fn from_options(options: &Options) -> anyhow::Result<Self> {
        let file = match &options.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("reading the configuration file {}", path.display()))?;
                config_file::parse(&text).with_context(|| format!("in the configuration file {}", path.display()))?
            }
        };
        let defaults = Settings::default();
        let retention = options.retention.as_ref().or(file.retention.as_ref());
        let early_window = options.early_window.as_ref().or(file.early_window.as_ref());
        let retention_ms = duration_ms("retention", retention, defaults.retention_ms)?;
        // Never longer than messages are kept.
        let early_window_ms = match retention_ms {
            0 => defaults.early_window_ms,
            retention_ms => defaults.early_window_ms.min(retention_ms),
        };
        let fold = Settings {
            retention_ms,
            early_window_ms: duration_ms("early_window", early_window, early_window_ms)?,
            max_group_members: options
                .max_group_members
                .or(file.max_group_members)
                .unwrap_or(defaults.max_group_members),
        };
        let log_format = options.log_format.as_ref().or(file.log_format.as_ref());
        let Some(data_dir) = options.data_dir.clone().or(file.data_dir) else {
            bail!("data_dir is not set: give --data-dir DIR, the directory that log and state are kept in");
        };
        let config = Self {
            data_dir,
            listen: options.listen.or(file.listen).unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 50051))),
            partitions: options.partitions.or(file.partitions),
            kafka: kafka::options(options, file.kafka.unwrap_or_default(), fold.retention_ms)?,
            fold,
            block_cache_mib: options.block_cache_mib.or(file.block_cache_mib).unwrap_or(256),
            write_buffer_mib: options.write_buffer_mib.or(file.write_buffer_mib).unwrap_or(256),
            batch_mib: options.batch_mib.or(file.batch_mib).unwrap_or(256),
            disk_reserve_mib: options.disk_reserve_mib.or(file.disk_reserve_mib),
            limits: Limits::new(&Given {
                max_streams_per_user: options.max_streams_per_user.or(file.max_streams_per_user),
                max_streams: options.max_streams.or(file.max_streams),
                max_connections: options.max_connections.or(file.max_connections),
                request_memory_mib: options.request_memory_mib.or(file.request_memory_mib),
                request_timeout: options.request_timeout.as_ref().or(file.request_timeout.as_ref()),
                max_reads: options.max_reads.or(file.max_reads),
                max_appends: options.max_appends.or(file.max_appends),
                max_waits: options.max_waits.or(file.max_waits),
            })?,
            snapshots: snapshots(
                options.snapshots.as_ref().or(file.snapshots.as_ref()),
                options.snapshot_interval.as_ref().or(file.snapshot_interval.as_ref()),
                options.snapshot_keep.or(file.snapshot_keep),
                options.log_retention.as_ref().or(file.log_retention.as_ref()),
            )?,
            metrics_listen: options.metrics_listen.or(file.metrics_listen),
            log: options.log.clone().or(file.log).unwrap_or_else(|| "info".to_owned()),
            log_format: match log_format.map_or("text", String::as_str) {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                other => bail!("log_format is {other:?}: it may be text or json"),
            },
            accept_clock_jump: options.accept_clock_jump,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        for (name, address) in [("listen", Some(self.listen)), ("metrics_listen", self.metrics_listen)] {
            // S41: whoever reaches the port may do anything, as long as there is no authentication.
            if let Some(address) = address
                && !address.ip().is_loopback()
            {
                bail!(
                    "{name} is {address}: without authentication it may be a loopback address only, such as 127.0.0.1"
                );
            }
        }
        if let Some(partitions) = self.partitions
            && !(1..=receipt_log::PARTITIONS_MAX).contains(&partitions)
        {
            bail!("partitions is {partitions}: it may be 1 to {}", receipt_log::PARTITIONS_MAX);
        }
        if let Some(kafka) = &self.kafka {
            kafka.check()?;
        }
        if self.kafka.is_some() && self.snapshots.as_ref().is_some_and(|one| one.log_retention_ms.is_some()) {
            bail!("log_retention is set, and the log is on Kafka: set `retention.ms` of its topics instead");
        }
        if self.fold.retention_ms != 0 && self.fold.early_window_ms > self.fold.retention_ms {
            bail!(
                "early_window is {}: it may be at most the retention, {}",
                duration(self.fold.early_window_ms),
                duration(self.fold.retention_ms)
            );
        }
        if self.fold.max_group_members == 0 {
            bail!("max_group_members is 0: it may be 1 to {}", u32::MAX);
        }
        let memory = [
            ("block_cache_mib", self.block_cache_mib),
            ("write_buffer_mib", self.write_buffer_mib),
            ("batch_mib", self.batch_mib),
        ];
        for (name, mib) in memory {
            if !(1..=1 << 20).contains(&mib) {
                bail!("{name} is {mib}: it may be 1 to {}", 1 << 20);
            }
        }
        if self.data_dir.as_os_str().is_empty() {
            bail!("data_dir is empty: it is the directory that log and state are kept in");
        }
        if self.kafka.is_some() && self.disk_reserve_mib.is_some() {
            bail!("disk_reserve_mib is set, and the log is on Kafka: it is for the disk of the embedded log");
        }
        Ok(())
    }

    /// As a configuration file.
    pub(crate) fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(&File {
            data_dir: Some(self.data_dir.clone()),
            listen: Some(self.listen),
            partitions: self.partitions.or(self.kafka.is_none().then_some(EMBEDDED_PARTITIONS)),
            retention: Some(duration(self.fold.retention_ms)),
            early_window: Some(duration(self.fold.early_window_ms)),
            max_group_members: Some(self.fold.max_group_members),
            block_cache_mib: Some(self.block_cache_mib),
            write_buffer_mib: Some(self.write_buffer_mib),
            batch_mib: Some(self.batch_mib),
            max_streams_per_user: Some(self.limits.streams.a_user),
            max_streams: Some(self.limits.streams.in_all),
            max_connections: Some(self.limits.connections),
            disk_reserve_mib: self.disk_reserve_mib.or(self.kafka.is_none().then_some(DISK_RESERVE_MIB)),
            request_memory_mib: Some(self.limits.request_memory_mib()),
            request_timeout: Some(humantime::format_duration(self.limits.bodies.time).to_string()),
            max_reads: Some(self.limits.calls.reads),
            max_appends: Some(self.limits.calls.appends),
            max_waits: Some(self.limits.calls.waits),
            snapshots: self.snapshots.as_ref().map(|one| one.place.clone()),
            snapshot_interval: self.snapshots.as_ref().map(|one| duration(one.interval_ms)),
            snapshot_keep: self.snapshots.as_ref().map(|one| one.keep),
            log_retention: self.snapshots.as_ref().and_then(|one| one.log_retention_ms.map(duration)),
            metrics_listen: self.metrics_listen,
            log: Some(self.log.clone()),
            log_format: Some(self.log_format.to_string()),
            kafka: self.kafka.as_ref().map(kafka::table),
        })?)
    }
}

/// Of the settings, given or not, of snapshots.
fn snapshots(
    place: Option<&String>,
    interval: Option<&String>,
    keep: Option<usize>,
    log_retention: Option<&String>,
) -> anyhow::Result<Option<SnapshotConfig>> {
    let Some(place) = place.cloned() else {
        let names = [
            ("snapshot_interval", interval.is_some()),
            ("snapshot_keep", keep.is_some()),
            ("log_retention", log_retention.is_some()),
        ];
        if let Some((name, _)) = names.into_iter().find(|(_, given)| *given) {
            bail!(
                "{name} is set without snapshots: give a place for them too, such as --snapshots /var/backups/receiptd"
            );
        }
        return Ok(None);
    };
    let interval_ms = duration_ms("snapshot_interval", interval, SNAPSHOT_INTERVAL_MS)?;
    let keep = keep.unwrap_or(SNAPSHOTS_KEPT);
    if keep == 0 {
        bail!("snapshot_keep is 0: it may be 1 or more");
    }
    let log_retention_ms = log_retention.map(|_| duration_ms("log_retention", log_retention, 0)).transpose()?;
    if log_retention_ms.is_some() && interval_ms == 0 {
        bail!("log_retention is set, and snapshot_interval is 0: the log is trimmed behind snapshots that are taken");
    }
    Ok(Some(SnapshotConfig { place, interval_ms, keep, log_retention_ms }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { data_dir: Some("/data".into()), ..Options::default() }
    }

    fn snapshots() -> Options {
        Options { snapshots: Some("/backups".into()), ..options() }
    }

    #[test]
    fn snapshots_have_defaults_once_they_have_a_place() {
        let of = |options: &Options| Config::from_options(options).unwrap().snapshots;
        assert_eq!(of(&options()), None);
        let place = "/backups".to_owned();
        let default = SnapshotConfig { place, interval_ms: 86_400_000, keep: 3, log_retention_ms: None };
        assert_eq!(of(&snapshots()), Some(default));
    }

    fn refusal(options: &Options) -> String {
        Config::from_options(options).map_or_else(|error| format!("{error:#}"), |config| format!("{config:?}"))
    }

    #[test]
    fn flags_stand_over_the_file_and_the_file_over_defaults() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "partitions = 8\nretention = \"2d\"\nearly_window = \"1h\"\n").unwrap();
        let options = Options {
            config: Some(file.path().into()),
            retention: Some("10s".into()),
            early_window: Some("10s".into()),
            ..options()
        };
        let config = Config::from_options(&options).unwrap();
        assert_eq!((config.partitions, config.fold.retention_ms), (Some(8), 10_000));
        assert_eq!(config.fold.max_group_members, 100_000);
        let printed = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(printed.path(), config.to_toml().unwrap()).unwrap();
        let again =
            Config::from_options(&Options { config: Some(printed.path().into()), ..Options::default() }).unwrap();
        assert_eq!(again.to_toml().unwrap(), config.to_toml().unwrap());
    }

    #[test]
    fn an_empty_data_dir_is_none() {
        let refused = refusal(&Options { data_dir: Some("".into()), ..Options::default() });
        assert_eq!(refused, "data_dir is empty: it is the directory that log and state are kept in");
    }

    #[test]
    fn s41_only_loopback_without_authentication() {
        let open = Options { listen: Some("0.0.0.0:50051".parse().unwrap()), ..options() };
        assert!(refusal(&open).starts_with("listen is 0.0.0.0:50051: without authentication"), "{}", refusal(&open));
        let local = Options { listen: Some("[::1]:1".parse().unwrap()), ..options() };
        assert!(Config::from_options(&local).is_ok());
    }

    #[test]
    fn each_refusal_names_the_setting_and_what_it_may_be() {
        let early = Options { retention: Some("1h".into()), early_window: Some("2h".into()), ..options() };
        let cases = [
            (Options::default(), "data_dir is not set"),
            (Options { partitions: Some(0), ..options() }, "partitions is 0: it may be 1 to 1024"),
            (Options { retention: Some("long".into()), ..options() }, "retention is \"long\": it is a duration"),
            (early, "early_window is 2h: it may be at most the retention, 1h"),
            (Options { max_group_members: Some(0), ..options() }, "max_group_members is 0"),
            (Options { log_format: Some("xml".into()), ..options() }, "log_format is \"xml\": it may be text or json"),
            (Options { block_cache_mib: Some(0), ..options() }, "block_cache_mib is 0"),
            (Options { batch_mib: Some(0), ..options() }, "batch_mib is 0: it may be 1 to 1048576"),
            (Options { log_retention: Some("7d".into()), ..options() }, "log_retention is set without snapshots"),
            (Options { snapshot_keep: Some(0), ..snapshots() }, "snapshot_keep is 0: it may be 1 or more"),
            (
                Options { log_retention: Some("7d".into()), snapshot_interval: Some("0s".into()), ..snapshots() },
                "log_retention is set, and snapshot_interval is 0",
            ),
            (
                Options { log_retention: Some("7d".into()), kafka: Some("a:1".into()), ..snapshots() },
                "log_retention is set, and the log is on Kafka",
            ),
        ];
        for (options, message) in cases {
            assert!(refusal(&options).starts_with(message), "{message}: {}", refusal(&options));
        }
        let forever = Options { retention: Some("0s".into()), ..options() };
        assert!(Config::from_options(&forever).is_ok(), "0 keeps for ever");
    }
}
