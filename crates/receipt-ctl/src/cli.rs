//! The command line.

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    dead_letters::DeadLetters, import::Import, inspect::Inspect, load::Load, log::Log, mark::Mark, members::Members,
    partitions::Partitions, policy::Policy, publish::Publish, read::Read, receipts::Receipts, replay::Replay,
    snapshot::Snapshot, states::States, topics::Topics, watch::Watch,
};

/// Ask and tell a running receiptd who has, and who has not, read which message.
///
/// Answers are tables for people, or with --json one JSON document on standard output. Errors are one line on standard
/// error: the gRPC status, its reason, the fields at fault, and when to try again.
///
/// Exit code 0: done. 1: the call failed, or its answer, which is printed all the same, holds an error: a message without a
/// receipt, an event that was rejected, a receipt that does not count, a state or snapshot that is not as it should be. 2:
/// the command line is wrong.
#[derive(Debug, Parser)]
#[command(name = "receiptctl", version, after_long_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where to, and how to answer.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The server's address: http://HOST:PORT, or HOST:PORT. There is no TLS yet, so https is refused.
    #[arg(long, global = true, env = "RECEIPTCTL_ADDR", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    pub(crate) addr: String,
    /// Print one JSON document on standard output instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Publish(Publish),
    Read(Read),
    Mark(Mark),
    Receipts(Receipts),
    Members(Members),
    States(States),
    Policy(Policy),
    Partitions(Partitions),
    DeadLetters(DeadLetters),
    Watch(Watch),
    Import(Import),
    Load(Load),
    Topics(Topics),
    Log(Log),
    Replay(Replay),
    Snapshot(Snapshot),
    Inspect(Inspect),
}

/// Who acts.
#[derive(Debug, Clone, Args)]
pub(crate) struct ActingUser {
    /// Who acts. Left out: a service acts.
    #[arg(long, value_name = "USER", default_value = "")]
    pub(crate) user: String,
}

/// From which state to answer.
#[derive(Debug, Clone, Args)]
pub(crate) struct After {
    /// Answer from a state that includes this consistency token, which a write or an answer gave. May be repeated.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) after: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  # A group of three; alice asks for receipts; bob reads; who has, and who has not?
  receiptctl publish group-create team alice bob carol --group-type work --wait
  receiptctl publish send team m1 --sender alice --all --wait
  receiptctl read team m1 --user bob --wait
  receiptctl receipts team m1 --user alice
  receiptctl members team m1 unread --user alice

  # What changes for alice, live
  receiptctl watch --user alice

  # From another machine, for a script
  RECEIPTCTL_ADDR=http://receipts.internal:50051 receiptctl partitions --json

  # 470,000 events of a public channel
  receiptctl import ubuntu-irc tests/data/ubuntu-irc.tsv.gz";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// With all their flags, as a document says them.
    #[test]
    fn documented_commands_are_command_lines() {
        for document in ["operations.md", "operators.md"] {
            let path = format!("{}/../../docs/{document}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            let blocks = text.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
            let commands = blocks.flat_map(str::lines).filter(|line| line.starts_with("receiptctl "));
            let commands: Vec<_> = commands.map(|line| line.split(['#', '|']).next().unwrap_or(line)).collect();
            assert!(!commands.is_empty(), "{document} has none");
            for command in commands {
                let parsed = Cli::try_parse_from(command.split_whitespace());
                let is_version = |error: &clap::Error| error.kind() == clap::error::ErrorKind::DisplayVersion;
                assert!(parsed.as_ref().err().is_none_or(is_version), "{document}: {command}: {parsed:?}");
            }
        }
    }
}
