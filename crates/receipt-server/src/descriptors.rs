//! File descriptors: how many there may be, and what they are for. Stores and connections share them, and whoever finds none
//! fails; so all that may be open is kept below the limit from the start.

use anyhow::bail;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The embedded log's files, at most 512, and those of a snapshot, of a rebuild, and what is open but for a moment.
const RESERVE: u64 = 640;
/// Of a store, beside its tables: its lock, its manifest, its own log and the like.
const STORE: u64 = 8;
/// Tables that each store may have open: at least, and more where there is room.
const TABLES_MIN: u64 = 24;
const TABLES_MAX: u64 = 4_096;
/// Connections, at least.
const CONNECTIONS_MIN: u64 = 64;

/// What descriptors are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Tables that each store may have open.
    pub(crate) tables: u64,
    /// Connections of the gRPC listener.
    pub(crate) connections: u64,
}

/// Raises the process's soft limit to the hard one, and tells that.
pub(crate) fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
        return current.unwrap_or(u64::MAX);
    }
    maximum.unwrap_or(u64::MAX)
}

/// Divides a limit among stores and as many connections as are asked for.
///
/// # Errors
/// If there are too few for all to work.
pub(crate) fn plan(limit: u64, partitions: u32, connections: u64) -> anyhow::Result<Plan> {
    // Of receipts, and of inboxes.
    let stores = 2 * u64::from(partitions);
    let least = RESERVE + stores * (STORE + TABLES_MIN) + CONNECTIONS_MIN;
    if limit < least {
        bail!(
            "the process may have {limit} files open, and {partitions} partitions need {least}: raise the hard limit of \
             open files (`ulimit -Hn`, LimitNOFILE= in systemd, --ulimit nofile= of a container)"
        );
    }
    let connections = connections.min(limit - RESERVE - stores * (STORE + TABLES_MIN));
    let tables = (limit - RESERVE - connections) / stores - STORE;
    Ok(Plan { tables: tables.min(TABLES_MAX), connections })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_may_be_open_is_below_the_limit() {
        for limit in [960, 1_024, 4_096, 65_536, 524_288, 1 << 20, u64::MAX] {
            for partitions in [1, 4] {
                let Plan { tables, connections } = plan(limit, partitions, 20_000).unwrap();
                let open = RESERVE + 2 * u64::from(partitions) * (STORE + tables) + connections;
                assert!(open <= limit, "{open} of {limit}");
                assert!((CONNECTIONS_MIN..=20_000).contains(&connections), "{connections}");
                assert!((TABLES_MIN..=TABLES_MAX).contains(&tables), "{tables}");
            }
        }
        assert_eq!(plan(1 << 20, 4, 20_000).unwrap(), Plan { tables: TABLES_MAX, connections: 20_000 });
    }

    #[test]
    fn too_few_are_refused_with_what_to_do() {
        let refused = plan(512, 4, 20_000).unwrap_err().to_string();
        assert!(refused.contains("may have 512 files open, and 4 partitions need 960"), "{refused}");
        assert!(plan(65_536, 1_024, 20_000).is_err());
        assert!(plan(131_072, 1_024, 20_000).is_ok());
    }
}
