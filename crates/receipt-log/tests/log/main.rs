//! The log through its public interface: `append` and `read` on either engine, the rest of the embedded one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed; clippy knows that of test functions only")]

mod append;
mod arrival;
mod damage;
mod kill;
mod open;
mod read;
mod support;
