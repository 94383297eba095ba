//! Questions about the past: what the query calls would have answered at a moment.

mod ask;
mod stream;

pub use self::ask::{AsOf, AsOfError};
pub(crate) use self::stream::{Asking, ask};
