//! End to end: the real receiptd and receiptctl as processes, asked over gRPC.

// All of this is tests: where they cannot go on, they have failed.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

mod ahead;
mod as_of;
mod as_of_trimmed;
mod compare;
mod conversations;
mod ctl_session;
mod dead_letters;
mod disk_full;
mod expiry;
mod headers;
mod import;
mod inspect;
mod inspect_trimmed;
mod kills;
mod large_group;
mod lifecycle;
mod limits;
mod lists;
mod log_file;
mod memory;
mod operations;
mod replay;
mod senders;
mod snapshot;
mod snapshot_damaged;
mod snapshot_live;
mod told;
mod until_damage;
