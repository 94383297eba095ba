//! A real Kafka: the broker that tests have, and what producers in other languages write to it.

// All of this is tests: where they cannot go on, they have failed.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

mod away;
mod broker;
mod copy;
mod missing;
mod oversized;
mod producers;
mod seals;
mod site;
mod start;
mod transactions;
mod truncated;
