//! `receiptctl load`: reads at a steady rate, with their senders subscribed.

use std::{
    num::NonZeroUsize,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{
    load::{self, Plan, Setup},
    output::Output,
};

/// Subscribe senders, read their messages at a steady rate, and measure.
///
/// Makes its own groups and messages, whose ids start with the run's name, and opens a stream for each sender. Then it
/// sends each read at its time, whether or not those before it are done, and counts every latency from that time: of
/// the call, and up to the sender's delta that counts the read. At the end the senders' last deltas are compared with
/// the state: exit code 1 if they differ, or if a count on a stream went back.
///
/// What it made stays in the log. Use it on a receiptd that is there for measuring.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl load
  receiptctl load --senders 1000 --rate 1000 --duration 20s
  receiptctl load --senders 10000 --rate 2000 --server-pid \"$(pgrep -x receiptd)\" --json")]
pub(crate) struct Load {
    /// Senders, each with a stream.
    #[arg(long, value_name = "N", default_value = "100")]
    senders: NonZeroUsize,
    /// Reads a second.
    #[arg(long, value_name = "N", default_value = "100")]
    rate: NonZeroUsize,
    /// How long to read.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Groups; the senders are spread over them.
    #[arg(long, value_name = "N", default_value = "10")]
    groups: NonZeroUsize,
    /// Readers of each group.
    #[arg(long, value_name = "N", default_value = "100")]
    members: NonZeroUsize,
    /// Connections for the streams, at least one for 4,000 of them, and as many for the reads.
    #[arg(long, value_name = "N", default_value = "4")]
    connections: NonZeroUsize,
    /// The server's process, on this machine: its memory a subscription, and its processor time, are reported.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// How long to wait at the end for the last deltas.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    patience: Duration,
    /// What the ids of this run start with. Default: load- and the time.
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
}

impl Load {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let setup = Setup {
            connections: self.connections.get(),
            server_pid: self.server_pid,
            patience: self.patience,
            quiet: output.json,
        };
        let report = load::run(addr, self.plan()?, setup).await?;
        output.print(&serde_json::to_value(&report)?, || report.text())?;
        if !report.is_right() {
            bail!("the senders were not told what is true");
        }
        Ok(())
    }

    fn plan(self) -> anyhow::Result<Plan> {
        let rate = self.rate.get();
        let reads = u128::try_from(rate)? * self.duration.as_millis() / 1000;
        let reads = usize::try_from(reads).context("too many reads")?;
        let run = match self.run {
            Some(run) => run,
            None => format!("load-{}", SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis()),
        };
        let [senders, groups, members] = [self.senders, self.groups, self.members].map(NonZeroUsize::get);
        Ok(Plan { run, senders, groups, members, rate, reads })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn load(args: &[&str]) -> Result<Load, clap::Error> {
        match Cli::try_parse_from([&["receiptctl", "load"], args].concat())?.command {
            Command::Load(load) => Ok(load),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn arguments_make_a_plan() {
        let args = ["--senders", "1000", "--rate", "1000", "--duration", "20s", "--run", "x"];
        let plan = load(&args).unwrap().plan().unwrap();
        assert_eq!((plan.reads, plan.messages(), plan.run.as_str()), (20_000, 1000, "x"));
        let default = load(&[]).unwrap().plan().unwrap();
        assert!(default.run.starts_with("load-") && default.reads == 1000);
        for bad in [["--senders", "0"], ["--rate", "x"], ["--duration", "5"], ["--server-pid", "-1"]] {
            assert!(load(&bad).is_err(), "{bad:?}");
        }
    }
}
