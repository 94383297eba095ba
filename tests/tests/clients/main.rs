//! The clients in other languages: the examples of docs/clients.md, generated, built and run against the real receiptd.

// All of this is tests: where they cannot go on, they have failed.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use std::{net::SocketAddr, time::Duration};

use receipt_tests::{
    language::Language,
    poll::until,
    port,
    program::Program,
    random::Random,
    server::{DataDir, Server},
    tool::Tool,
};
use tonic_health::pb::health_check_response::ServingStatus;

const DOCUMENT: &str = "docs/clients.md";

const PYTHON: Language = Language {
    folder: "tests/clients/python",
    source: "client.py",
    comment: "#",
    document: DOCUMENT,
    fence: "python",
    commands: "sh python",
    run: &["python3", "session.py"],
    tool: Tool { list: "tests/clients/python/requirements.txt", folder: "clients/python", target: "clients" },
    path: ("PYTHONPATH", "", "gen"),
};

const TYPESCRIPT: Language = Language {
    folder: "tests/clients/typescript",
    source: "client.ts",
    comment: "//",
    document: DOCUMENT,
    fence: "ts",
    commands: "sh typescript",
    run: &["node", "out/session.js"],
    tool: Tool { list: "tests/clients/typescript/package-lock.json", folder: "clients/typescript", target: "clients" },
    path: ("NODE_PATH", "node_modules", "node_modules"),
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
    let addr = port::lasting(&mut Random::unseeded());
    let server = serve(&dir, addr).await;
    let mut client = Program::start(language.run(&checkout, &[&addr.to_string()]));
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
        language.assert_shown_is_what_runs();
    }
}
