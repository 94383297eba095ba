//! What the properties over the fold share: folding histories in memory, and the fold's rows as the model's logical
//! state.

// These are helpers of tests: where they cannot go on, the test has failed.
#![allow(clippy::panic)]

pub mod in_memory;
pub mod logical;
pub mod runner;
