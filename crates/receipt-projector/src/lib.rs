//! The machine that folds the log into state: poll a batch, decode, load what it touches, decide, append what follows
//! from it, write. One thread a partition.

mod append;
mod aside;
mod data_dir;
mod dead_letter;
pub mod decode;
mod deltas;
mod error;
pub mod facts;
mod feed;
mod folding;
mod machine;
mod moment;
mod oldest;
mod panics;
mod partition;
mod past;
mod projector;
mod replay;
mod requests;
mod seed;
mod side_by_side;
mod swap;
mod sweeper;
mod trim;
mod verdicts;
mod verified;
mod worker;

pub use aside::{Aside, Snapshots};
pub use data_dir::{DataDir, DataDirError};
pub use dead_letter::{DeadLetter, Part, Source};
pub use error::ProjectorError;
pub use moment::{Moment, Reached};
pub use panics::panic_message;
pub use partition::{Offsets, Partition, Phase, Unserved};
pub use past::{Past, PastOptions, PastStep};
pub use projector::{Options, Projector, identity};
pub use replay::{Replay, aside, check_follows};
pub use requests::{Done, Requests, answer};
pub use seed::{Begun, Bootstrap, NotBegun, Prefer, offsets_of};
pub use side_by_side::side_by_side;
pub use swap::{discard, make_live, settle, take_back};
pub use trim::{Durables, Trim, TrimError, TrimLimits, apply as trim, plan as plan_trim};
pub use verdicts::Verdict;
pub use verified::Verified;
pub use worker::{Idle, Projection, spawn};
