//! What the integration tests share.

// These are helpers of tests: where they cannot go on, the test has failed.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

pub mod broker;
pub mod ctl;
pub mod dataset_model;
pub mod digests;
pub mod dir;
pub mod document;
pub mod events;
pub mod feed;
pub mod files;
pub mod language;
pub mod object_store;
pub mod pages;
pub mod poll;
pub mod port;
pub mod program;
pub mod random;
pub mod scenario;
pub mod server;
pub mod session;
pub mod small_disk;
pub mod tool;
pub mod topics;
pub mod walk;
pub mod whole;
