//! The clients in other languages: the examples of docs/clients.md, generated, built and run against the real receiptd.

// All of this is tests: where they cannot go on, they have failed.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

mod document;
mod language;
mod program;

use std::{net::SocketAddr, time::Duration};

use receipt_fold_tests::runner;
use receipt_tests::{
    poll::until,
    port,
    random::Random,
    server::{DataDir, Server},
};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    language::{Language, PYTHON, TYPESCRIPT},
    program::Program,
};

/// How long it may take until the server serves.
const SERVES_MAX: Duration = Duration::from_secs(60);

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
    let addr = port::lasting(&mut Random::new(runner::seed()));
    let server = serve(&dir, addr).await;
    let mut client = Program::start(language.run(&checkout, &addr.to_string()));
    client.says("READY-FOR-KILL").await;
    server.kill_9();
    let _server = serve(&dir, addr).await;
    client.hears("GO");
    client.says("DONE").await;
    client.ends().await;
}

async fn serve(dir: &DataDir, addr: SocketAddr) -> Server {
    let server = Server::start_unchecked(dir, &addr.to_string(), &[]).await;
    until("receiptd serves", SERVES_MAX, async || (server.health().await == ServingStatus::Serving).then_some(()))
        .await;
    server
}

#[test]
fn the_document_shows_what_runs() {
    for language in [PYTHON, TYPESCRIPT] {
        let shown = document::blocks(language.fence);
        let run = document::examples(&language.source(), language.comment);
        assert!(!run.is_empty(), "{} has no examples", language.name);
        let differ = shown.iter().zip(&run).find(|(shown, run)| shown != run);
        if let Some((shown, run)) = differ {
            panic!("docs/clients.md shows:\n{shown}\n{} has:\n{run}", language.source().display());
        }
        assert_eq!(shown.len(), run.len(), "docs/clients.md and {} differ", language.source().display());
    }
}
