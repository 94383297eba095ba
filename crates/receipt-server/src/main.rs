//! receiptd: who has, and who has not, read this message.

mod ahead;
mod config;
mod config_file;
mod descriptors;
mod durations;
mod kafka;
mod limits;
mod metrics_page;
mod options;
mod room;
mod run;
mod snapshots;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;
use receipt_log::human;
use rustix::fs::Mode;

use crate::{config::Config, options::Options};

fn main() -> ExitCode {
    match start(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("receiptd: {}", human::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> anyhow::Result<()> {
    // Who has read what is nobody else's to read: all that is made is the user's alone.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let config = Config::from_options(options)?;
    if options.print_config {
        print!("{}", config.to_toml()?);
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _runtime = runtime.enter();
    telemetry::start_log(&config)?;
    runtime.block_on(run::run(&config))
}
