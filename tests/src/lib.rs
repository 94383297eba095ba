//! What the integration tests share.

// These are helpers of tests: where they cannot go on, the test has failed.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

pub mod ctl;
pub mod dataset_model;
pub mod dir;
pub mod feed;
pub mod pages;
pub mod poll;
pub mod port;
pub mod random;
pub mod scenario;
pub mod server;
pub mod walk;
pub mod whole;
