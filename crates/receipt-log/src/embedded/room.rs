//! The room on the log's disk. Where it ends, a write fails half done, and then nobody knows what the disk has: so appends
//! are refused before that, while there is still room for what brings the state up to date, and for a start.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::LogError;

/// What is to stay free.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// 0: nothing.
    reserve_bytes: AtomicU64,
}

/// Why appends are refused; `None`: they are taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refuses {
    /// Those of callers.
    pub(super) callers: Option<LogError>,
    /// What follows from folding what callers have appended: most of the reserve is for that.
    pub(super) folding: Option<LogError>,
}

impl Room {
    pub(super) fn keep_free(&self, bytes: u64) {
        self.reserve_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whose appends are refused with so much free. Once callers were refused they are taken again only with an eighth more,
    /// so that it does not come and go with each compaction.
    pub(super) fn refuses(&self, free_bytes: u64, refused: bool) -> Refuses {
        let reserve_bytes = self.reserve_bytes.load(Ordering::Relaxed);
        let wanted = if refused { reserve_bytes.saturating_add(reserve_bytes / 8) } else { reserve_bytes };
        let below = |wanted| (free_bytes < wanted).then_some(LogError::DiskFull { free_bytes, reserve_bytes });
        Refuses { callers: below(wanted), folding: below(reserve_bytes / 8) }
    }
}

/// Bytes that this process may still write to the disk that a directory is on; `None`: the system does not say.
pub(super) fn free_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes of the disk that a directory is on; `None`: the system does not say.
pub(super) fn total_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_blocks.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_are_refused_below_the_reserve_and_taken_again_with_an_eighth_more() {
        let room = Room::default();
        assert_eq!(room.refuses(0, false), Refuses::default(), "nothing is kept free");
        room.keep_free(800);
        for (free, refused, callers, folding) in [
            (800, false, false, false),
            (799, false, true, false),
            (899, true, true, false),
            (900, true, false, false),
            (100, true, true, false),
            (99, false, true, true),
        ] {
            let refuses = room.refuses(free, refused);
            let refuses = (refuses.callers.is_some(), refuses.folding.is_some());
            assert_eq!(refuses, (callers, folding), "{free}, {refused}");
        }
    }
}
