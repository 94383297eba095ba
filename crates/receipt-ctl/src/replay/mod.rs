//! Folds a stopped receiptd's log anew, aside of its state: to compare the two, or to put the new one in its place.

mod rebuild;
mod settings;
mod site;
mod verify;

use receipt_projector::ProjectorError;

pub(crate) use self::{
    rebuild::{Rebuilt, rebuild},
    settings::Changes,
    site::Site,
    verify::{Outcome, Verified, verify},
};

/// Why a command ended before its time.
const STOPPED: &str = "stopped; the same command goes on from here";

/// For people: that it was stopped is no fault of the log or the store.
fn told(error: ProjectorError) -> anyhow::Error {
    match error {
        ProjectorError::Stopped => anyhow::anyhow!(STOPPED),
        other => other.into(),
    }
}
