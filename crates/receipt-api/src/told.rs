//! Calls of operators that take long: they stream how far they are, and end when nobody listens.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use futures_util::Stream;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use crate::api::{Api, blocking};

/// Responses that wait for a client.
const WAITING_MAX: usize = 16;
/// How often it is told how far a call is.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// The responses of one call.
pub(crate) type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Tells a client what becomes of its call.
pub(crate) struct Teller<T> {
    responses: mpsc::Sender<Result<T, Status>>,
    /// Turns true when the client is gone, or the server is to stop.
    pub(crate) stopped: watch::Receiver<bool>,
}

impl<T> Teller<T> {
    /// `false`: nobody listens.
    pub(crate) fn tell(&self, response: T) -> bool {
        self.responses.blocking_send(Ok(response)).is_ok()
    }

    /// Tells how far it is, but not too often, and not to a client that does not read; it says whether to go on.
    pub(crate) fn now_and_then(&self) -> impl FnMut(&dyn Fn() -> T) -> bool {
        let mut told: Option<Instant> = None;
        move |response| {
            if told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) {
                told = Some(Instant::now());
                drop(self.responses.try_send(Ok(response())));
            }
            !*self.stopped.borrow()
        }
    }
}

/// Runs it on a thread that may wait, until it is done, its client is gone, or the server is to stop.
pub(crate) fn stream<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&Teller<T>) -> Result<(), Status> + Send + 'static,
) -> Response<Responses<T>> {
    let (told, responses) = mpsc::channel(WAITING_MAX);
    let (stop, stopped) = watch::channel(false);
    let (listener, mut stopping) = (told.clone(), api.stopping());
    tokio::spawn(async move {
        tokio::select! {
            () = listener.closed() => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
            // It has ended.
            () = stop.closed() => return,
        }
        stop.send_replace(true);
    });
    tokio::spawn(run(told, stopped, work));
    Response::new(Box::pin(ReceiverStream::new(responses)))
}

/// Runs it on a thread that may wait. Its error is the last response, also where it panicked.
async fn run<T: Send + 'static>(
    responses: mpsc::Sender<Result<T, Status>>,
    stopped: watch::Receiver<bool>,
    work: impl FnOnce(&Teller<T>) -> Result<(), Status> + Send + 'static,
) {
    let teller = Teller { responses: responses.clone(), stopped };
    if let Err(why) = blocking(move || work(&teller)).await {
        let _ = responses.send(Err(why)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn r7_a_call_that_panics_ends_with_an_error_and_not_as_if_it_were_done() {
        let (responses, mut told) = mpsc::channel(1);
        let (_stop, stopped) = watch::channel(false);
        tokio::spawn(run(responses, stopped, |teller| {
            teller.tell(7);
            panic!("on purpose")
        }));
        assert_eq!(told.recv().await.unwrap().unwrap(), 7);
        let status = told.recv().await.expect("no end without a word").unwrap_err();
        assert_eq!(status.code(), tonic::Code::Internal);
        assert!(told.recv().await.is_none());
    }
}
