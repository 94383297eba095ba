//! Crashes, cuts and slow clients: the real receiptd as a process, under load, against an oracle.

// All of this is tests: where they cannot go on, they have failed.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]
// The oracle is compared while the load rests, so nobody waits for its lock.
#![allow(clippy::await_holding_lock)]

mod busy;
mod client;
mod coalesce;
mod compare;
mod ear;
mod expected;
mod heard;
mod kills;
mod load;
mod oracle;
mod proxy;
mod rebuilds;
mod resume;
mod site;
mod slow;

/// Who measures has the machine alone, all others share it.
static MACHINE: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());
