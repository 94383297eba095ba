//! What receiptd is about: ids, limits, events, and the pure fold. No I/O, no clock, no randomness, no hash order.

pub mod event;
pub mod id;
pub mod limits;
pub mod settings;
