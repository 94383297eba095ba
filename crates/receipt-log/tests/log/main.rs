//! The log through its public interface.

mod append;
mod arrival;
mod damage;
mod kill;
mod open;
mod read;
mod support;
