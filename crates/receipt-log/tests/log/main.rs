//! The log through its public interface.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed; clippy knows that of test functions only")]

mod append;
mod arrival;
mod damage;
mod kill;
mod open;
mod read;
mod support;
