//! receiptctl, the command line client of receiptd.

mod bootstrap;
mod cli;
mod client;
mod commands;
mod copy;
mod event_json;
mod follow;
mod import;
mod inspect;
mod kafka;
mod load;
mod log_file;
mod output;
mod progress;
mod render;
mod replay;
mod snapshot;
mod source;
mod status;
mod told;
mod transfer;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use rustix::fs::Mode;

use crate::{cli::Cli, transfer::LeftOut};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // What is exported is nobody else's to read.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    match commands::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", status::line(&error));
            if error.is::<LeftOut>() { ExitCode::from(LeftOut::EXIT_CODE) } else { ExitCode::FAILURE }
        }
    }
}
