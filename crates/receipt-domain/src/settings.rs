//! The settings that change what the log means. They are written into a store when it is created.

use serde::{Deserialize, Serialize};

/// Settings of the fold; a store keeps those it was created with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How long a message is kept by log time, in milliseconds; 0: for ever (S30).
    pub retention_ms: u64,
    /// How long before its message a read may arrive, in milliseconds; at most the retention, where that is not 0 (S16).
    pub early_window_ms: u64,
    /// Members of a group at a time, at most (S9).
    pub max_group_members: u32,
}

impl Default for Settings {
    fn default() -> Self {
        const HOUR_MS: u64 = 3_600_000;
        Self { retention_ms: 30 * 24 * HOUR_MS, early_window_ms: 24 * HOUR_MS, max_group_members: 100_000 }
    }
}
