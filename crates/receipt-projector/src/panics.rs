//! Panics on a partition's thread are caught there, so that whoever waits for that partition gets an answer (R7).

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use metrics::counter;

use crate::error::ProjectorError;

/// Runs a part of a partition's work. A panic is counted and becomes [`ProjectorError::Panicked`]: the caller must seal the partition
/// with it and drop what the work may have left half changed.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, ProjectorError>) -> Result<T, ProjectorError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        counter!("receiptd_panics_total", "thread" => thread).increment(1);
        Err(ProjectorError::Panicked(panic_message(&*payload).to_owned()))
    })
}

/// The message of a panic, from what was caught of it.
#[must_use]
pub fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}
