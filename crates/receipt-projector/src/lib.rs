//! The machine that folds the log into state: poll a batch, decode, load what it touches, decide, append what follows
//! from it, write. One thread a partition.

mod append;
mod data_dir;
mod dead_letter;
mod decode;
mod deltas;
mod error;
mod feed;
mod folding;
mod machine;
mod partition;
mod projector;
mod replay;
mod swap;
mod verdicts;
mod worker;

pub use data_dir::{DataDir, DataDirError};
pub use dead_letter::{DeadLetter, Part, Source};
pub use error::ProjectorError;
pub use machine::Machine;
pub use partition::{Offsets, Partition, Phase, Unserved};
pub use projector::{Options, Projector, identity};
pub use replay::{Replay, aside};
pub use swap::{discard, make_live, settle, take_back};
pub use verdicts::Verdict;
pub use worker::{Idle, Projection, spawn};
