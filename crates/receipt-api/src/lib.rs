//! The gRPC services: every call of `receipts.v1`, health and reflection.
//!
//! A call checks the shape of its request, appends to the log or asks the state of one moment, and answers. What depends
//! on state is the fold's business; why a call failed is told in one way, by `error`.

mod admin;
mod api;
mod as_of;
mod bodies;
mod calls;
mod connections;
mod conversation_state;
mod convert;
mod counts;
mod dead_letter_pages;
mod dead_letters;
mod deadline;
mod edge;
mod entries;
mod error;
mod health;
mod members;
mod message;
mod panics;
mod publish;
mod read_log;
mod receipts;
mod replays;
mod serve;
mod service;
mod snapshots;
mod states;
mod streams;
mod subscribe;
mod token;
mod told;

pub use as_of::{AsOf, AsOfError};
pub use bodies::BodyLimits;
pub use calls::CallLimits;
pub use connections::{Connection, ConnectionInfo, Connections};
pub use serve::{Context, ServeError, serve};
pub use snapshots::{SnapshotOptions, Snapshots, SnapshotsError, Taking};
pub use streams::StreamLimits;
