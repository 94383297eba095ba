//! The services over the wire, with a real log and real stores.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admin;
mod dead_letters;
mod events;
mod harness;
mod inputs;
mod leaves;
mod outside;
mod pages;
mod partitions;
mod queries;
mod read_log;
mod reads;
mod replays;
mod streams;
mod tokens;
