//! What surrounds every call: its deadline, its metrics, the bounds of its body, and the errors that are found before a
//! handler runs.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use metrics::{counter, histogram};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service, http},
    server::NamedService,
};

use crate::{bodies::Bodies, connections::ConnectionInfo, deadline::Deadline, error, panics};

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, Infallible>> + Send>>;

/// A service with its surroundings.
#[derive(Clone)]
pub(crate) struct Edge<S> {
    pub(crate) service: S,
    pub(crate) bodies: Bodies,
}

impl<S: NamedService> NamedService for Edge<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Edge<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let start = Instant::now();
        if let Some(deadline) = Deadline::from_headers(request.headers()) {
            request.extensions_mut().insert(deadline);
        }
        let path = request.uri().path();
        let method = path.rsplit_once('/').map_or(path, |(_, method)| method).to_owned();
        let (mut head, body) = request.into_parts();
        let connection = head.extensions.get::<ConnectionInfo>().cloned();
        let memory = connection.as_ref().and_then(|connection| connection.memory.as_ref());
        let (body, held) = self.bodies.limited(body, &method, memory);
        if let Some(ConnectionInfo { tcp, .. }) = connection {
            // Where handlers find it.
            head.extensions.insert(tcp);
        }
        let call = self.service.call(http::Request::from_parts(head, body));
        Box::pin(async move {
            let _held = held;
            let response = match panics::caught(call).await {
                Ok(response) => response?,
                Err(panicked) => panicked.into_http(),
            };
            let failed = Status::from_header_map(response.headers());
            let response = match failed.as_ref().and_then(explained) {
                Some(status) => status.into_http(),
                None => response,
            };
            count(method, failed.map_or(Code::Ok, |status| status.code()), start);
            Ok(response)
        })
    }
}

/// What a handler would have said of an error that kept the request from it; `None`: a handler did.
fn explained(status: &Status) -> Option<Status> {
    if !status.details().is_empty() {
        return None;
    }
    match status.code() {
        Code::OutOfRange => Some(error::request_too_large()),
        Code::Internal if status.message().contains("decode Protobuf message") => {
            Some(error::undecodable(status.message()))
        }
        _ => None,
    }
}

fn count(method: String, code: Code, start: Instant) {
    // A method that there is not may have any name.
    let method = if code == Code::Unimplemented { "other".to_owned() } else { method };
    let seconds = start.elapsed().as_secs_f64();
    histogram!("receiptd_request_seconds", "method" => method.clone()).record(seconds);
    counter!("receiptd_requests_total", "method" => method, "code" => format!("{code:?}")).increment(1);
}
