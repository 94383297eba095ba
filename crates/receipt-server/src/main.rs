//! receiptd: who has, and who has not, read this message.

mod config;
mod data_dir;
mod options;
mod run;
mod telemetry;

use clap::Parser;

use crate::{config::Config, options::Options};

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let config = Config::from_options(&options)?;
    if options.print_config {
        print!("{}", config.to_toml()?);
        return Ok(());
    }
    telemetry::start(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run::run(&config))
}
