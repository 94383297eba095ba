//! What receiptd is about: ids, limits, events, and the pure fold. No I/O, no clock, no randomness, no hash order.

pub mod answer;
pub mod audience;
pub mod effects;
pub mod event;
pub mod fold;
pub mod id;
pub mod inbox;
pub mod limits;
pub mod memory;
pub mod outcome;
pub mod readers;
pub mod receipt;
pub mod rule;
pub mod settings;
pub mod state;
pub mod table;
pub mod time;
pub mod working_set;
