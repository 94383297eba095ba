//! Records of a log into a file, and from a file into a log.

mod export;
mod import;
mod part;

pub(crate) use self::{
    export::{Exported, Request, export, export_to_stdout},
    import::{Checked, Imported, Taken, check, import},
};
