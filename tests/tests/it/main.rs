//! receiptd's parts together.

// These are tests: where they cannot go on, they have failed.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation)]

mod every_bit;
mod inbox;
mod layers;
mod past;
mod pieces;
mod projector;
mod reused_ids;
mod seals;
mod snapshot;
mod store_altered;
mod store_compare;
mod store_convergence;
mod store_damage;
mod store_digest;
mod store_expiry;
mod store_large_group;
mod store_queries;
mod store_refusals;
mod store_time_index;
mod story;
mod subscription;
mod trim;
