//! The commands, one file each.

mod as_of;
pub(crate) mod dead_letters;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod load;
pub(crate) mod log;
mod log_export;
mod log_import;
pub(crate) mod mark;
pub(crate) mod members;
pub(crate) mod partitions;
pub(crate) mod policy;
pub(crate) mod publish;
pub(crate) mod read;
pub(crate) mod receipts;
pub(crate) mod replay;
pub(crate) mod snapshot;
pub(crate) mod states;
pub(crate) mod topics;
pub(crate) mod trim;
pub(crate) mod watch;

use receipt_proto::v1;

use crate::{
    cli::{Cli, Command},
    output::Output,
};

/// Runs what the command line says.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<()> {
    let output = Output { json: cli.global.json };
    let addr = cli.global.addr.as_str();
    match cli.command {
        Command::Publish(command) => command.run(addr, output).await,
        Command::Read(command) => command.run(addr, output).await,
        Command::Mark(command) => command.run(addr, output).await,
        Command::Receipts(command) => command.run(addr, output).await,
        Command::Members(command) => command.run(addr, output).await,
        Command::States(command) => command.run(addr, output).await,
        Command::Policy(command) => command.run(addr, output).await,
        Command::Partitions(command) => command.run(addr, output).await,
        Command::DeadLetters(command) => command.run(addr, output).await,
        Command::Watch(command) => command.run(addr, output).await,
        Command::Import(command) => command.run(addr, output).await,
        Command::Load(command) => command.run(addr, output).await,
        Command::Topics(command) => command.run(output).await,
        Command::Log(command) => command.run(addr, output).await,
        Command::Replay(command) => command.run(addr, output).await,
        Command::Snapshot(command) => command.run(addr, output).await,
        Command::Inspect(command) => command.run(addr, output).await,
    }
}

fn message_ref(conversation: &str, message: &str) -> v1::MessageRef {
    v1::MessageRef { conversation_id: conversation.to_owned(), message_id: message.to_owned() }
}
