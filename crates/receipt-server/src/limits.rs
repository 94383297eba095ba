//! The bounds of what clients can make receiptd hold.

use std::time::Duration;

use anyhow::bail;
use receipt_api::{BodyLimits, CallLimits, StreamLimits};

use crate::durations::duration_ms;

const MIB: usize = 1 << 20;
/// Memory for requests: one connection has an eighth of it, in which the largest request has to find room.
const REQUEST_MEMORY_MIN_MIB: usize = 8;
const REQUEST_MEMORY_MAX_MIB: usize = 1 << 20;

/// What is set; the rest has its default.
pub(crate) struct Given<'a> {
    pub(crate) max_streams_per_user: Option<usize>,
    pub(crate) max_streams: Option<usize>,
    pub(crate) max_connections: Option<u64>,
    pub(crate) request_memory_mib: Option<usize>,
    pub(crate) request_timeout: Option<&'a String>,
    pub(crate) max_reads: Option<usize>,
    pub(crate) max_appends: Option<usize>,
    pub(crate) max_waits: Option<usize>,
}

/// The bounds in force.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) streams: StreamLimits,
    pub(crate) bodies: BodyLimits,
    pub(crate) calls: CallLimits,
    /// Fewer where the limit of open files allows no more.
    pub(crate) connections: u64,
}

impl Limits {
    /// Of what is set, checked.
    ///
    /// # Errors
    /// Names the setting that can't be, and what it may be.
    pub(crate) fn new(given: &Given<'_>) -> anyhow::Result<Self> {
        let (streams, bodies, calls) = (StreamLimits::default(), BodyLimits::default(), CallLimits::default());
        let default_ms = u64::try_from(bodies.time.as_millis()).unwrap_or(u64::MAX);
        let timeout_ms = duration_ms("request_timeout", given.request_timeout, default_ms)?;
        if timeout_ms == 0 {
            bail!("request_timeout is 0s: it may be 1ms or more");
        }
        let memory_mib = given.request_memory_mib.unwrap_or(bodies.bytes / MIB);
        if !(REQUEST_MEMORY_MIN_MIB..=REQUEST_MEMORY_MAX_MIB).contains(&memory_mib) {
            bail!("request_memory_mib is {memory_mib}: it may be {REQUEST_MEMORY_MIN_MIB} to {REQUEST_MEMORY_MAX_MIB}");
        }
        let counts = [
            ("max_reads", given.max_reads, calls.reads),
            ("max_appends", given.max_appends, calls.appends),
            ("max_waits", given.max_waits, calls.waits),
        ];
        if let Some((name, ..)) = counts.iter().find(|(_, given, _)| *given == Some(0)) {
            bail!("{name} is 0: it may be 1 or more");
        }
        let [reads, appends, waits] = counts.map(|(_, given, default)| given.unwrap_or(default));
        let connections = given.max_connections.unwrap_or(20_000);
        if connections == 0 {
            bail!("max_connections is 0: it may be 1 or more");
        }
        Ok(Self {
            streams: StreamLimits {
                a_user: given.max_streams_per_user.unwrap_or(streams.a_user),
                in_all: given.max_streams.unwrap_or(streams.in_all),
            },
            bodies: BodyLimits { bytes: memory_mib * MIB, time: Duration::from_millis(timeout_ms) },
            calls: CallLimits { reads, appends, waits },
            connections,
        })
    }

    /// Memory for requests in MiB.
    pub(crate) fn request_memory_mib(&self) -> usize {
        self.bodies.bytes / MIB
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing<'a>() -> Given<'a> {
        Given {
            max_streams_per_user: None,
            max_streams: None,
            max_connections: None,
            request_memory_mib: None,
            request_timeout: None,
            max_reads: None,
            max_appends: None,
            max_waits: None,
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_may() {
        let zero = "0s".to_owned();
        let table = [
            (Given { request_memory_mib: Some(7), ..nothing() }, "request_memory_mib is 7: it may be 8 to 1048576"),
            (Given { request_timeout: Some(&zero), ..nothing() }, "request_timeout is 0s: it may be 1ms or more"),
            (Given { max_connections: Some(0), ..nothing() }, "max_connections is 0: it may be 1 or more"),
            (Given { max_reads: Some(0), ..nothing() }, "max_reads is 0: it may be 1 or more"),
            (Given { max_appends: Some(0), ..nothing() }, "max_appends is 0: it may be 1 or more"),
            (Given { max_waits: Some(0), ..nothing() }, "max_waits is 0: it may be 1 or more"),
        ];
        for (given, refused) in table {
            assert_eq!(Limits::new(&given).unwrap_err().to_string(), refused);
        }
        let limits = Limits::new(&nothing()).unwrap();
        assert_eq!((limits.connections, limits.request_memory_mib(), limits.calls.reads), (20_000, 256, 512));
    }
}
