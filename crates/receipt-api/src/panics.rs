//! A call that panics is answered all the same: INTERNAL, reason PANICKED (R7).

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use receipt_projector::panic_message;
use tokio::task::JoinError;
use tonic::Status;

use crate::error;

/// What a call answers, or the error where it panics.
pub(crate) async fn caught<T>(call: impl Future<Output = T>) -> Result<T, Status> {
    AssertUnwindSafe(call).catch_unwind().await.map_err(|payload| error::panicked(panic_message(&*payload)))
}

/// The error of a task that did not return: it panicked, or the server has stopped.
pub(crate) fn joined(why: JoinError) -> Status {
    match why.try_into_panic() {
        Ok(payload) => error::panicked(panic_message(&*payload)),
        Err(_) => error::stopped().into(),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::api::blocking;

    fn is_the_answer_to_a_panic(status: &Status) {
        assert_eq!(status.code(), Code::Internal);
        let details = status.get_error_details();
        assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some("PANICKED"));
        assert!(!status.message().contains("on purpose"), "{status}");
    }

    #[tokio::test]
    async fn r7_a_call_that_panics_is_answered() {
        let panics = blocking(|| -> Result<(), Status> { panic!("on purpose") }).await;
        is_the_answer_to_a_panic(&panics.unwrap_err());
        let panics = caught(async { panic!("on purpose") }).await;
        is_the_answer_to_a_panic(&panics.map(|(): ()| ()).unwrap_err());
        let panicked = tokio::spawn(async { panic!("on purpose") }).await;
        is_the_answer_to_a_panic(&joined(panicked.map(|(): ()| ()).unwrap_err()));
    }

    #[tokio::test]
    async fn r7_what_does_not_panic_is_as_it_is() {
        assert_eq!(blocking(|| Ok(7)).await.unwrap(), 7);
        assert_eq!(caught(async { 8 }).await.unwrap(), 8);
        let cancelled = tokio::spawn(std::future::pending::<()>());
        cancelled.abort();
        assert_eq!(joined(cancelled.await.unwrap_err()).code(), Code::Unavailable);
    }
}
