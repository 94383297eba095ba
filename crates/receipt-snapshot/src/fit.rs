//! Whether a snapshot can be used with a log.

use std::fmt;

use crate::{Manifest, SnapshotError};

/// From which offset to which a log has a partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first one that is there.
    pub start: u64,
    /// The next to be given out.
    pub end: u64,
}

/// A log that is there.
pub struct LogBounds<'a> {
    /// Its identity.
    pub log_id: String,
    /// What it is, for people.
    pub origin: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// What it has of a partition of a topic.
    pub bounds: &'a dyn Fn(&str, u32) -> Option<Bounds>,
}

/// Why a snapshot of a store does not fit a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// It is another log's.
    OtherLog(String),
    /// It is further than the log.
    Ahead(String),
    /// The log does not go back so far any more.
    Behind(String),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherLog(why) | Self::Ahead(why) | Self::Behind(why) => f.write_str(why),
        }
    }
}

impl From<Misfit> for SnapshotError {
    fn from(misfit: Misfit) -> Self {
        Self::Refused(misfit.to_string())
    }
}

impl Manifest {
    /// Whether a store that is restored from this can be folded on from the log.
    ///
    /// # Errors
    /// Why it can't, and what to do.
    pub fn fits(&self, log: &LogBounds<'_>) -> Result<(), Misfit> {
        let facts = &self.facts;
        let name = format!("the snapshot {}/{}/{}", facts.log_id, facts.unit, facts.name());
        if facts.log_id != log.log_id || facts.partitions != log.partitions {
            return Err(Misfit::OtherLog(format!(
                "{name} is of {} with {} partitions, and the log is {} with {}: take one of that log, or give the log \
                 that it is of",
                facts.origin, facts.partitions, log.origin, log.partitions
            )));
        }
        for at in &facts.positions {
            let Some(Bounds { start, end }) = (log.bounds)(&at.topic, at.partition) else {
                return Err(Misfit::OtherLog(format!("{name}: the log has no {}/{}", at.topic, at.partition)));
            };
            let place = format!("{}/{}", at.topic, at.partition);
            if at.offset > end {
                return Err(Misfit::Ahead(format!(
                    "{name} is at offset {} of {place}, and the log ends at {end}: the log has lost records, or was not \
                     restored whole; take an older snapshot",
                    at.offset
                )));
            }
            if at.offset < start {
                return Err(Misfit::Behind(format!(
                    "{name} is at offset {} of {place}, and the log begins at {start}: it has been trimmed past it; take \
                     a newer snapshot",
                    at.offset
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, Position, Unit};

    fn misfit(log_id: &str, start: u64, end: u64) -> Option<Misfit> {
        let at = Position { topic: "receipts.deltas".to_owned(), partition: 1, start: 0, offset: 50 };
        let (unit, origin) = (Unit::Inboxes(1), "log one".to_owned());
        let facts = Facts {
            log_id: "one".to_owned(),
            origin,
            unit,
            partitions: 2,
            positions: vec![at],
            log_time_ms: 0,
            settings: None,
        };
        let manifest = Manifest { facts, created_at_ms: 0, files: Vec::new() };
        let bounds =
            |topic: &str, partition| (topic == "receipts.deltas" && partition == 1).then_some(Bounds { start, end });
        let (log_id, origin) = (log_id.to_owned(), "the log".to_owned());
        manifest.fits(&LogBounds { log_id, origin, partitions: 2, bounds: &bounds }).err()
    }

    #[test]
    fn a_snapshot_fits_where_the_log_has_what_comes_next() {
        assert_eq!(misfit("one", 0, 50), None);
        assert_eq!(misfit("one", 50, 50), None);
        assert!(matches!(misfit("one", 51, 60), Some(Misfit::Behind(why)) if why.contains("begins at 51")));
        assert!(matches!(misfit("one", 0, 49), Some(Misfit::Ahead(why)) if why.contains("ends at 49")));
        assert!(matches!(misfit("two", 0, 50), Some(Misfit::OtherLog(why)) if why.contains("is of log one")));
    }
}
