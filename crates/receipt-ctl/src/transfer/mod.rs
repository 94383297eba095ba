//! Records of a log into a file, and from a file into a log.

mod export;
mod import;
pub(crate) mod left_out;
mod part;

pub(crate) use self::{
    export::{Exported, Request, export, export_to_stdout},
    import::{Checked, Imported, Taken, check, import},
    left_out::LeftOut,
};
