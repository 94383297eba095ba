//! What the properties over the fold share: folding histories in memory, and the fold's rows as the model's logical
//! state.

pub mod in_memory;
pub mod logical;
pub mod runner;
