//! What can be set on the command line and in the environment. What is not set there is taken from the file.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

/// Answers who has, and who has not, read a message.
///
/// receiptd runs beside a chat backend. It keeps an embedded durable log and the state folded from it below one data
/// directory, and serves the gRPC API receipts.v1 (see the repository's proto directory), standard health and
/// reflection. With --kafka the log is on Apache Kafka instead, and only the state below the data directory; the topics
/// are made by `receiptctl topics create`. Without authentication it listens on loopback only.
///
/// Each setting is taken from its flag, else from its environment variable, else from the configuration file, else it
/// has its default; --print-config shows what comes of it. Durations are written like 30d, 24h, 90s.
///
/// SIGTERM and SIGINT end it well: calls in flight are answered, and the state is made durable. After a crash it comes
/// back by reading the end of its log again; nothing that was acknowledged is lost.
#[derive(Debug, Clone, Default, Parser)]
#[command(
    name = "receiptd",
    version,
    after_long_help = "Examples:\n  receiptd --data-dir /var/lib/receiptd --listen 127.0.0.1:50051\n  \
                       receiptd --data-dir /var/lib/receiptd --kafka 10.0.0.5:9092,10.0.0.6:9092\n\n\
                       librdkafka's settings, such as those for SASL and TLS, stand in the configuration file:\n  \
                       [kafka]\n  servers = \"kafka.example:9093\"\n  topic_prefix = \"chat.\"\n  \
                       security.protocol = \"SASL_SSL\""
)]
pub(crate) struct Options {
    /// Configuration file, in TOML: the long flags' names with underscores, such as `data_dir = "/var/lib/receiptd"`.
    #[arg(long, value_name = "FILE", env = "RECEIPTD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where log and state are kept; made where there is none. One receiptd at a time.
    #[arg(long, value_name = "DIR", env = "RECEIPTD_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Loopback address to serve gRPC on; port 0 takes a free one. [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDR", env = "RECEIPTD_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Brokers of the Kafka cluster that the log is on, HOST:PORT with commas between. [default: the embedded log]
    #[arg(long, value_name = "SERVERS", env = "RECEIPTD_KAFKA")]
    pub(crate) kafka: Option<String>,
    /// What the names of the topics on Kafka begin with, on a cluster that is shared.
    #[arg(long, value_name = "PREFIX", env = "RECEIPTD_TOPIC_PREFIX")]
    pub(crate) topic_prefix: Option<String>,
    /// Partitions of the log, 1 to 1024; fixed once the log is created. On Kafka the topics have their number, and another
    /// one here is refused. [default: 4]
    #[arg(long, value_name = "N", env = "RECEIPTD_PARTITIONS")]
    pub(crate) partitions: Option<u32>,
    /// How long messages and their receipts are kept, by log time; 0s: for ever. Fixed once a store is created.
    /// [default: 30d]
    #[arg(long, value_name = "DURATION", env = "RECEIPTD_RETENTION")]
    pub(crate) retention: Option<String>,
    /// How long before its message a read may arrive; at most the retention. Fixed once a store is created.
    /// [default: 24h, or the retention where that is shorter]
    #[arg(long, value_name = "DURATION", env = "RECEIPTD_EARLY_WINDOW")]
    pub(crate) early_window: Option<String>,
    /// Members of a group at a time, at most. Fixed once a store is created. [default: 100000]
    #[arg(long, value_name = "N", env = "RECEIPTD_MAX_GROUP_MEMBERS")]
    pub(crate) max_group_members: Option<u32>,
    /// Memory for blocks of the state's files, in MiB. [default: 256]
    #[arg(long, value_name = "MIB", env = "RECEIPTD_BLOCK_CACHE_MIB")]
    pub(crate) block_cache_mib: Option<usize>,
    /// Memory for state that is not yet in files, in MiB. [default: 256]
    #[arg(long, value_name = "MIB", env = "RECEIPTD_WRITE_BUFFER_MIB")]
    pub(crate) write_buffer_mib: Option<usize>,
    /// Memory for what is being folded, in MiB: each partition of receipts and each of inboxes has an equal part of it, at
    /// least 1 MiB, at which it writes a batch. A record that needs more by itself gets it. [default: 256]
    #[arg(long, value_name = "MIB", env = "RECEIPTD_BATCH_MIB")]
    pub(crate) batch_mib: Option<usize>,
    /// Streams of one user at a time, at most. [default: 100]
    #[arg(long, value_name = "N", env = "RECEIPTD_MAX_STREAMS_PER_USER")]
    pub(crate) max_streams_per_user: Option<usize>,
    /// Streams in all at a time, at most. [default: 100000]
    #[arg(long, value_name = "N", env = "RECEIPTD_MAX_STREAMS")]
    pub(crate) max_streams: Option<usize>,
    /// Connections at a time, at most; fewer where the limit of open files allows no more, which is raised as far as it may be.
    /// One too many is closed at once. [default: 20000]
    #[arg(long, value_name = "N", env = "RECEIPTD_MAX_CONNECTIONS")]
    pub(crate) max_connections: Option<u64>,
    /// What is kept free of the disk that the embedded log is on, in MiB, or a tenth of the disk where that is less: below
    /// that, writes are refused until there is room again, and queries and streams go on. 0: nothing. [default: 512]
    #[arg(long, value_name = "MIB", env = "RECEIPTD_DISK_RESERVE_MIB")]
    pub(crate) disk_reserve_mib: Option<u64>,
    /// Memory for requests from their first byte until they are answered, in MiB, at least 8; one connection may have an
    /// eighth of it. Who finds none within a second is answered RESOURCE_EXHAUSTED. [default: 256]
    #[arg(long, value_name = "MIB", env = "RECEIPTD_REQUEST_MEMORY_MIB")]
    pub(crate) request_memory_mib: Option<usize>,
    /// How long a request may take to come in whole. [default: 30s]
    #[arg(long, value_name = "DURATION", env = "RECEIPTD_REQUEST_TIMEOUT")]
    pub(crate) request_timeout: Option<String>,
    /// Calls at a time that read the state, at most; one too many is answered RESOURCE_EXHAUSTED. [default: 512]
    #[arg(long, value_name = "N", env = "RECEIPTD_MAX_READS")]
    pub(crate) max_reads: Option<usize>,
    /// Calls at a time that append to the log, likewise. [default: 4096]
    #[arg(long, value_name = "N", env = "RECEIPTD_MAX_APPENDS")]
    pub(crate) max_appends: Option<usize>,
    /// Calls at a time that wait until the state has what they name, likewise. [default: 10000]
    #[arg(long, value_name = "N", env = "RECEIPTD_MAX_WAITS")]
    pub(crate) max_waits: Option<usize>,
    /// Where snapshots of the state, and of the embedded log, are kept: a folder, file:///FOLDER, or s3://BUCKET/PREFIX with
    /// the AWS_* environment variables. Without it none are taken.
    #[arg(long, value_name = "PLACE", env = "RECEIPTD_SNAPSHOTS")]
    pub(crate) snapshots: Option<String>,
    /// How often snapshots are taken, counted from the newest one in the place; 0s: only by `receiptctl snapshot create`. [default: 24h]
    #[arg(long, value_name = "DURATION", env = "RECEIPTD_SNAPSHOT_INTERVAL")]
    pub(crate) snapshot_interval: Option<String>,
    /// How many snapshots stay of each partition, and of the embedded log. [default: 3]
    #[arg(long, value_name = "N", env = "RECEIPTD_SNAPSHOT_KEEP")]
    pub(crate) snapshot_keep: Option<usize>,
    /// Trim the embedded log: what is older goes after each round of snapshots, where it is behind the oldest one that is
    /// whole. [default: nothing goes]
    #[arg(long, value_name = "DURATION", env = "RECEIPTD_LOG_RETENTION")]
    pub(crate) log_retention: Option<String>,
    /// Loopback address to serve Prometheus metrics on; none without it.
    #[arg(long, value_name = "ADDR", env = "RECEIPTD_METRICS_LISTEN")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// What is logged, as targets and levels: `info`, `warn,receipt_projector=debug`. [default: info]
    #[arg(long, value_name = "FILTER", env = "RECEIPTD_LOG")]
    pub(crate) log: Option<String>,
    /// How it is logged, to standard error: `text` or `json`. [default: text]
    #[arg(long, value_name = "FORMAT", env = "RECEIPTD_LOG_FORMAT")]
    pub(crate) log_format: Option<String>,
    /// The clock is right, although it stands further past the log's last record than the log would take it to be:
    /// what has expired meanwhile may go.
    #[arg(long)]
    pub(crate) accept_clock_jump: bool,
    /// Print the settings that would be in force, as a configuration file, and stop.
    #[arg(long)]
    pub(crate) print_config: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With all their flags, as a document says them.
    #[test]
    fn documented_commands_are_command_lines() {
        for document in ["operations.md", "operators.md"] {
            let path = format!("{}/../../docs/{document}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            let blocks = text.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
            let commands = blocks.flat_map(str::lines).filter(|line| line.starts_with("receiptd "));
            let commands: Vec<_> = commands.map(|line| line.split(['#', '|']).next().unwrap_or(line)).collect();
            assert!(!commands.is_empty(), "{document} has none");
            for command in commands {
                let parsed = Options::try_parse_from(command.split_whitespace());
                let is_version = |error: &clap::Error| error.kind() == clap::error::ErrorKind::DisplayVersion;
                assert!(parsed.as_ref().err().is_none_or(is_version), "{document}: {command}: {parsed:?}");
            }
        }
    }
}
