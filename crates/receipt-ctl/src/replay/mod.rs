//! A log is folded anew, aside of its state: to compare the two, or to put the new one in its place. Of a stopped receiptd
//! it is done here; a live one does it itself.

mod live;
mod rebuild;
mod settings;
mod site;
mod verify;

use receipt_projector::ProjectorError;

use crate::told::STOPPED;

pub(crate) use self::{
    live::{rebuild_live, verify_live},
    rebuild::rebuild,
    settings::Changes,
    site::Site,
    verify::verify,
};

/// For people: that it was stopped is no fault of the log or the store.
fn told(error: ProjectorError) -> anyhow::Error {
    match error {
        ProjectorError::Stopped => anyhow::anyhow!(STOPPED),
        other => other.into(),
    }
}
