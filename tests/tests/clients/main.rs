//! The clients in other languages: the examples of docs/clients.md, generated, built and run against the real receiptd.

// All of this is tests: where they cannot go on, they have failed.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

mod document;
mod language;
mod program;

use std::time::Duration;

use receipt_tests::{
    poll::until,
    server::{DataDir, Server},
};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    language::{Language, PYTHON, TYPESCRIPT},
    program::Program,
};

/// How long it may take until the killed server is back.
const BACK_MAX: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_python_reads_asks_subscribes_and_resumes() {
    session(&PYTHON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_typescript_reads_asks_subscribes_and_resumes() {
    session(&TYPESCRIPT).await;
}

/// Builds the client as the document says, and has it through its session, in which the server is killed once.
async fn session(language: &Language) {
    let checkout = language.checkout();
    Program::start(language.build(&checkout)).ends().await;
    let dir = DataDir::new();
    let server = Server::start(&dir, &[]).await;
    let addr = server.addr;
    let mut client = Program::start(language.run(&checkout, &addr.to_string()));
    client.says("READY-FOR-KILL").await;
    server.kill_9();
    let server = Server::start_unchecked(&dir, &addr.to_string(), &[]).await;
    until("receiptd serves", BACK_MAX, async || (server.health().await == ServingStatus::Serving).then_some(())).await;
    client.hears("GO");
    client.says("DONE").await;
    client.ends().await;
}

#[test]
fn the_document_shows_what_runs() {
    for language in [PYTHON, TYPESCRIPT] {
        let shown = document::blocks(language.fence);
        let run = document::examples(&language.source(), language.comment);
        assert!(!run.is_empty(), "{} has no examples", language.name);
        assert_eq!(shown, run, "docs/clients.md and {} differ", language.source().display());
    }
}
